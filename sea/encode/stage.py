"""The stage around `encode`: which samples are left, the store, progress, completion by whichever process is last.

Ranks take samples by a hash of their ids, write under their own names and never wait for each other.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from sea.config import EncodeConfig
from sea.console import Progress, SeaError, rank, say, world_size
from sea.encode.embed import encode
from sea.encode.mediasets import MediaSet, open_set, read
from sea.media import Form
from sea.models.load import Checkpoint, Loaded, identity, load, locate
from sea.records import SAMPLES, Input, Manifest, Sample
from sea.runs import Run, output_hash, refuse_drift, start
from sea.samples import Prepared, left, refuse_many_rejects, share, take_up
from sea.store import Store, Writer, content_hash


@dataclass(frozen=True)
class Work:
    """What this launch is about: the upstream samples, the checkpoint, the media, the run that they lead to."""

    prepared: Prepared
    samples: list[Sample]  # those with a phrase that a medium can show, or with a medium of their own
    without_phrase: int  # samples with neither
    checkpoint: Checkpoint
    media: MediaSet
    fingerprint: str  # of the media set
    run: Run


def open_work(settings: EncodeConfig) -> Work:
    """Find the samples, the media and the checkpoint, and open the run (new, or to be continued).

    Raises:
        SeaError: nothing to read, media that the model does not read, or a run made with other settings.
    """
    media = open_set(settings.mediaset, settings.model.modality)
    fingerprint = media.fingerprint()
    checkpoint = locate(settings.model.id, settings.model.revision)
    prepared = take_up(settings.model, settings.samples, settings.runs)
    samples = prepared.samples[: settings.limit]
    wanted = media.wanted(samples, settings.model.modality)
    if not wanted:
        raise SeaError(
            f"mediaset={settings.mediaset.name} has a medium for none of the {len(samples)} samples in "
            f"{prepared.run.path / SAMPLES} (a sample needs a phrase, or a medium of its own there): type "
            "samples=NAME of those that it belongs to"
        )
    shaping = {
        "model": identity(settings.model, checkpoint),
        "mediaset": dataclasses.asdict(settings.mediaset) | {"fingerprint": fingerprint},
        "samples": prepared.sha256,
        "limit": settings.limit,
        "seed": settings.seed,
    }
    if settings.name is None and settings.model.revision is None:
        refuse_drift("encode", shaping, settings.runs)
    default_name = f"{settings.model.name}-{settings.mediaset.name}"
    run = start("encode", settings.name, default_name, shaping, settings.runs)
    return Work(prepared, wanted, len(samples) - len(wanted), checkpoint, media, fingerprint, run)


def run_stage(settings: EncodeConfig) -> None:
    """Do this process's share of the samples, then complete the run if nothing is left of any."""
    work = open_work(settings)
    if work.run.complete:
        say(f"{work.run.path} is complete: nothing to do")
        _report(work.run, work.run.manifest)
        return
    if share(left(work.samples, Store(work.run.path))):
        # Pinned: the files must not change between the look at them above and this.
        loaded = load(dataclasses.replace(settings.model, revision=work.checkpoint.revision))
        _work_through(work, loaded, settings)
    _complete(work, settings)


def _work_through(work: Work, loaded: Loaded, settings: EncodeConfig) -> None:
    writer_name = f"p1of1-r{rank()}"
    with work.run.lock(writer_name):
        # Looked up anew under the lock: another launch may have finished some since.
        todo = share(left(work.samples, Store(work.run.path)))
        say(f"to do: {len(todo)} of {len(work.samples)} media here ({loaded.dtype}, {loaded.device})")
        say(f"output: {work.run.path}")
        writer = Writer(work.run.path, writer_name)
        progress = Progress(f"encode ({rank() + 1} of {world_size()})", len(todo))
        done = 0
        form = Form.of(settings.model.modality, settings.model.blank)
        media = read(work.media, todo, settings.seed, form)
        for results in encode(loaded, media, settings.seed, settings.batch_size, settings.flush_every):
            if work.run.complete:
                raise SeaError(
                    f"{work.run.path} was completed by another launch in the meantime: nothing is left to do"
                )
            writer.reject(results.rejects)
            writer.add(results.embeddings)
            done += len(results.embeddings) + len(results.rejects)
            progress.update(done)
        progress.close()
        writer.close()


def _complete(work: Work, settings: EncodeConfig) -> None:
    """Write the manifest if every sample of every process is accounted for. Any process may be the one that does."""
    with work.run.lock("complete", wait_s=600):
        if work.run.complete:
            return
        store = Store(work.run.path)
        if missing := left(work.samples, store):
            say(
                f"process {rank() + 1} of {world_size()} is done; {len(missing)} media of other processes are left; "
                "the last to finish completes the run"
            )
            return
        refuse_many_rejects(work.run, store.rejects, len(work.samples), settings.max_reject_share)
        harmful = sum(sample.harmful for sample in work.samples if sample.id in store.embeddings)
        manifest = work.run.finish(
            config=dataclasses.asdict(settings),
            inputs=[
                Input("model", work.checkpoint.id, work.checkpoint.revision),
                Input("prepare", work.prepared.run.name, output_hash(work.prepared.run, SAMPLES)),
                Input("mediaset", settings.mediaset.name, work.fingerprint),
            ],
            outputs={"store": content_hash(store.embeddings)},
            counts={
                "attempted": len(work.samples),
                "embeddings": len(store.embeddings),
                "harmful": harmful,
                "harmless": len(store.embeddings) - harmful,
                "set_aside": len(store.rejects),
                "without_phrase": work.without_phrase,
            },
            seconds=sum(e.seconds for e in store.embeddings.values()),
        )
        _report(work.run, manifest, any_rank=True)


def _report(run: Run, manifest: Manifest, any_rank: bool = False) -> None:
    counts = manifest.counts
    say(
        f"complete: {counts['embeddings']} real media of {counts['attempted']} samples ({counts['harmful']} harmful, "
        f"{counts['harmless']} harmless), {counts['set_aside']} set aside, "
        f"{counts['without_phrase']} samples without phrase or medium -> {run.path}",
        any_rank,
    )
