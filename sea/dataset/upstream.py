"""What a dataset is made from: stores, samples, the model and its wording, found and checked to belong together.

Belongs here: which run serves and why another does not. Does not belong here: what becomes of it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from sea.config import DatasetConfig, ModelConfig, WordingConfig, options
from sea.console import SeaError, names, say
from sea.models.load import locate
from sea.records import SAMPLES, Input, Manifest, from_dict
from sea.runs import Run, differences, find, inherited, model_of, output_hash
from sea.samples import Prepared, made_from, take_up
from sea.store import Store

STAGES = {"synthetic": "optimize", "real": "encode"}  # what makes the store of a source
UNSHAPED = ("name", "device", "textset", "revision")  # of a model's settings: no part of what it encodes


@dataclass(frozen=True)
class Upstream:
    """Everything that rows are made from."""

    prepared: Prepared
    limit: int | None  # the first n samples, as the stores were made from; None: all
    model: ModelConfig
    wording: WordingConfig
    model_input: Input
    runs: dict[str, Run]  # source -> the run that holds its store; those sources that are needed
    stores: dict[str, Store]

    @property
    def inputs(self) -> list[Input]:
        """What the manifest names."""
        runs = [Input(run.stage, run.name, run.manifest.outputs["store"]) for run in self.runs.values()]
        return [self.model_input, Input("prepare", self.prepared.run.name, self.prepared.sha256), *runs]


def open_upstream(settings: DatasetConfig) -> Upstream:
    """Find the runs that the rows need.

    Raises:
        SeaError: one is missing, incomplete, changed since, or made from other samples or another model than the rest.
    """
    runs = _stores(settings)
    stores = {source: _opened(source, run) for source, run in runs.items()}
    model, wording, model_input = _model(settings, next(iter(runs.values()), None))
    prepared = (
        made_from(next(iter(runs.values())), settings.samples, settings.runs)
        if runs
        else take_up(model, settings.samples, settings.runs)
    )
    limits = [settings.limit, *(run.manifest.config.get("limit") for run in runs.values())]
    limit = min((limit for limit in limits if limit is not None), default=None)
    if limit != settings.limit:
        say(f"inherited: limit = {limit} (the stores were made from the first {limit} samples)")
    return Upstream(prepared, limit, model, wording, model_input, runs, stores)


def _stores(settings: DatasetConfig) -> dict[str, Run]:
    """The run of each source that needs one: made from the model and samples typed, and from the same as each other."""
    needed = {"synthetic": "synthetic" in settings.sources, "real": settings.needs_real}
    named = {"synthetic": settings.store, "real": settings.real}
    wanted: dict[str, Any] = {}
    origins = []  # where `wanted` comes from, in words
    if settings.model is not None:
        checkpoint = locate(settings.model.id, settings.model.revision)
        wanted["model"] = _shaped(dataclasses.asdict(settings.model), checkpoint.id, checkpoint.revision)
        origins.append(f"+model={settings.model.name}")
    if settings.samples is not None and any(needed.values()):
        run = find("prepare", settings.samples, settings.runs, lambda manifest: None)
        wanted["samples"] = output_hash(run, SAMPLES)
        origins.append(f"samples={settings.samples}")

    def unlike(manifest: Manifest) -> str | None:
        found = _facts(manifest)
        changed = differences({key: found[key] for key in wanted}, wanted)
        return f"it does not go with {' and '.join(origins)} ({'; '.join(changed)})" if changed else None

    runs = {}
    for source in (source for source, need in needed.items() if need):
        runs[source] = run = find(STAGES[source], named[source], settings.runs, unlike)
        wanted, origins = _facts(run.manifest), [f"the {run.stage} run {run.name}"]
    return runs


def _facts(manifest: Manifest) -> dict[str, Any]:
    """Samples and model of a store, to be compared with another's."""
    inputs = {made.kind: made for made in manifest.inputs}
    if not {"model", "prepare"} <= set(inputs) or not isinstance(manifest.config.get("model"), dict):
        raise SeaError(f"the manifest of the {manifest.stage} run {manifest.name} names no model or no samples")
    checkpoint = inputs["model"]
    return {
        "samples": inputs["prepare"].hash,
        "model": _shaped(manifest.config["model"], checkpoint.name, checkpoint.hash),
    }


def _shaped(model: dict[str, Any], checkpoint: str, revision: str) -> dict[str, Any]:
    """What of a model's settings shapes its embeddings."""
    return {k: v for k, v in model.items() if k not in UNSHAPED} | {"id": checkpoint, "revision": revision}


def _opened(source: str, run: Run) -> Store:
    """The store of a run, after checking that it is the one that the manifest describes."""
    store = Store(run.path)
    store.check_manifest(run.manifest.outputs.get("store"))
    inherited("store" if source == "synthetic" else source, run, f"{len(store.embeddings)} embeddings")
    return store


def _model(settings: DatasetConfig, run: Run | None) -> tuple[ModelConfig, WordingConfig, Input]:
    """The model and its wording: those typed, else those of the store."""
    wording: WordingConfig | None
    if settings.model is not None:
        checkpoint = locate(settings.model.id, settings.model.revision)
        model = dataclasses.replace(settings.model, revision=checkpoint.revision)
        wording, model_input = settings.wording, Input("model", checkpoint.id, checkpoint.revision)
    elif run is not None:
        manifest = run.manifest
        model = model_of(manifest, settings.device)
        found = manifest.config.get("wording")
        wording = found and from_dict(WordingConfig, found, f"{run.path}: wording")
        (model_input,) = [made for made in manifest.inputs if made.kind == "model"]
        inherited("model", run, f"{model_input.name} at revision {model_input.hash}")
    else:
        raise SeaError(
            f"rows={settings.rows} reads no store that would name a model: type +model=NAME; "
            f"models: {names(options('model'))}"
        )
    if wording is None:
        raise SeaError("no wording is known, which holds the prompt's prefix: type +model=NAME, whose file chooses one")
    return model, wording, model_input
