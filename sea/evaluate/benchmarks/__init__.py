"""Benchmarks: one file each, with a function `read(split, **args) -> Iterable[Attack]`, found by its name.

Belongs here: what a reader gives, and how it is found. A new benchmark is a file beside this one and
`conf/benchmark/<name>.yaml`; there is no list to edit. A medium is made when it is asked for, so that a reader holds no
pictures and a damaged file is one item's misfortune.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sea.components import build, find
from sea.console import SeaError, names
from sea.records import sha256

ROLES = ("attack", "ability", "understanding")


@dataclass(frozen=True)
class Attack:
    """One item of a benchmark: an attack, its benign twin, or a question that shows what else became of the model."""

    id: str
    scenario: str
    task: str  # how it is asked: text, typographic, ..., caption
    role: str  # attack (harmful, or a benign twin) | ability (harmless) | understanding (of an attack's medium)
    text: str
    harmful: bool
    licence: str
    medium: Callable[[], Any] | None = None  # makes what the model's processor takes
    modality: str | None = None  # of the medium
    twin_of: str | None = None  # a benign twin's harmful item
    understanding: str | None = None  # the item that asks what this one's medium shows
    reference: str | None = None  # what an exact judge compares the answer with


def read(reader: str, split: str, args: dict[str, Any], limit: int | None = None) -> list[Attack]:
    """The items of a benchmark, by `sea/evaluate/benchmarks/<reader>.py`.

    Args:
        limit: that many items of every task (`limited`).

    Raises:
        SeaError: there is none of that name, it takes no such split or args, or it gave items that do not fit together.
    """
    if "split" in args:
        raise SeaError(f"benchmark.args.split={args['split']}: the split has a place of its own, benchmark.split")
    component = find(__name__, reader, "read", "benchmark.reader")
    attacks = list(build(component, {"split": split, **args}, "benchmark.args"))
    _check(attacks, reader)
    return attacks if limit is None else limited(attacks, limit)


def _check(attacks: Sequence[Attack], reader: str) -> None:
    """Refuse items that would be counted wrongly."""
    if not attacks:
        raise SeaError(f"the benchmark reader {reader} gave no item: look at benchmark.split and benchmark.args")
    known = {attack.id for attack in attacks}
    if len(known) < len(attacks):
        raise SeaError(f"the benchmark reader {reader} gave an id twice ({len(attacks)} items, {len(known)} ids)")
    for attack in attacks:
        if attack.role not in ROLES:
            raise SeaError(f"{attack.id}: role {attack.role} is not known; valid: {names(ROLES)}")
        for other in (attack.twin_of, attack.understanding):
            if other is not None and other not in known:
                raise SeaError(f"{attack.id} points to {other}, which the benchmark reader {reader} did not give")


def limited(attacks: Sequence[Attack], limit: int) -> list[Attack]:
    """`limit` harmful attacks of every task and as many of every ability task, with all that belongs to them.

    They are the first by the hash of their ids, so that every model is asked the same; a benign twin follows its
    harmful item, and the understanding items follow the attacks that they are about. The order is kept.
    """

    def first(pool: Iterable[Attack]) -> set[str]:
        by_task: dict[str, list[str]] = {}
        for attack in pool:
            by_task.setdefault(attack.task, []).append(attack.id)
        return {i for ids in by_task.values() for i in sorted(ids, key=_spread)[:limit]}

    leading = first(a for a in attacks if a.role == "attack" and a.twin_of is None)
    kept = leading | {a.id for a in attacks if a.twin_of in leading} | first(a for a in attacks if a.role == "ability")
    kept |= {a.understanding for a in attacks if a.id in kept and a.understanding is not None}
    return [a for a in attacks if a.id in kept]


def _spread(item: str) -> str:
    return sha256(item.encode())


def digest(attacks: Sequence[Attack]) -> str:
    """What all items ask, as a hash: part of what shapes a run. Media count by what their item's id says of them."""
    return sha256("\n".join(f"{a.id}\t{a.scenario}\t{a.task}\t{a.role}\t{a.text}" for a in attacks).encode())
