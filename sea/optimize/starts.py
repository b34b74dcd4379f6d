"""Where embeddings start: at the blank input, as the method has it, or in an earlier store.

A store must be finished and is named in the manifest, and what a sample takes from it follows from the seed and its id:
so a start depends on no neighbour, no rank and no restart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sea.config import OptimizeConfig
from sea.console import SeaError, names
from sea.models.load import Checkpoint
from sea.models.wire import Encoded
from sea.optimize.targets import Problem
from sea.records import Input, Manifest, Sample
from sea.runs import Run, find, inherited
from sea.samples import made_from
from sea.store import Store

STAGES = {"media": ("encode",), "mean": ("optimize", "encode")}  # whose stores serve


@dataclass(frozen=True)
class Earlier:
    """A finished store, and the samples that it was made from.

    Attributes:
        input: how the manifest names it.
    """

    store: Store
    samples: dict[str, Sample]
    input: Input


def open_earlier(settings: OptimizeConfig, checkpoint: Checkpoint) -> Earlier | None:
    """The store of `start_store`; None where embeddings start at the blank input.

    Raises:
        SeaError: there is no such finished run, it was changed since, or another model made it.
    """
    if settings.start_store is None:
        return None

    def accepts(manifest: Manifest) -> str | None:
        (model,) = [made for made in manifest.inputs if made.kind == "model"]
        found = (model.name, model.hash, (manifest.config.get("model") or {}).get("modality"))
        wanted = (checkpoint.id, checkpoint.revision, settings.model.modality)
        if found != wanted:
            return f"it holds embeddings of {' '.join(map(str, found))}, wanted are those of {' '.join(wanted)}"
        return None

    run = _find(settings, accepts)
    store = Store(run.path)
    digest = run.manifest.outputs["store"]
    store.check_manifest(digest)
    inherited("start_store", run, f"{len(store.embeddings)} embeddings")
    samples = made_from(run, None, settings.runs).samples if settings.optim.start == "media" else []
    return Earlier(store, {sample.id: sample for sample in samples}, Input("start_store", run.name, digest))


def _find(settings: OptimizeConfig, accepts: Callable[[Manifest], str | None]) -> Run:
    """The run of whichever stage has one of that name."""
    reasons = []
    for stage in STAGES[settings.optim.start]:
        try:
            return find(stage, settings.start_store, settings.runs, accepts)
        except SeaError as error:
            reasons.append(str(error))
    raise SeaError(f"start_store={settings.start_store}: {'; '.join(reasons)}")


def initial(settings: OptimizeConfig, blank: Encoded, earlier: Earlier | None) -> Callable[[Problem], Tensor] | None:
    """Where each sample's embedding starts, as `Loop` takes it; None: at the blank.

    Args:
        earlier: the store that `optim.start` needs.

    Raises:
        SeaError: the store holds nothing that is laid out as this model's blank input is; for media, this is found as
            samples start.
    """
    start = settings.optim.start
    if start == "blank":
        return None
    if earlier is None:
        raise SeaError(f"optim.start={start} takes its embeddings from a finished store, and none was given")
    store = earlier.store
    keys = [key for key, record in sorted(store.embeddings.items()) if record.shape == list(blank.emb.shape)]
    if start == "mean":
        return _mean(store, keys, blank)
    return _media(earlier, keys, blank, settings.seed)


def _laid_out_as(blank: Encoded, store: Store, key: str) -> Tensor | None:
    """An embedding of a store; None if what goes beside it is not what goes beside the blank's."""
    found = Encoded.of(store.read(key))
    alike = found.companions.keys() == blank.companions.keys() and all(
        torch.equal(found.companions[name], value) for name, value in blank.companions.items()
    )
    return found.emb if alike else None


def _refusal(store: Store, blank: Encoded, what: str) -> SeaError:
    shapes = {tuple(record.shape) for record in store.embeddings.values()}
    return SeaError(
        f"{store.folder} holds no {what} laid out as the blank input is (E of shape {tuple(blank.emb.shape)}, its "
        f"embeddings have {names(shapes)}): encode media of the blank's size, or set model.blank=... to theirs"
    )


def _mean(store: Store, keys: list[str], blank: Encoded) -> Callable[[Problem], Tensor]:
    total, count = torch.zeros(blank.emb.shape, dtype=torch.float64), 0
    for key in keys:
        emb = _laid_out_as(blank, store, key)
        if emb is not None:
            total, count = total + emb.double(), count + 1
    if not count:
        raise _refusal(store, blank, "embedding")
    mean = (total / count).float()
    return lambda problem: mean


def _media(earlier: Earlier, keys: list[str], blank: Encoded, seed: int) -> Callable[[Problem], Tensor]:
    """A harmless medium, drawn by seed and id; never one of what the sample is to show: nothing would be left."""
    keys = [key for key in keys if key in earlier.samples and not earlier.samples[key].harmful]

    def one(problem: Problem) -> Tensor:
        draw = int.from_bytes(hashlib.sha256(f"start {seed} {problem.sample.id}".encode()).digest()[:8])
        first = draw % max(len(keys), 1)
        for key in keys[first:] + keys[:first]:
            if key != problem.sample.id and earlier.samples[key].phrase != problem.sample.phrase:
                emb = _laid_out_as(blank, earlier.store, key)
                if emb is not None:
                    return emb
        raise _refusal(earlier.store, blank, f"harmless medium of anything but what {problem.sample.id} is to show,")

    return one
