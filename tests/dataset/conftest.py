"""Runs of the earlier stages, written by hand: embeddings are random numbers, so a store takes no optimisation."""

import dataclasses
from pathlib import Path

import pytest
import torch

from sea.config import DatasetConfig, EncodeConfig, OptimizeConfig, compose
from sea.console import SeaError
from sea.dataset.stage import run_stage
from sea.models.load import locate
from sea.records import SAMPLES, Embedding, Input, Row, Sample, from_dict, read_jsonl, sha256_file, write_jsonl
from sea.runs import Run, find, start
from sea.store import Store, Writer, content_hash, unoptimised

MODEL = "+model=micro-llava"
REVISION = locate("builtin:micro-llava").revision
SHAPE = (4, 3)


def some_samples() -> list[Sample]:
    """Eight harmful and six harmless samples; the last of each has no phrase."""
    run = find("prepare", "builtin:micro", "runs", lambda manifest: None)
    found = read_jsonl(run.path / SAMPLES, Sample)
    chosen = [s for s in found if s.harmful][:8] + [s for s in found if not s.harmful][:6]
    bare = {"phrase": None, "kind": None, "sentence": None, "detoxified": None}
    return [dataclasses.replace(s, **bare) if place in (7, 13) else s for place, s in enumerate(chosen)]


SAMPLES_MADE = some_samples()
MISSED, UNVERIFIED, ABSENT = (SAMPLES_MADE[place].id for place in (0, 1, 9))  # two harmful, one harmless


def prepare(root: Path, samples: list[Sample] = SAMPLES_MADE, name: str = "mine", textset: str = "micro") -> Run:
    run = start("prepare", name, "x", {}, str(root))
    write_jsonl(run.path / SAMPLES, samples)
    run.finish({"textset": {"name": textset}}, [], {SAMPLES: sha256_file(run.path / SAMPLES)}, {}, 0.0)
    return run


def tensors(key: str, source: str) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(sum(f"{source}{key}".encode()))
    return {
        "embedding": torch.randn(SHAPE, generator=draw) * torch.arange(1, 4) + 5,
        "sizes": torch.tensor([len(key)]),
    }


def records(source: str, absent: tuple[str, ...] = ()) -> list[tuple[Embedding, dict[str, torch.Tensor]]]:
    made = []
    for sample in SAMPLES_MADE:
        if sample.phrase is None or sample.id in absent:
            continue
        facts = {"hit": sample.id != MISSED, "verified": sample.id not in (MISSED, UNVERIFIED)}
        record = unoptimised(sample.id, source, "image", 0, "builtin:micro-llava", REVISION)
        if source == "synthetic":
            record = dataclasses.replace(record, **facts)
        made.append((record, tensors(sample.id, source)))
    return made


def store(
    root: Path, prepared: Run, stage: str = "optimize", name: str = "mine", model: str = REVISION, **config
) -> Run:
    """A complete optimize or encode run."""
    schema = {"optimize": OptimizeConfig, "encode": EncodeConfig}[stage]
    settings = dataclasses.asdict(compose(stage, schema, MODEL)) | config
    run = start(stage, name, "x", {}, str(root))
    writer = Writer(run.path, "p1of1-r0")
    source, absent = ("synthetic", (ABSENT,)) if stage == "optimize" else ("real", ())
    made = records(source, absent)
    for first in range(0, len(made), 5):
        writer.add(made[first : first + 5])
    writer.close()
    inputs = [
        Input("model", "builtin:micro-llava", model),
        Input("prepare", prepared.name, sha256_file(prepared.path / SAMPLES)),
    ]
    run.finish(settings, inputs, {"store": content_hash(Store(run.path).embeddings)}, {}, 0.0)
    return run


@pytest.fixture
def root(tmp_path) -> Path:
    """prepare, optimize and encode, complete."""
    prepared = prepare(tmp_path)
    store(tmp_path, prepared)
    store(tmp_path, prepared, "encode")
    return tmp_path


def go(root: Path, name: str, *overrides: str) -> list[Row]:
    """Run the stage; returns what the dataset holds."""
    run_stage(compose("dataset", DatasetConfig, f"runs={root}", f"name={name}", *overrides))
    return rows_of(root / "dataset" / name)


def rows_of(folder: Path) -> list[Row]:
    import datasets

    return [from_dict(Row, values, "rows") for values in datasets.load_from_disk(str(folder / "rows"))]


def embedding_of(folder: Path, row: Row) -> torch.Tensor:
    """What a row points to, read as training would: by folder, shard and key alone."""
    from safetensors import safe_open

    with safe_open(folder / str(row.store) / str(row.shard), framework="pt") as shard:
        return shard.get_tensor(f"{row.key}/embedding")


def refused(root: Path, *overrides: str) -> str:
    with pytest.raises(SeaError) as error:
        go(root, "null", *overrides)
    return str(error.value)
