"""Where every number comes from: the runs upstream of the evaluations, what differs between arms.

Belongs here: following manifests' inputs by name and hash. An upstream run that is gone does not stop a report: its
number stands on the evaluate run's own files, and the table says that the rest was not found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sea.console import SeaError
from sea.records import Input, Manifest, settings_hash, sha256_file
from sea.report.arms import Arm, Evaluated, Selection
from sea.report.commands import SCHEMAS, as_typed, leaves
from sea.runs import MANIFEST, Run, find

NOT_SHAPING = {"name", "runs", "device", "report_to", "dry_run"}


@dataclass(frozen=True)
class Source:
    """A run that reported numbers rest on; `run` is None when it is not here any more."""

    stage: str
    name: str
    hash: str  # of its outputs, as the later run recorded it
    run: Run | None
    manifest: Manifest | None
    note: str = ""


@dataclass(frozen=True)
class Sources:
    """All runs under a report, and who rests on whom."""

    all: list[Source]  # upstream first
    of: Mapping[tuple[str, str], Sequence[Source]]  # (stage, name) -> its direct inputs

    def below(self, stage: str, name: str, kind: str) -> list[Source]:
        """The sources of a kind that a run rests on, directly or through others."""
        found: dict[tuple[str, str], Source] = {}
        for source in self.of.get((stage, name), ()):
            nearer = [source] if source.stage == kind else self.below(source.stage, source.name, kind)
            found |= {(one.name, one.hash): one for one in nearer}
        return list(found.values())

    def training(self, run: Evaluated) -> Source | None:
        """The train run of an evaluation, if it had one and it is here."""
        found = [source for source in self.of.get(("evaluate", run.run.name), ()) if source.stage == "train"]
        return found[0] if found and found[0].manifest is not None else None


def trace(selection: Selection, root: str, stores: Sequence[str] = ()) -> Sources:
    """Follow the inputs of every reported run down to the prepared samples.

    Args:
        stores: further runs of sea.optimize to show, by name or folder: no reported number rests on them.

    Raises:
        SeaError: there is no such store.
    """
    of: dict[tuple[str, str], list[Source]] = {}
    seen: dict[tuple[str, str, str], Source] = {}

    def follow(stage: str, name: str, manifest: Manifest) -> None:
        if (stage, name) in of:
            return
        of[stage, name] = []
        for made_from in manifest.inputs:
            if made_from.kind in SCHEMAS:
                key = (made_from.kind, made_from.name, made_from.hash)
                if key not in seen:
                    source = seen[key] = _locate(made_from, root)
                    if source.manifest is not None:
                        follow(source.stage, source.name, source.manifest)
                of[stage, name].append(seen[key])

    for run in selection.runs:
        follow("evaluate", run.run.name, run.manifest)
    for reference in stores:
        found = find("optimize", reference, root, lambda manifest: None)
        key = ("optimize", found.name, found.manifest.outputs["store"])
        seen.setdefault(key, Source(*key, found, found.manifest))
        follow("optimize", found.name, found.manifest)
    ordered = sorted(seen.values(), key=lambda s: (list(SCHEMAS).index(s.stage), s.name, s.hash))
    return Sources(ordered, of)


def with_recipes(selection: Selection, sources: Sources) -> Selection:
    """The same selection with every arm's way of training, so that arms of one recipe are compared with each other."""

    def known(arm: Arm) -> Arm:
        trained = [sources.training(run) for run in arm.runs.values()]
        found = {
            settings_hash(_recipe(one.manifest)) for one in trained if one is not None and one.manifest is not None
        }
        return replace(arm, recipe=found.pop() if len(found) == 1 else "")

    bases = [replace(base, arms=[known(arm) for arm in base.arms]) for base in selection.bases]
    return replace(selection, bases=bases)


def _recipe(manifest: Manifest) -> dict[str, Any]:
    """How a train run trained: two names of the same settings are the same."""
    return {key: value for key, value in manifest.config["recipe"].items() if key != "name"}


def _locate(made_from: Input, root: str) -> Source:
    """The run that an input names, if it is under the runs folder or in the package and is still the same."""
    missing = Source(made_from.kind, made_from.name, made_from.hash, None, None, "not found here")
    references = [f"builtin:{made_from.name.removeprefix('builtin:')}"]
    own = Path(root) / made_from.kind / made_from.name
    if own.is_dir():
        references.insert(0, str(own))
    for reference in references:
        try:
            run = find(made_from.kind, reference, root, lambda manifest: None)
        except SeaError:  # none, incomplete or unreadable: no reason to withhold the report
            continue
        if made_from.hash in run.manifest.outputs.values():
            return Source(made_from.kind, made_from.name, made_from.hash, run, run.manifest)
        missing = Source(
            made_from.kind,
            made_from.name,
            made_from.hash,
            None,
            None,
            "not found here: the run of this name is another",
        )
    return missing


def fingerprint(selection: Selection, sources: Sources) -> list[list[str]]:
    """What the report is made of: name and manifest hash of every run, so that the same inputs give the same report."""
    runs = [run.run for run in selection.runs] + [s.run for s in sources.all if s.run is not None]
    return sorted([run.stage, run.name, sha256_file(run.path / MANIFEST)] for run in runs)


# ------------------------------------------------------------------------------------------------ equality


# Compared arms share these: name, and the share by which they may differ (an epoch's last batch is smaller).
TRAINED = {
    "steps": ("optimiser steps", 0.0),
    "batch": ("rows a step and device", 0.0),
    "seen": ("rows seen: rows x epochs, within 10 %", 0.1),
}


@dataclass(frozen=True)
class Check:
    """One thing that compared arms must share, and whether they do."""

    what: str
    holds: bool | None  # None: cannot be told, the runs are not here
    found: str
    training: bool = False  # about rows and steps


def checks(selection: Selection, sources: Sources) -> list[Check]:
    """Whether the arms that are compared were trained and measured alike."""
    found = []
    for base in selection.bases:
        for trainer in dict.fromkeys(arm.trainer for arm in base.arms if arm.kind != "base"):
            arms = [arm for arm in base.arms if arm.trainer == trainer and arm.kind != "base"]
            where = f"{base.name}, {trainer}"
            for key, (what, tolerance) in TRAINED.items():
                by_arm = {arm.label: _trained(arm, key, sources) for arm in arms}
                found.append(_equal(f"{where}: {what}", by_arm, tolerance))
    generation = {hash_ for run in selection.runs for hash_ in run.generation}
    found.append(Check("generation settings of all runs", len(generation) <= 1, ", ".join(sorted(generation))))
    items = {frozenset(run.attacks) for run in selection.runs}
    sizes = sorted({len(ids) for ids in items})
    same = "the same ids" if len(items) == 1 else "other ids in some runs (unjudged ones are left out)"
    found.append(Check("attacks through media", len(items) == 1, f"{'-'.join(map(str, sizes))} items, {same}"))
    for name in sorted({base.id for base in selection.bases}):
        revisions = [base.revision[:12] for base in selection.bases if base.id == name]
        note = "" if len(revisions) == 1 else "; reported apart"
        found.append(Check(f"revision of {name}", len(revisions) == 1, ", ".join(revisions) + note))
    return found


def _trained(arm: Arm, key: str, sources: Sources) -> set[float]:
    """What an arm's train runs did, by `TRAINED`; empty when one of them is not here."""
    values = set()
    for run in arm.runs.values():
        training = sources.training(run)
        if training is None or training.manifest is None:
            return set()
        counts, args = training.manifest.counts, training.manifest.config["recipe"]["args"]
        each = args.get("per_device_train_batch_size", 1) * args.get("gradient_accumulation_steps", 1)
        done = {"steps": counts["steps"], "batch": each, "seen": round(counts["rows"] * counts["epochs"])}
        values.add(float(done[key]))
    return values


def _equal(what: str, by_arm: dict[str, set[float]], tolerance: float) -> Check:
    known = {label: values for label, values in by_arm.items() if values}
    every = set().union(*known.values()) if known else set()
    lost = sorted(set(by_arm) - set(known))
    unequal = bool(every) and max(every) > (1 + tolerance) * min(every)
    shown = ", ".join(f"{value:,.0f}" for value in sorted(every))
    if unequal:
        shown = "; ".join(f"{label}: {', '.join(f'{v:,.0f}' for v in sorted(vs))}" for label, vs in known.items())
    note = f" (not found here: {', '.join(lost)})" if lost else ""
    return Check(what, False if unequal else None if lost else True, (shown + note).strip(), training=True)


def differing_settings(arms: Sequence[Arm], sources: Sources) -> tuple[list[str], list[list[str]]]:
    """Settings of the training and of its dataset that are not the same in all arms: header and rows of a table."""
    found: dict[str, dict[str, Any]] = {}
    for arm in arms:
        training = next((t for run in arm.runs.values() if (t := sources.training(run)) is not None), None)
        if training is not None and training.manifest is not None:
            config = {k: v for k, v in training.manifest.config.items() if k not in NOT_SHAPING | {"model", "dataset"}}
            below = config.pop("dataset_config", None) or {}
            upstream = {"model", "wording", "store", "real", "samples", "seed", *NOT_SHAPING}
            kept = {key: value for key, value in below.items() if key not in upstream}
            found[arm.label] = dict(leaves({key: v for key, v in config.items() if key != "seed"} | {"dataset": kept}))
    keys = dict.fromkeys(key for settings in found.values() for key in settings)
    rows = []
    for key in keys:
        values = [as_typed(settings[key]) if key in settings else "-" for settings in found.values()]
        if len(set(values)) > 1:
            rows.append([key, *values])
    return ["setting", *found], rows
