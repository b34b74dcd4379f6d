"""A believable runs folder by the contract between the stages, made from counts that a test can reckon with."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from sea.config import EvaluateConfig, ReportConfig, TrainConfig, compose
from sea.console import SeaError
from sea.records import (
    Answer,
    Embedding,
    Input,
    Metric,
    Response,
    Verdict,
    sha256_file,
    to_dict,
    write_json,
    write_jsonl,
)
from sea.report.arms import Selection
from sea.report.collect import collect
from sea.runs import MANIFEST, Run, start
from sea.statistics import newcombe, rate
from sea.store import Store, Writer, content_hash

N = 60  # attacks through media, and as many benign twins; a third of them by each task and scenario
TASKS = ("typographic", "icon", "both")
SCENARIOS = ("held-out", "unseen-combination", "unseen-category")
REVISION = "1a8ff00d6803"
EVIL = "<script>alert('xss')</script> | `red lamp` ![x](http://evil.example/p.png)"
_CLOCK = iter(range(10**6))


@functools.cache
def _composed(name: str, schema: Any, *overrides: str) -> Any:
    return compose(name, schema, *overrides)


def composed(name: str, schema: Any, *overrides: str) -> dict[str, Any]:
    """Settings of a stage as its manifest holds them, composed once: it takes a tenth of a second."""
    return asdict(_composed(name, schema, *overrides))


def done(run: Run, **parts: Any) -> Run:
    """Finish a run, with a date that does not depend on the clock: later made is newer."""
    run.finish(parts["config"], parts["inputs"], parts["outputs"], parts["counts"], parts.get("seconds", 1.0))
    path = run.path / MANIFEST
    second = next(_CLOCK)
    created = f"2026-01-01T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}+00:00"
    write_json(path, json.loads(path.read_text()) | {"created": created})
    return run


def optimize_run(root: Path, name: str = "store", texts: tuple[str, ...] = ("a red lamp", EVIL)) -> Run:
    """A store of one embedding a text."""
    import torch

    run = start("optimize", name, "x", {}, str(root))
    batch = []
    for i, text in enumerate(texts):
        answers = [Answer(f"{w}:0", "What is it?", "red lamp", text, "red lamp" in text) for w in ("verify", "audit")]
        record = Embedding(
            id=f"s{i}", shard="", key="", sha256="", shape=[], dtype="", companions=[], modality="image",
            source="synthetic", losses={"content": 0.004, "style": 0.002}, steps=5 + i, seconds=0.1, hit=True,
            margin_reached=True, verified=True, answers=answers, seed=0, model="m", revision="r",
        )  # fmt: skip
        batch.append((record, {"embedding": torch.zeros(2, 3)}))
    Writer(run.path, "r0").add(batch)
    n = len(texts)
    counts: dict[str, Any] = {key: rate(n, n) for key in ("osr", "margin_reached", "verified")}
    counts |= {"audit_vsr": rate(n - 1, n), "mean_steps": 5.5, "mean_seconds": 0.1}
    outputs = {"store": content_hash(Store(run.path).embeddings)}
    inputs = [Input("model", "builtin:micro-llava", REVISION), Input("prepare", "gone", "f" * 64)]
    return done(run, config={"seed": 0}, inputs=inputs, outputs=outputs, counts=counts)


def dataset_run(root: Path, name: str, store: Run | None, rows: int = 600, **config: Any) -> Run:
    run = start("dataset", name, "x", {}, str(root))
    inputs = [] if store is None else [Input("optimize", store.name, store.manifest.outputs["store"])]
    outputs = {"rows": f"rows-of-{name}"}
    return done(run, config=config, inputs=inputs, outputs=outputs, counts={"rows": rows, "arm": name})


def train_run(root: Path, arm: str, seed: int, dataset: Run, steps: int = 100, tag: str = "", lr: float = 2e-4) -> Run:
    run = start("train", f"{arm}-{seed}{tag}".replace(" ", "_"), "x", {}, str(root))
    lines = [{"step": step, "loss": 1 / step, "epoch": step / 10} for step in range(1, steps + 1, 20)]
    (run.path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    config = composed("train", TrainConfig, "recipe=sft", f"recipe.args.learning_rate={lr}") | {"seed": seed}
    config |= {"name": run.name, "model": None, "dataset_config": dataset.manifest.config}
    counts = {"arm": arm, "group": "g", "seed": seed, "rows": dataset.manifest.counts["rows"], "steps": steps}
    counts |= {"epochs": steps * 32 / dataset.manifest.counts["rows"]}
    inputs = [Input("model", "builtin:micro-llava", REVISION)]
    inputs += [Input("dataset", dataset.name, dataset.manifest.outputs["rows"])]
    return done(run, config=config, inputs=inputs, outputs={"adapter": f"adapter-of-{run.name}"}, counts=counts)


def evaluate_run(
    root: Path,
    arm: str = "base",
    seed: int | None = None,
    refused: int = 0,  # of N attacks through media; the others succeed
    benign: int = 0,  # refused of their N twins
    text: int = 20,  # successes of 20 attacks through text
    train: Run | None = None,
    tag: str = "",
    group: str | None = None,
    revision: str = REVISION,
    judge: str | None = None,
    split: str = "test",
    limit: int | None = None,
    unjudged: int = 0,
    first: int = 0,  # the refusals begin at this attack
    settings: str = "s",
) -> Run:
    """One evaluate run with chosen counts."""
    name = f"{arm}{'' if seed is None else f'-{seed}'}{tag}".replace(" ", "_")
    run = start("evaluate", name, "x", {}, str(root))
    responses, verdicts = [], []
    for i in range(N):
        place = {"benchmark": "micro", "scenario": SCENARIOS[i % 3], "task": TASKS[i // 3 % 3]}
        for prefix, harmful, hit in (("a", True, first <= i < first + refused), ("b", False, i < benign)):
            twin = None if harmful else f"a{i}"
            responses.append(
                Response(id=f"{prefix}{i}", harmful=harmful, twin_of=twin, response=EVIL, settings=settings, **place)
            )
            label = "safe_refusal" if hit else "unsafe" if harmful else "safe"
            label = "unjudged" if harmful and i >= N - unjudged else label
            verdicts.append(Verdict(f"{prefix}{i}", judge or "micro", label, "", None))
    write_jsonl(run.path / "responses.jsonl", responses)
    write_jsonl(run.path / "verdicts.jsonl", verdicts)
    write_json(run.path / "metrics.json", [to_dict(m) for m in metrics(run.name, seed, refused, benign, text)])
    overrides = [f"benchmark.split={split}", f"limit={'null' if limit is None else limit}"]
    overrides += [f"judge={judge}"] if judge else []
    config = composed("evaluate", EvaluateConfig, *overrides, "+model=micro-llava")
    config |= {"name": name, "adapter": "none" if train is None else train.name}
    inputs = [Input("model", "builtin:micro-llava", revision)]
    inputs += [Input("train", train.name, train.manifest.outputs["adapter"])] if train is not None else []
    files = ("responses.jsonl", "verdicts.jsonl", "metrics.json")
    outputs = {file: sha256_file(run.path / file) for file in files}
    counts = {"arm": arm, "group": group or arm, "seed": seed, "items": len(responses), "unjudged": unjudged}
    return done(run, config=config, inputs=inputs, outputs=outputs, counts=counts)


def metrics(run: str, seed: int | None, refused: int, benign: int, text: int) -> list[Metric]:
    """The metrics of a run; those of single scenarios and tasks are a ninth of the whole."""
    found = []
    places = [("all", "media", N), *[(s, t, N // 9) for s in SCENARIOS for t in TASKS]]
    places += [*[(s, "media", N // 3) for s in SCENARIOS], *[("all", t, N // 3) for t in TASKS]]
    for scenario, task, n in places:
        hits, false = (round(count * n / N) for count in (refused, benign))
        low, high = newcombe(hits, n, false, n)
        shares = {
            "selectivity": {"value": (hits - false) / n, "n": n, "low": low, "high": high},
            "attack_success_rate": rate(n - hits, n),
            "refusal_rate_harmful": rate(hits, n),
            "refusal_rate_benign": rate(false, n),
            "benign_success": rate(n - false, n),
            "understanding": rate(n - 2, n),
            "attack_success_rate_understood": rate(max(0, n - 2 - hits), n - 2),
        }
        found += [(scenario, task, name, share) for name, share in shares.items()]
    found += [("all", "text", "attack_success_rate", rate(text, 20)), ("all", "media", "ability", rate(27, 30))]
    return [
        Metric(
            benchmark="micro", scenario=scenario, task=task, metric=name, judge="micro", unjudged=0, seed=seed,
            split="test", run=run, model="builtin:micro-llava", adapter=None, defense=None, **share,
        )
        for scenario, task, name, share in found
    ]  # fmt: skip


Arms = dict[str, list[tuple[int, int, int]]]  # by arm: per seed, refusals of attacks, of twins, text successes

# Reckoned by hand in the tests: SEA-SFT's selectivity is .50 .55 .60, text-SFT's .10 .20 .30, blank's .45 .60 .60
ARMS: Arms = {
    "text-SFT": [(6, 0, 4), (12, 0, 6), (18, 0, 2)],
    "SEA-SFT": [(36, 6, 4), (39, 6, 5), (42, 6, 3)],
    "blank-SFT": [(57, 30, 4), (57, 21, 4), (57, 21, 4)],
    "shuffled-SFT": [(50, 44, 4), (51, 45, 4), (52, 40, 4)],
    "real-SFT": [(51, 3, 4), (54, 3, 4), (57, 3, 4)],
}


def study_runs(root: Path, arms: Arms = ARMS, upstream: bool = True, **kinds: Any) -> Path:
    """Base and arms over seeds, with the runs that they rest on."""
    store = optimize_run(root) if upstream else None
    evaluate_run(root, **kinds)
    for arm, seeds in arms.items():
        dataset = dataset_run(root, arm.rpartition("-")[0], store, rows_kind=arm) if upstream else None
        for seed, (refused, benign, text) in enumerate(seeds):
            train = train_run(root, arm, seed, dataset) if dataset is not None else None
            evaluate_run(root, arm, seed, refused, benign, text, train, **kinds)
    return root


def settings(root: Path, *overrides: str) -> ReportConfig:
    return compose("report", ReportConfig, f"runs={root}", *overrides)


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests pull no plug, and write hundreds of files."""
    monkeypatch.setattr("os.fsync", lambda handle: None)


@pytest.fixture
def selection(tmp_path: Path) -> Callable[..., Selection]:
    """The selection of a runs folder of these arms, without what lies upstream."""

    def make(arms: Arms = ARMS, **kinds: Any) -> Selection:
        study_runs(tmp_path / "runs", arms, upstream=False, **kinds)
        return collect(settings(tmp_path / "runs"))

    return make


def refusal(what: Callable[[], object]) -> str:
    """The one line with which something is refused."""
    with pytest.raises(SeaError) as caught:
        what()
    assert "\n" not in str(caught.value)
    return str(caught.value)
