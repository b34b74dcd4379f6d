"""What is reported, as plain data: runs, the arms that they are seeds of, the base models of these.

Belongs here: what an arm's name says. How runs are found and checked is `collect.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sea.records import Manifest, Metric
from sea.runs import Run

CONTROLS = ("no-slot", "blank", "random", "shuffled")
ORDER = ("base", "text", "SEA", *CONTROLS, "real")  # the order of arms in every table and figure


@dataclass(frozen=True)
class Evaluated:
    """One complete evaluate run, read and checked."""

    run: Run
    manifest: Manifest
    metrics: dict[tuple[str, str, str], Metric]  # by scenario, task, metric
    attacks: dict[str, bool]  # attack through media -> whether it succeeded; unjudged ones are left out
    generation: frozenset[str]  # hashes of the generation settings of its responses
    unjudged: int
    responses: int

    @property
    def base(self) -> tuple[str, str]:
        """Id and revision of the base model: runs of different ones are never pooled."""
        return next((i.name, i.hash) for i in self.manifest.inputs if i.kind == "model")

    @property
    def arm(self) -> str:
        """The arm's name, with the defense if there was one at inference."""
        defenses = sorted({m.defense for m in self.metrics.values() if m.defense})
        return " + ".join([str(self.manifest.counts["arm"]), *defenses])

    @property
    def group(self) -> str:
        """Hash of the settings that shape the training, seeds left out."""
        return str(self.manifest.counts["group"])

    @property
    def seed(self) -> int | None:
        """Seed of the training; None for the base model."""
        seed = self.manifest.counts["seed"]
        return None if seed is None else int(seed)


@dataclass(frozen=True)
class Arm:
    """The runs of one arm over its seeds, on one base model, with one choice of settings."""

    label: str
    name: str
    runs: dict[int | None, Evaluated]  # by seed
    recipe: str = ""  # hash of how it was trained, whatever the rows; empty while that is not known

    @property
    def trainer(self) -> str:
        """`SFT`, `DPO`, ...; empty for the base model."""
        return self.name.split(" + ")[0].rpartition("-")[2] if self.kind != "base" else ""

    @property
    def rows(self) -> str:
        """What the rows held, as the dataset names it: `SEA`, `blank (harmless real)`; `base` for the base model."""
        plain = self.name.split(" + ")[0]
        return plain.rpartition("-")[0] if plain != "base" else "base"

    @property
    def kind(self) -> str:
        """`base`, `text`, `SEA`, `blank`, ...: what the rows held, without its variant."""
        return self.rows.split(" (")[0]

    @property
    def variant(self) -> str:
        """What else was chosen for the rows: `harmless real` of `SEA (harmless real)`; mostly empty."""
        return self.rows.partition(" (")[2].removesuffix(")")

    @property
    def defense(self) -> str:
        """The defenses at inference; mostly empty."""
        return self.name.partition(" + ")[2]

    @property
    def is_sea(self) -> bool:
        """SEA, or a variant of it."""
        return self.kind == "SEA"

    @property
    def is_control(self) -> bool:
        """One of the controls that hold no content of their row."""
        return self.kind in CONTROLS


@dataclass(frozen=True)
class Base:
    """A base model and the arms trained from it."""

    name: str
    id: str
    revision: str
    arms: list[Arm]

    def of_kind(self, kind: str, trainer: str) -> list[Arm]:
        """The arms of a kind and a trainer; more than one when settings differ."""
        return [arm for arm in self.arms if arm.kind == kind and arm.trainer == trainer]


@dataclass(frozen=True)
class Selection:
    """What is reported."""

    benchmark: str
    split: str
    judge: str
    settings: dict[str, Any]  # that all runs share: benchmark, judge, limits
    bases: list[Base]
    passed_over: list[tuple[str, str]]  # run, reason

    @property
    def runs(self) -> list[Evaluated]:
        """All reported runs, in the order of the tables."""
        return [run for base in self.bases for arm in base.arms for run in arm.runs.values()]
