"""Prepared samples as later stages take them up: found, checked, shared out among processes, accounted for.

Belongs here: what every stage that makes something per sample does alike. Does not belong here: what it makes of them.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from sea.config import ModelConfig
from sea.console import SeaError, names, rank, world_size
from sea.records import SAMPLES, Manifest, Reject, Sample, read_jsonl
from sea.runs import Run, find, inherited, output_hash
from sea.store import Store


@dataclass(frozen=True)
class Prepared:
    """A prepare run with its samples, and the hash of the file that holds them."""

    run: Run
    sha256: str
    samples: list[Sample]

    @property
    def textset(self) -> str:
        """Name of the text set that was prepared."""
        return textset(self.run.manifest)


def textset(manifest: Manifest) -> str:
    """Name of the text set that a prepare run read."""
    return str((manifest.config.get("textset") or {}).get("name"))


def take_up(model: ModelConfig, reference: str | None, root: str) -> Prepared:
    """The samples that a model is to work on: those named, else the newest in words that it knows.

    Args:
        reference: as in `sea.runs.find`.

    Raises:
        SeaError: nothing to read, or samples of a text set whose words the model does not know.
    """

    def accepts(manifest: Manifest) -> str | None:
        return (
            None
            if model.textset in (None, textset(manifest))
            else f"{model.name} only knows the words of textset {model.textset}"
        )

    return read(find("prepare", reference, root, accepts, builtin=model.textset))


def read(run: Run) -> Prepared:
    """Read the samples of a prepare run, and print that they are taken over.

    Raises:
        SeaError: the file is not the one that the run wrote, or its ids cannot name embeddings.
    """
    sha256 = output_hash(run, SAMPLES)
    samples = read_jsonl(run.path / SAMPLES, Sample)
    inherited("samples", run, f"{len(samples)} samples")
    _check_ids(samples, run)
    return Prepared(run, sha256, samples)


def made_from(run: Run, reference: str | None, root: str) -> Prepared:
    """The samples that a store was made from, wherever they lie now.

    Args:
        run: complete, of sea.optimize or sea.encode.
        reference: as in `sea.runs.find`; None: where the run found them.

    Raises:
        SeaError: they are not there.
    """
    manifest = run.manifest
    (upstream,) = [made for made in manifest.inputs if made.kind == "prepare"]

    def accepts(candidate: Manifest) -> str | None:
        same = candidate.outputs.get(SAMPLES) == upstream.hash
        return None if same else f"the {run.stage} run {run.name} was made from other samples"

    if reference is not None:
        return read(find("prepare", reference, root, accepts))
    for known in (manifest.config.get("samples"), upstream.name, f"builtin:{upstream.name}"):
        if known is not None:
            with contextlib.suppress(SeaError):  # moved or renamed: another may hold the same samples
                return read(find("prepare", known, root, accepts))
    return read(find("prepare", None, root, accepts))


def _check_ids(samples: Sequence[Sample], upstream: Run) -> None:
    seen: set[str] = set()
    for sample in samples:
        try:
            sample.id.encode()
        except UnicodeEncodeError as error:
            raise SeaError(f"{upstream.path / SAMPLES}: the id {sample.id!r} is no text: {error.reason}") from error
    twice = {sample.id for sample in samples if sample.id in seen or seen.add(sample.id)}  # type: ignore[func-returns-value]
    if twice:
        raise SeaError(
            f"{upstream.path / SAMPLES}: ids stand twice: {names(list(twice)[:5])}. "
            "An id names an embedding in the store, so each sample needs its own; prepare the set again"
        )


def share(samples: Sequence[Sample], part: int = 0, parts: int = 1) -> list[Sample]:
    """This process's samples: by a hash of the id, so that it depends on nothing but the number of processes.

    Args:
        part: which of `parts` launches this is, from 0.
    """
    mine, slices = part * world_size() + rank(), parts * world_size()
    return [s for s in samples if int.from_bytes(hashlib.sha256(s.id.encode()).digest()[:8]) % slices == mine]


def left(samples: Sequence[Sample], store: Store) -> list[Sample]:
    """The samples, of all processes and parts, that the store does not list."""
    return [s for s in samples if s.id not in store.embeddings and s.id not in store.rejects]


def refuse_many_rejects(run: Run, rejects: dict[str, Reject], total: int, max_reject_share: float) -> None:
    """Refuse to complete a run of which more was set aside than the user allows.

    Raises:
        SeaError: with some of the reasons.
    """
    if len(rejects) <= max_reject_share * total:
        return
    reasons = sorted({reject.reason for reject in rejects.values()})
    raise SeaError(
        f"{len(rejects)} of {total} samples were set aside, more than max_reject_share="
        f"{max_reject_share}: {'; '.join(reasons[:3])}. Listed in {run.path}/rejects.*.jsonl; "
        "the finished embeddings are kept. Mend the cause and remove those files to try them again, or accept by a "
        "larger max_reject_share"
    )
