"""The stage around a benchmark: which model with which adapter, the batches that are left, completion, the summary.

Every finished batch is a file of its own, so a kill loses the batch that was being answered and nothing else. Ranks
take every n-th batch and never wait for each other; whoever finds nothing left judges, counts and completes.
"""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sea.config import EvaluateConfig, ModelConfig, options
from sea.console import Progress, SeaError, names, rank, say, world_size
from sea.evaluate.benchmarks import Attack, digest, read
from sea.evaluate.judges import UNJUDGED, Judge, load_judge, verdicts, wake
from sea.evaluate.metrics import Source, headline, measure
from sea.evaluate.respond import partition, respond
from sea.models.load import Checkpoint, identity, load, locate
from sea.records import (
    Input,
    Manifest,
    Response,
    Verdict,
    from_dict,
    read_json,
    settings_hash,
    sha256_file,
    to_dict,
    write_json,
    write_jsonl,
)
from sea.runs import Run, differences, find, inherited, model_of, refuse_drift, start
from sea.statistics import rate_text

RESPONSES, VERDICTS, METRICS = "responses.jsonl", "verdicts.jsonl", "metrics.json"
BATCHES = "batches"  # finished batches, until they are joined into RESPONSES
ADAPTER, WEIGHTS, CONFIG = "adapter", "adapter_model.safetensors", "adapter_config.json"
BASE = "none"  # adapter=none


@dataclass(frozen=True)
class Work:
    """What this launch is about: the items, the model with its adapter, the run that they lead to."""

    attacks: list[Attack]
    batches: list[list[Attack]]
    judge: Judge
    model: ModelConfig
    checkpoint: Checkpoint
    trained: Run | None  # the train run whose adapter is evaluated
    generation: str  # hash of the generation settings
    run: Run


def open_work(settings: EvaluateConfig) -> Work:
    """Read the benchmark, find the model and the adapter, and open the run (new, or to be continued).

    Raises:
        SeaError: one of them is not there or does not fit the others, or the run was made with other settings.
    """
    judge_name = settings.judge or settings.benchmark.judge
    judge = load_judge(judge_name)
    benchmark = settings.benchmark
    attacks = read(benchmark.reader, benchmark.split, benchmark.args, settings.limit)
    wake(judge, attacks)  # a judge that cannot read these answers is better known before the work than after
    trained = _adapter(settings)
    model = _model(settings, trained)
    checkpoint = locate(model.id, model.revision)
    generation = {
        "max_new_tokens": settings.max_new_tokens,
        "do_sample": False,
        "batch_size": settings.batch_size,  # rounding depends on the batch: part of what is byte for byte the same
    }
    shaping = {
        "model": identity(model, checkpoint),
        "adapter": None if trained is None else trained.manifest.outputs[ADAPTER],
        "benchmark": dataclasses.asdict(benchmark) | {"judge": judge_name, "items": digest(attacks)},
        "limit": settings.limit,
        "generation": generation,
    }
    if settings.name is None and model.revision is None:
        refuse_drift("evaluate", shaping, settings.runs)
    who = model.name if trained is None else trained.name
    run = start("evaluate", settings.name, f"{who}-{benchmark.name}", shaping, settings.runs, settings.dry_run)
    batches = partition(attacks, settings.batch_size)
    return Work(attacks, batches, judge, model, checkpoint, trained, settings_hash(generation), run)


def _adapter(settings: EvaluateConfig) -> Run | None:
    """The train run whose adapter is meant; None for the base model.

    Raises:
        SeaError: there is none, it was trained on another model than +model says, or its weights changed since.
    """
    if settings.adapter == BASE:
        return None

    def accepts(manifest: Manifest) -> str | None:
        changed = _contradictions(manifest, settings.model)
        return (
            f"its model and +model contradict each other ({'; '.join(changed)}): leave +model out" if changed else None
        )

    try:
        run = find("train", settings.adapter, settings.runs, accepts)
    except SeaError as error:
        raise SeaError(f"{error}. The base model is evaluated by adapter={BASE} +model=NAME") from error
    outputs = run.manifest.outputs
    for file, recorded in ((WEIGHTS, outputs.get(ADAPTER)), (CONFIG, outputs.get("adapter_config"))):
        path = run.path / ADAPTER / file
        if file == CONFIG and recorded is None:  # train runs did not record it at first
            continue
        if not path.is_file() or sha256_file(path) != recorded:
            raise SeaError(
                f"{path} is not the file that {run.path}/manifest.json describes: it was changed or lost. Train again "
                "under another name=..., or name another adapter=..."
            )
    inherited("adapter", run, f"{run.manifest.counts.get('arm')}, seed {run.manifest.counts.get('seed')}")
    return run


def _contradictions(manifest: Manifest, typed: ModelConfig | None) -> list[str]:
    """What +model says otherwise than the run that was made with a model; where it runs is no matter."""
    if typed is None:
        return []
    made = dataclasses.replace(model_of(manifest), device=typed.device)
    if typed.revision is None:
        made = dataclasses.replace(made, revision=None)
    return differences(dataclasses.asdict(made), dataclasses.asdict(typed))


def _model(settings: EvaluateConfig, trained: Run | None) -> ModelConfig:
    """The model to load, on the device asked for.

    Raises:
        SeaError: there is none, or two devices are asked for.
    """
    typed = settings.model
    if typed is not None and typed.device not in ("auto", settings.device) and settings.device != "auto":
        raise SeaError(f"device={settings.device} and model.device={typed.device} contradict each other: type one")
    asked = typed.device if typed is not None and settings.device == "auto" else settings.device
    if trained is not None:
        model = model_of(trained.manifest, asked)
        inherited("model", trained, f"{model.id}, revision {model.revision}")
        return model
    if typed is None:
        raise SeaError(f"adapter={BASE} evaluates a base model: type +model=NAME; models: {names(options('model'))}")
    return dataclasses.replace(typed, device=asked)


def run_stage(settings: EvaluateConfig) -> None:
    """Answer this process's share of the batches, then complete the run if nothing is left of any."""
    work = open_work(settings)
    if work.run.complete:
        say(f"{work.run.path} is complete: nothing to do")
        _report(work.run.manifest, work.run)
        return
    _preview(work, settings)
    if settings.dry_run:
        return
    with work.run.lock(f"r{rank()}"):
        if not work.run.complete:  # by another launch, since the look above
            _work_through(work, settings)
    _complete(work, settings)


def _preview(work: Work, settings: EvaluateConfig) -> None:
    by_task = Counter(attack.task for attack in work.attacks)
    left = len(_left(work))
    say(
        f"model: {work.model.name} ({work.checkpoint.id}, revision {work.checkpoint.revision}), frozen; "
        + ("no adapter" if work.trained is None else f"adapter {work.trained.path / ADAPTER}")
    )
    say(
        f"to do: {left} of {len(work.batches)} batches of {settings.batch_size}; {len(work.attacks)} items of "
        f"{settings.benchmark.name} ({settings.benchmark.split}): {', '.join(f'{n} {t}' for t, n in by_task.items())}"
    )
    say(f"output: {work.run.path}")


def _file(work: Work, number: int) -> Path:
    return work.run.path / BATCHES / f"{number:05d}.json"


def _left(work: Work) -> list[int]:
    """Numbers of the batches that no process has finished."""
    return [number for number in range(len(work.batches)) if not _file(work, number).is_file()]


def _work_through(work: Work, settings: EvaluateConfig) -> None:
    mine = [number for number in _left(work) if number % world_size() == rank()]
    if not mine:
        return
    adapter = None if work.trained is None else str(work.trained.path / ADAPTER)
    # Pinned: the files must not change between the look at them above and this.
    loaded = load(dataclasses.replace(work.model, revision=work.checkpoint.revision), adapter)
    batches = [work.batches[number] for number in mine]
    progress = Progress(f"evaluate ({rank() + 1} of {world_size()})", sum(map(len, batches)))
    progress.update(0)
    done, since = 0, time.monotonic()
    answered = respond(loaded, batches, settings.benchmark.name, settings.max_new_tokens, work.generation)
    for number, responses in zip(mine, answered, strict=True):
        now = time.monotonic()
        written = {"seconds": round(now - since, 3), "responses": [to_dict(response) for response in responses]}
        write_json(_file(work, number), written)
        since, done = now, done + len(responses)
        progress.update(done)
    progress.close()


def _complete(work: Work, settings: EvaluateConfig) -> None:
    """Judge, count and write the manifest if every batch is there. Any process may be the one that does."""
    with work.run.lock("complete", wait_s=600):
        if work.run.complete:
            return
        if left := _left(work):
            say(
                f"process {rank() + 1} of {world_size()} is done; {len(left)} batches of other processes are left; "
                "the last to finish completes the run"
            )
            return
        responses, seconds = _join(work)
        found = verdicts(work.judge, work.attacks, responses)
        metrics = measure(work.attacks, {v.id: v for v in found}, _source(work, settings))
        write_jsonl(work.run.path / RESPONSES, (responses[attack.id] for attack in work.attacks))
        write_jsonl(work.run.path / VERDICTS, found)
        write_json(work.run.path / METRICS, [to_dict(metric) for metric in metrics])
        _refuse_many_unjudged(work, found, settings)
        inputs = [Input("model", work.checkpoint.id, work.checkpoint.revision)]
        if work.trained is not None:
            inputs.append(Input("train", work.trained.name, work.trained.manifest.outputs[ADAPTER]))
        manifest = work.run.finish(
            config=dataclasses.asdict(dataclasses.replace(settings, model=work.model)),
            inputs=inputs,
            outputs={file: sha256_file(work.run.path / file) for file in (RESPONSES, VERDICTS, METRICS)},
            counts={
                **_lineage(work),
                "items": len(work.attacks),
                "unjudged": sum(v.label == UNJUDGED for v in found),
                "headline": headline(metrics),
            },
            seconds=seconds,
        )
        shutil.rmtree(work.run.path / BATCHES, ignore_errors=True)
        _report(manifest, work.run, any_rank=True)


def _join(work: Work) -> tuple[dict[str, Response], float]:
    """All responses by id, and the seconds that they took.

    Raises:
        SeaError: a batch's file was damaged.
    """
    responses: dict[str, Response] = {}
    seconds = 0.0
    for number, batch in enumerate(work.batches):
        path = _file(work, number)
        values = read_json(path)
        try:
            seconds += float(values["seconds"])
            found = [from_dict(Response, r, str(path)) for r in values["responses"]]
        except (KeyError, TypeError, ValueError) as error:
            raise SeaError(f"{path} is damaged ({error}): remove it, then run the same command again") from error
        if [response.id for response in found] != [attack.id for attack in batch]:
            raise SeaError(f"{path} does not hold the items of its batch: remove it, then run the same command again")
        responses |= {response.id: response for response in found}
    return responses, seconds


def _lineage(work: Work) -> dict[str, Any]:
    """Arm, group and seed as the adapter's training has them."""
    if work.trained is None:
        return {"arm": "base", "group": "base", "seed": None}
    counts = work.trained.manifest.counts
    return {"arm": counts.get("arm", work.trained.name), "group": counts.get("group"), "seed": counts.get("seed")}


def _source(work: Work, settings: EvaluateConfig) -> Source:
    return Source(
        benchmark=settings.benchmark.name,
        judge=work.judge.name,
        seed=_lineage(work)["seed"],
        split=settings.benchmark.split,
        run=work.run.name,
        model=work.model.name,
        adapter=None if work.trained is None else work.trained.name,
        defense=None,
    )


def _refuse_many_unjudged(work: Work, found: list[Verdict], settings: EvaluateConfig) -> None:
    unjudged = [v for v in found if v.label == UNJUDGED]
    if len(unjudged) <= settings.max_unjudged_share * len(found):
        return
    reasons = [f"{n} x {reason}" for reason, n in Counter(v.reason for v in unjudged).most_common(3)]
    raise SeaError(
        f"{len(unjudged)} of {len(found)} items are unjudged, more than max_unjudged_share="
        f"{settings.max_unjudged_share}: {'; '.join(reasons)}. Listed in {work.run.path / VERDICTS}; all responses are "
        f"kept. Mend the cause and remove {work.run.path / BATCHES} to ask again, or accept by a larger "
        "max_unjudged_share"
    )


SUMMARY = (
    ("attack success, text", "attack_success_rate_text"),
    ("attack success, media", "attack_success_rate"),
    ("refusal of harmful media", "refusal_rate_harmful"),
    ("refusal of benign media", "refusal_rate_benign"),
    ("selectivity, media", "selectivity"),
    ("benign success, media", "benign_success"),
    ("ability", "ability"),
    ("understanding", "understanding"),
)


def _report(manifest: Manifest, run: Run, any_rank: bool = False) -> None:
    """Print the headline; benign success, ability and understanding beside every attack success rate."""
    counts = manifest.counts
    lines = [f"evaluate {counts['arm']} (seed {counts['seed']}): {counts['items']} items, {manifest.seconds:.0f} s"]
    for label, key in SUMMARY:
        if key in counts["headline"]:
            lines.append(f"  {label:<26}{rate_text(counts['headline'][key])}")
    if counts["unjudged"]:
        lines.append(f"  unjudged: {counts['unjudged']}, in none of the rates")
    lines.append(f"  by scenario and task: {run.path / METRICS}")
    say("\n".join(lines), any_rank)
