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
from sea.optimize.verify import normalised
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
        model = next((made for made in manifest.inputs if made.kind == "model"), None)
        if model is None:
            return "its manifest names no model"
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
    samples = {sample.id: sample for sample in made_from(run, None, settings.runs).samples}
    return Earlier(store, samples, Input("start_store", run.name, digest))


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
        return _Mean(earlier, keys, blank)
    return _Media(earlier, [key for key in keys if not earlier.samples[key].harmful], blank, settings.seed)


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


def _shown(sample: Sample) -> tuple[str, ...]:
    """What a sample's embedding is to show, as a verification compares it: another form of the words is the same."""
    return tuple(normalised(sample.phrase or ""))


class _Mean:
    """The mean of a store's embeddings, without those of what the sample is to show: else they would be its answer."""

    def __init__(self, earlier: Earlier, keys: list[str], blank: Encoded) -> None:
        self.store, self.blank = earlier.store, blank
        self.total, self.keys = torch.zeros(blank.emb.shape, dtype=torch.float64), dict[tuple[str, ...], list[str]]()
        self.count = 0
        for key in keys:
            emb = _laid_out_as(blank, self.store, key)
            if emb is not None:
                self.total, self.count = self.total + emb.double(), self.count + 1
                self.keys.setdefault(_shown(earlier.samples[key]), []).append(key)
        if len(self.keys) < 2:
            raise _refusal(self.store, blank, "embeddings of two phrases")

    def __call__(self, problem: Problem) -> Tensor:
        """The start of one sample."""
        own = self.keys.get(_shown(problem.sample), [])
        left_out = [self.store.read(key)["embedding"].double() for key in own]
        return ((self.total - sum(left_out)) / (self.count - len(own))).float()


class _Media:
    """A harmless medium drawn by seed and id; never one of what the sample is to show: nothing would be left to do."""

    def __init__(self, earlier: Earlier, keys: list[str], blank: Encoded, seed: int) -> None:
        self.store, self.keys, self.blank, self.seed = earlier.store, keys, blank, seed
        self.shown = {key: _shown(earlier.samples[key]) for key in keys}
        if len(set(self.shown.values())) < 2:  # else a sample of the only phrase would find none, in the midst of a run
            raise _refusal(self.store, blank, "harmless media of two phrases")

    def __call__(self, problem: Problem) -> Tensor:
        """The start of one sample."""
        draw = int.from_bytes(hashlib.sha256(f"start {self.seed} {problem.sample.id}".encode()).digest()[:8])
        first, wanted = draw % len(self.keys), _shown(problem.sample)
        for key in self.keys[first:] + self.keys[:first]:
            if self.shown[key] != wanted:
                emb = _laid_out_as(self.blank, self.store, key)
                if emb is not None:
                    return emb
        raise _refusal(self.store, self.blank, f"harmless media but of what {problem.sample.id} is to show,")
