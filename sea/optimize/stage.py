"""The stage around `optimize`: which samples are left, the store, progress, completion by whichever process is last.

Ranks and parts take samples by a hash of their ids, write under their own names and never wait for each other.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sea.config import OptimizeConfig, parse_part
from sea.console import SeaError, rank, say, world_size
from sea.models.load import Checkpoint, Loaded, identity, load, locate
from sea.optimize.background import Background
from sea.optimize.embed import Results, optimize
from sea.optimize.loop import StepReport
from sea.optimize.preview import preview, shaping_optim
from sea.optimize.starts import Earlier, open_earlier
from sea.optimize.watch import Watch
from sea.records import SAMPLES, Embedding, Input, Manifest, Sample
from sea.runs import Run, output_hash, refuse_drift, start
from sea.samples import Prepared, left, refuse_many_rejects, share, take_up
from sea.statistics import rate, rate_text
from sea.store import SHARDS, Store, Writer, content_hash
from sea.tracking import Tracker


@dataclass(frozen=True)
class Work:
    """What this launch is about: the upstream samples, the checkpoint, the run that they lead to."""

    prepared: Prepared
    samples: list[Sample]  # those with a phrase; the others stay text
    without_phrase: int
    checkpoint: Checkpoint
    earlier: Earlier | None  # the store that embeddings start from
    run: Run


def open_work(settings: OptimizeConfig) -> Work:
    """Find the samples and the checkpoint, and open the run (new, or to be continued).

    Raises:
        SeaError: nothing to read, or the run was made with other settings, samples or another revision of the model.
    """
    checkpoint = locate(settings.model.id, settings.model.revision)

    prepared = take_up(settings.model, settings.samples, settings.runs)
    samples = prepared.samples[: settings.limit]
    with_phrase = [sample for sample in samples if sample.phrase is not None]
    if not with_phrase:
        raise SeaError(f"{prepared.run.path / SAMPLES} holds no sample with a phrase: there is nothing to optimise")

    earlier = open_earlier(settings, checkpoint)
    shaping = _settings_that_shape_the_result(settings, checkpoint, prepared.sha256)
    if earlier is not None:
        shaping["start_store"] = earlier.input.hash
    if settings.name is None and settings.model.revision is None:
        refuse_drift("optimize", shaping, settings.runs)
    default_name = f"{settings.model.name}-{prepared.textset}"
    run = start("optimize", settings.name, default_name, shaping, settings.runs, settings.dry_run)
    return Work(prepared, with_phrase, len(samples) - len(with_phrase), checkpoint, earlier, run)


def _settings_that_shape_the_result(settings: OptimizeConfig, checkpoint: Checkpoint, samples: str) -> dict[str, Any]:
    wording = dataclasses.asdict(settings.wording)
    del wording["alignment_prefix"]  # stage 3's
    return {
        "model": identity(settings.model, checkpoint),
        "wording": wording,
        "optim": shaping_optim(settings.optim),
        "samples": samples,
        "limit": settings.limit,
        "seed": settings.seed,
        "max_new_tokens": settings.max_new_tokens,
    }


def run_stage(settings: OptimizeConfig) -> None:
    """Do this process's share of the samples, then complete the run if nothing is left of any."""
    work = open_work(settings)
    if work.run.complete:
        say(f"{work.run.path} is complete: nothing to do")
        _report(work.run.manifest)
        return
    waiting = left(work.samples, Store(work.run.path))
    mine = share(waiting, *parse_part(settings.part))
    if mine or settings.dry_run:
        # Pinned: the files must not change between the look at them above and this.
        loaded = load(dataclasses.replace(settings.model, revision=work.checkpoint.revision))
        preview(settings, loaded, work.run.path, mine, len(waiting), len(work.samples), work.without_phrase)
        if settings.dry_run:
            return
        _work_through(work, loaded, settings)
    _complete(work, settings)


def _work_through(work: Work, loaded: Loaded, settings: OptimizeConfig) -> None:
    part, parts = parse_part(settings.part)
    writer_name = f"p{part + 1}of{parts}-r{rank()}"
    charts = work.run.name if parts == 1 else f"{work.run.name}-{part + 1}of{parts}"

    with (
        work.run.lock(writer_name),
        Tracker(settings.report_to, charts, work.run.path, dataclasses.asdict(settings)) as tracker,
    ):
        # Looked up anew under the lock: another launch may have finished some since.
        store = Store(work.run.path)
        todo = share(left(work.samples, store), part, parts)
        writer = Writer(work.run.path, writer_name)
        before = sum(e.steps + 1 for e in store.embeddings.values() if e.shard.startswith(f"{SHARDS}/{writer_name}-"))
        watch = Watch(len(todo), tracker, loaded.device, before)

        def write(results: Results) -> tuple[list[Embedding], int]:
            writer.reject(results.rejects)
            return writer.add(results.embeddings), len(results.rejects)

        background: Background[tuple[list[Embedding], int]] = Background(lambda written: watch.written(*written))

        def observe(report: StepReport) -> None:
            background.collect()
            watch.step(report)

        with background:
            for results in optimize(loaded, todo, settings, observe, work.earlier):
                if work.run.complete:
                    raise SeaError(
                        f"{work.run.path} was completed by another launch in the meantime: nothing is left to do"
                    )
                background.do(functools.partial(write, results))
        watch.close()
        writer.close()


def _complete(work: Work, settings: OptimizeConfig) -> None:
    """Write the manifest if every sample of every part is accounted for. Any process may be the one that does."""
    with work.run.lock("complete", wait_s=600):
        if work.run.complete:
            return
        store = Store(work.run.path)
        if missing := left(work.samples, store):
            who = f"process {rank() + 1} of {world_size()}" + (f", part {settings.part}" if settings.part else "")
            say(
                f"{who} is done; {len(missing)} samples of other processes or parts are left; "
                "the last to finish completes the run"
            )
            return
        counts = _counts(work, store)
        refuse_many_rejects(work.run, store.rejects, len(work.samples), settings.max_reject_share)
        manifest = work.run.finish(
            config=dataclasses.asdict(settings),
            inputs=[
                Input("model", work.checkpoint.id, work.checkpoint.revision),
                Input("prepare", work.prepared.run.name, output_hash(work.prepared.run, SAMPLES)),
                *([work.earlier.input] if work.earlier is not None else []),
            ],
            outputs={"store": content_hash(store.embeddings)},
            counts=counts,
            seconds=sum(e.seconds for e in store.embeddings.values()),
        )
        _report(manifest, any_rank=True)


def _counts(work: Work, store: Store) -> dict[str, Any]:
    """The stage's numbers, with intervals: OSR, the share at the margin, and the verification rates by wording."""
    attempted = [sample.id for sample in work.samples]
    found = [store.embeddings[i] for i in attempted if i in store.embeddings]
    n = len(attempted)
    harmful = {sample.id for sample in work.samples if sample.harmful}
    return {
        "attempted": n,
        "embeddings": len(found),
        "set_aside": len(store.rejects),
        "without_phrase": work.without_phrase,
        "osr": rate(sum(e.hit for e in found), n),
        "margin_reached": rate(sum(e.margin_reached for e in found), n),
        "verified": rate(sum(e.verified for e in found), n),
        "vsr": _vsr(found, "verify:", n),
        "audit_vsr": _vsr(found, "audit:", n),
        "audit_vsr_harmful": _vsr([e for e in found if e.id in harmful], "audit:", len(harmful)),
        "audit_vsr_harmless": _vsr([e for e in found if e.id not in harmful], "audit:", n - len(harmful)),
        "mean_steps": round(sum(e.steps for e in found) / max(len(found), 1), 3),
        "mean_seconds": round(sum(e.seconds for e in found) / max(len(found), 1), 4),
    }


def _vsr(found: Sequence[Embedding], group: str, attempted: int) -> dict[str, Any]:
    """Verification success rate: the mean over a group's wordings, and each wording with its interval.

    A sample without an embedding counts as a failure. The mean's interval takes each (sample, wording) answer as one
    observation; a sample's answers are not independent, so it is somewhat too narrow: read the wordings' own intervals.
    """
    stated: dict[str, int] = {}
    for embedding in found:
        for answer in embedding.answers:
            if answer.wording.startswith(group):
                stated[answer.wording] = stated.get(answer.wording, 0) + answer.states_phrase
    by_wording = {wording: rate(count, attempted) for wording, count in sorted(stated.items())}
    return {**rate(sum(stated.values()), attempted * len(stated)), "by_wording": by_wording}


def _report(manifest: Manifest, any_rank: bool = False) -> None:
    """The run in three lines."""
    counts = manifest.counts

    def text(key: str) -> str:
        return rate_text(counts[key])

    lines = [
        f"complete: {counts['embeddings']} embeddings of {counts['attempted']} samples, "
        f"{counts['set_aside']} set aside",
        f"OSR {text('osr')}, at the margin {text('margin_reached')}, verified {text('verified')}",
        f"audit VSR {text('audit_vsr')} (harmful {text('audit_vsr_harmful')}, harmless {text('audit_vsr_harmless')}); "
        f"{counts['mean_steps']} steps and {counts['mean_seconds']} s a sample",
    ]
    say("\n".join(lines), any_rank)
