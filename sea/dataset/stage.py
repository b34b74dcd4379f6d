"""The stage around `build`: the runs it reads, the folder it writes, the summary.

Making rows takes seconds, so a build that was cut off starts anew; nothing of it is trusted before the manifest.
"""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sea.config import DatasetConfig
from sea.console import say
from sea.dataset.rows import DROPPED, build
from sea.dataset.upstream import Upstream, open_upstream
from sea.models.load import Loaded, load
from sea.records import Manifest, Row, disk_errors, records_hash, to_dict
from sea.runs import Run, start

ROWS = "rows"


def run_stage(settings: DatasetConfig) -> None:
    """Make the rows of a dataset and write them.

    Raises:
        SeaError: a run is missing or does not fit, or the dataset of that name was made with other settings.
    """
    upstream = open_upstream(settings)
    default_name = f"{upstream.model.name}-{upstream.prepared.textset}"
    run = start(
        "dataset", settings.name, default_name, _settings_that_shape_the_result(settings, upstream), settings.runs
    )
    if not run.complete:
        with run.lock():
            if not run.complete:  # by another process, since the look above
                _make(run, settings, upstream)
    else:
        say(f"{run.path} is complete: nothing to do")
    _report(run, run.manifest)


def _make(run: Run, settings: DatasetConfig, upstream: Upstream) -> None:
    """Build the rows and write the run, the manifest last."""
    began = time.monotonic()
    built = build(
        upstream.prepared.samples[: upstream.limit],
        settings,
        upstream.wording.alignment_prefix,
        run.path,
        upstream.stores.get("synthetic"),
        upstream.stores.get("real"),
        lambda: _load(settings, upstream),
    )
    write(built.rows, run.path / ROWS)
    filled = dataclasses.replace(settings, model=upstream.model, wording=upstream.wording)
    run.finish(
        config=dataclasses.asdict(filled),
        inputs=upstream.inputs,
        outputs={ROWS: records_hash(built.rows)} | ({"controls": built.controls} if built.controls else {}),
        counts=built.counts,
        seconds=time.monotonic() - began,
    )


def _settings_that_shape_the_result(settings: DatasetConfig, upstream: Upstream) -> dict[str, Any]:
    return {
        "rows": settings.sources,
        "control": settings.control,
        "harmless": settings.harmless,
        "filter": settings.filter,
        "limit": upstream.limit,
        "seed": settings.seed,
        "alignment_prefix": dataclasses.asdict(upstream.wording.alignment_prefix),
        "inputs": {made.kind: made.hash for made in upstream.inputs},
        "blank": upstream.model.blank if "blank" in (settings.control, settings.harmless) else None,
    }


def _load(settings: DatasetConfig, upstream: Upstream) -> Loaded:
    """The model that encodes the blank medium, in the dtype of the store that its embedding stands in for."""
    dtypes = {embedding.dtype for store in upstream.stores.values() for embedding in store.embeddings.values()}
    dtype = dtypes.pop() if len(dtypes) == 1 else upstream.model.dtype
    device = upstream.model.device if settings.device == "auto" else settings.device
    return load(dataclasses.replace(upstream.model, device=device, dtype=dtype))


def write(rows: Sequence[Row], folder: Path) -> None:
    """Write rows as an Arrow dataset, under another name until it is whole.

    Raises:
        SeaError: the file system refused.
    """
    import datasets

    text, texts = datasets.Value("string"), datasets.List(datasets.Value("string"))
    kinds = {"companions": texts, "harmful": datasets.Value("bool")}
    columns = [field.name for field in dataclasses.fields(Row)]
    features = datasets.Features({name: kinds.get(name, text) for name in columns})
    made = datasets.Dataset.from_list([to_dict(row) for row in rows], features=features)
    temporary = folder.with_name(f".{folder.name}.tmp")
    bars = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        with disk_errors(folder):
            for old in (temporary, folder):
                shutil.rmtree(old, ignore_errors=True)
            made.save_to_disk(str(temporary))
            temporary.rename(folder)
    finally:
        if not bars:
            datasets.enable_progress_bars()


def _report(run: Run, manifest: Manifest) -> None:
    """The dataset in three lines."""
    counts = manifest.counts
    sources = ", ".join(f"{count} {source}" for source, count in counts["by_source"].items())
    dropped = ", ".join(f"{counts['dropped'][reason]} {reason}" for reason in DROPPED)
    say(
        f"arm {counts['arm']}: {counts['rows']} rows ({sources}); {counts['harmful']} harmful, "
        f"{counts['harmless']} harmless\n"
        f"dropped: {dropped}; without a phrase, so kept as text: {counts['without_phrase']}\n"
        f"output: {run.path / ROWS}"
    )
