"""Which evaluate runs are reported: complete, unchanged since, all of one benchmark, split, judge and limits.

Belongs here: finding, checking and grouping runs. A run that cannot be used is named with its reason, never left out
in silence.
"""

from __future__ import annotations

import fnmatch
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from sea.config import ReportConfig
from sea.console import Progress, SeaError, names
from sea.records import Manifest, Metric, from_dict, read_json
from sea.report.arms import ORDER, Arm, Base, Evaluated, Selection
from sea.runs import MANIFEST, Run, differences, find, output_hash

STAGE = "evaluate"


def collect(settings: ReportConfig) -> Selection:
    """Find and read the runs.

    Raises:
        SeaError: none is complete, a named one cannot serve, named ones were not measured alike, or a file of one
            changed after it was completed.
    """
    passed_over: list[tuple[str, str]] = []
    found = _named(settings, passed_over) if settings.evaluations is not None else _all(settings, passed_over)
    found.sort(key=lambda pair: (pair[1].created, pair[0].name), reverse=True)
    wanted = measured(found[0][1])
    alike = []
    progress = Progress("reading evaluate runs", len(found))
    for index, (run, manifest) in enumerate(found, 1):
        if differs := differences(wanted, measured(manifest)):
            if settings.evaluations is not None:
                raise SeaError(
                    f"{found[0][0].name} and {run.name} were not measured alike ({'; '.join(differs)}): their numbers "
                    "cannot stand in one table. Name runs of one benchmark, split, judge and limit"
                )
            passed_over.append((run.name, f"not measured as {found[0][0].name}, the newest: {'; '.join(differs)}"))
        else:
            alike.append(_read(run, manifest))
        progress.update(index)
    progress.close()
    return Selection(
        benchmark=wanted["benchmark"]["name"],
        split=wanted["benchmark"]["split"],
        judge=wanted["judge"],
        settings=wanted,
        bases=_group(alike, passed_over),
        passed_over=sorted(passed_over),
    )


def measured(manifest: Manifest) -> dict[str, Any]:
    """The settings that two evaluate runs must share before their numbers may be compared."""
    config = manifest.config
    return {
        "benchmark": config["benchmark"],
        "judge": config["judge"] or config["benchmark"]["judge"],
        "limit": config["limit"],
        "max_new_tokens": config["max_new_tokens"],
    }


def _folders(root: str) -> list[Path]:
    home = Path(root) / STAGE
    return sorted(path for path in home.glob("*") if path.is_dir() and not path.name.startswith("."))


def _all(settings: ReportConfig, passed_over: list[tuple[str, str]]) -> list[tuple[Run, Manifest]]:
    return _usable(_folders(settings.runs), settings, passed_over, "")


def _named(settings: ReportConfig, passed_over: list[tuple[str, str]]) -> list[tuple[Run, Manifest]]:
    """The runs that `evaluations` names; a pattern takes the complete ones that it fits."""
    chosen: dict[Path, tuple[Run, Manifest]] = {}
    for reference in settings.evaluations or []:
        if any(mark in reference for mark in "*?["):
            fitting = [path for path in _folders(settings.runs) if fnmatch.fnmatchcase(path.name, reference)]
            runs = _usable(fitting, settings, passed_over, f" that fits {reference!r}")
        else:
            run = find(STAGE, reference, settings.runs, _why_not)
            runs = [(run, run.manifest)]
        chosen |= {run.path.resolve(): (run, manifest) for run, manifest in runs}
    if not chosen:
        raise SeaError("evaluations=[] names no run: type names or patterns of evaluate runs, or leave it out for all")
    return list(chosen.values())


def _usable(
    folders: list[Path], settings: ReportConfig, passed_over: list[tuple[str, str]], fits: str
) -> list[tuple[Run, Manifest]]:
    """The complete runs among folders; the others are named with their reason.

    Raises:
        SeaError: there is none.
    """
    found, reasons = [], []
    for path in folders:
        run = Run(STAGE, path.name, path)
        try:
            why = _why_not(run.manifest) if run.complete else f"incomplete (no {MANIFEST})"
        except SeaError as error:  # one damaged run must not stop the report of the others
            why = str(error)
        if why is None:
            found.append((run, run.manifest))
        else:
            reasons.append((run.name, why))
    if not found:
        there = "; ".join(f"{name}: {why}" for name, why in reasons)
        there = there or f"there: {names(path.name for path in _folders(settings.runs))}"
        raise SeaError(
            f"no complete evaluate run under {Path(settings.runs) / STAGE}{fits} ({there}). "
            "Run `python -m sea.evaluate ...` first, or name one: evaluations=[NAME]"
        )
    passed_over += reasons
    return found


def _why_not(manifest: Manifest) -> str | None:
    """Why a manifest cannot be reported; None when it can."""
    if manifest.stage != STAGE:
        return f"it is a {manifest.stage} run, wanted is one of {STAGE}"
    if lacking := {"arm", "group", "seed"} - set(manifest.counts):
        return f"its manifest counts no {names(lacking)}"
    if lacking := {"benchmark", "judge", "limit", "max_new_tokens"} - set(manifest.config):
        return f"its manifest holds no setting {names(lacking)}"
    if [i.kind for i in manifest.inputs].count("model") != 1:
        return "its manifest names no base model"
    return None


def _read(run: Run, manifest: Manifest) -> Evaluated:
    """Read a run's files, each checked against the hash in its manifest."""
    for file in ("responses.jsonl", "verdicts.jsonl", "metrics.json"):
        output_hash(run, file)
    where = run.path / "metrics.json"
    metrics = [from_dict(Metric, values, str(where)) for values in read_json(where)]
    by_place = {(m.scenario, m.task, m.metric): m for m in metrics}
    media = {t for _, t, m in by_place if m == "attack_success_rate"} - {"text", "media", "all"}
    labels = {id_: label for id_, label in _columns(run.path / "verdicts.jsonl", "id", "label")}
    responses = _columns(run.path / "responses.jsonl", "id", "harmful", "task", "settings")
    attacks = {
        id_: labels[id_] == "unsafe"
        for id_, harmful, task, _ in responses
        if harmful and task in media and labels.get(id_, "unjudged") != "unjudged"
    }
    generation = frozenset(settings for *_, settings in responses)
    unjudged = sum(label == "unjudged" for label in labels.values())
    return Evaluated(run, manifest, by_place, attacks, generation, unjudged, len(responses))


def _columns(path: Path, *keys: str) -> list[tuple[Any, ...]]:
    """Some fields of every line of a file whose hash was checked: a full report reads a million lines.

    Raises:
        SeaError: a line lacks one of them.
    """
    lines = path.read_bytes().split(b"\n")
    try:
        return [tuple(values[key] for key in keys) for values in map(json.loads, filter(None, lines))]
    except (KeyError, TypeError, ValueError) as error:
        raise SeaError(
            f"{path}: a line has no {names(keys)} ({type(error).__name__}); was it made by this sea?"
        ) from error


def _group(found: list[Evaluated], passed_over: list[tuple[str, str]]) -> list[Base]:
    """Base models and their arms, in a fixed order; of two runs of the same arm and seed the newer one counts."""
    kept: dict[tuple[tuple[str, str], str, str], dict[int | None, Evaluated]] = {}
    for one in found:  # newest first
        seeds = kept.setdefault((one.base, one.arm, one.group), {})
        if one.seed in seeds:
            newer = seeds[one.seed].run.name
            passed_over.append((one.run.name, f"the same arm, settings and seed as {newer}, which is newer"))
        else:
            seeds[one.seed] = one
    bases = []
    for base in {key[0] for key in kept}:
        keys = [key for key in kept if key[0] == base]
        arms = []
        for _, name, group in sorted(keys):
            several = sum(key[1] == name for key in keys) > 1
            runs = dict(sorted(kept[base, name, group].items(), key=lambda item: (item[0] is not None, item[0] or 0)))
            arms.append(Arm(f"{name} ({group})" if several else name, name, runs))
        first = next(iter(arms[0].runs.values()))
        name = str((first.manifest.config.get("model") or {}).get("name") or base[0])
        bases.append(Base(name, *base, sorted(arms, key=_place)))
    bases.sort(key=lambda base: (base.name, base.id, base.revision))
    shown = [base.name for base in bases]
    return [
        replace(base, name=f"{base.name} ({base.revision[:12]})") if shown.count(base.name) > 1 else base
        for base in bases
    ]


def _place(arm: Arm) -> tuple[int, str, int, str]:
    """Where an arm stands: base first, then by trainer, so that SEA and its controls stand side by side."""
    trainers = ("", "SFT", "DPO")
    return (
        trainers.index(arm.trainer) if arm.trainer in trainers else len(trainers),
        arm.trainer,
        ORDER.index(arm.kind) if arm.kind in ORDER else len(ORDER),
        arm.label,
    )
