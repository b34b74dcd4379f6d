"""Everything that a report is made from, gathered once: runs, stores, checks, and the figures drawn from them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from sea.console import SeaError
from sea.records import Embedding
from sea.report import figures
from sea.report.arms import Arm, Base, Selection
from sea.report.expected import Comparison, Expected
from sea.report.provenance import Check, Source, Sources, checks
from sea.store import Store


@dataclass(frozen=True)
class OpenStore:
    """An optimize run that reported arms rest on, or that was asked for, with its index."""

    source: Source
    embeddings: dict[str, Embedding]


@dataclass(frozen=True)
class Study:
    """Everything that the sections read."""

    selection: Selection
    sources: Sources
    stores: list[OpenStore]
    expected: tuple[str, Expected, Comparison] | None  # the file's name first
    baseline: str | None
    rows: int
    show_harmful: bool
    checks: list[Check]


def open_stores(sources: Sources) -> list[OpenStore]:
    """The stores under the reported runs, checked against their manifests.

    Raises:
        SeaError: an index changed after its run was completed.
    """
    found = []
    for source in sources.all:
        if source.stage == "optimize" and source.run is not None:
            store = Store(source.run.path)
            store.check_manifest(source.hash)
            found.append(OpenStore(source, store.embeddings))
    return found


def study(
    selection: Selection,
    sources: Sources,
    expected: tuple[str, Expected, Comparison] | None,
    baseline: str | None,
    rows: int,
    show_harmful: bool,
) -> Study:
    """Put together what the sections read."""
    stores = open_stores(sources)
    return Study(selection, sources, stores, expected, baseline, rows, show_harmful, checks(selection, sources))


def draw(study: Study) -> dict[str, str]:
    """Every figure that has something to show, by name."""
    found: dict[str, str | None] = {}
    for index, base in enumerate(study.selection.bases, 1):
        found[f"selectivity-{index}"] = figures.selectivity(base)
        found[f"trade-off-{index}"] = figures.trade_off(base)
        found[f"losses-{index}"] = figures.losses(_curves(study, base))
    for index, one in enumerate(study.stores, 1):
        counts = one.source.manifest.counts if one.source.manifest is not None else {}
        found[f"optimize-{index}"] = figures.optimisation(list(one.embeddings.values()), counts)
    return {name: svg for name, svg in found.items() if svg is not None}


def _curves(study: Study, base: Base) -> list[tuple[Arm, list[tuple[float, float]]]]:
    curves = []
    for arm in base.arms:
        for run in arm.runs.values():
            training = study.sources.training(run)
            if training is not None and training.run is not None:
                curves.append((arm, read_curve(training.run.path / "log.jsonl")))
    return curves


def read_curve(path: Path) -> list[tuple[float, float]]:
    """Step and loss of every line of a training log that has both; none when the log is gone.

    Raises:
        SeaError: the log is there and is no JSONL.
    """
    if not path.is_file():
        return []
    points = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            values = json.loads(line)
        except json.JSONDecodeError as error:
            raise SeaError(f"{path}, line {number}: no JSON ({error})") from error
        if isinstance(values, dict) and "step" in values and "loss" in values:
            points.append((float(values["step"]), float(values["loss"])))
    return points
