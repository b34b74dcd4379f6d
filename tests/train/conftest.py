"""Dataset runs written by hand after the contract, on the embedded model: no other stage runs here."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import datasets
import pytest
import torch

from sea.config import OptimizeConfig, TrainConfig, compose
from sea.models.load import Loaded, load
from sea.records import Embedding, Input, Row, json_line, read_jsonl, sha256, to_dict
from sea.records import Sample as TextSample
from sea.runs import Run, find
from sea.store import Store, Writer


def model_config():
    return compose("optimize", OptimizeConfig, "+model=micro-llava")


@pytest.fixture(scope="session")
def micro() -> Loaded:
    return load(model_config().model)


@pytest.fixture(scope="session")
def samples() -> list[TextSample]:
    run = find("prepare", "builtin:micro", "runs", lambda manifest: None)
    return read_jsonl(run.path / "samples.jsonl", TextSample)


def write_store(folder: Path, ids: Sequence[str], loaded: Loaded, scale: float = 1.0) -> Store:
    """A store of the blank embedding plus noise of its own for each id."""
    start = loaded.blank()
    writer = Writer(folder, "p1of1-r0")
    batch = []
    for number, key in enumerate(ids):
        noise = torch.randn(start.emb.shape, generator=torch.Generator().manual_seed(number))
        record = Embedding(
            key, "", "", "", [], "", [], loaded.modality, "synthetic", {}, 1, 0.0, True, True, True, [], 0,
            loaded.checkpoint.id, loaded.checkpoint.revision,
        )  # fmt: skip
        batch.append((record, {**start.tensors, "embedding": start.emb + scale * start.emb.std() * noise}))
    writer.add(batch)
    writer.close()
    return Store(folder)


def slot_row(store: Store, folder: Path, key: str, number: int, **fields) -> Row:
    e = store.embeddings[key]
    return Row(
        **{
            "id": f"{number}#synthetic",
            "modality": e.modality,
            "store": os.path.relpath(store.folder, folder),
            "shard": e.shard,
            "key": e.key,
            "embedding_sha256": e.sha256,
            "companions": e.companions,
            "source": "synthetic",
            "harmful": True,
            "category": "test",
            **fields,
        }
    )


def text_row(number: int, **fields) -> Row:
    return Row(
        **{
            "id": f"{number}#text",
            "modality": None,
            "store": None,
            "shard": None,
            "key": None,
            "embedding_sha256": None,
            "companions": [],
            "source": "text",
            "harmful": True,
            "category": "test",
            **fields,
        }
    )


def write_dataset(root: Path, name: str, rows: Sequence[Row], loaded: Loaded, arm: str = "SEA", seed: int = 0) -> Run:
    """A complete dataset run."""
    run = Run("dataset", name, root / "dataset" / name)
    datasets.Dataset.from_list([to_dict(row) for row in rows]).save_to_disk(str(run.path / "rows"))
    config = model_config()
    run.finish(
        config={
            "rows": "synthetic+text",
            "seed": seed,
            "model": dataclasses.asdict(config.model),
            "wording": dataclasses.asdict(config.wording),
        },
        inputs=[Input("model", loaded.checkpoint.id, loaded.checkpoint.revision)],
        outputs={"rows": sha256("".join(map(json_line, rows)).encode())},
        counts={"rows": len(rows), "arm": arm},
        seconds=0.0,
    )
    return run


def mixed_rows(samples: Sequence[TextSample], store: Store, folder: Path) -> list[Row]:
    """Each sample once with E and once as text, as rows=synthetic+text makes them."""
    rows = []
    for number, sample in enumerate(samples):
        texts = {"chosen": sample.chosen, "rejected": sample.rejected, "harmful": sample.harmful}
        question = f"The image shows an activity.\n{sample.detoxified}"
        rows.append(slot_row(store, folder, sample.id, number, prompt=question, **texts))
        rows.append(text_row(number, prompt=sample.instruction, **texts))
    return rows


@pytest.fixture(scope="session")
def make_root(tmp_path_factory, micro, samples) -> Callable[..., Path]:
    """A runs folder with the complete dataset `mine` of `count` samples, two rows each."""

    def make(count: int = 8) -> Path:
        root = tmp_path_factory.mktemp("runs")
        store = write_store(root / "optimize" / "store", [sample.id for sample in samples[:count]], micro)
        folder = root / "dataset" / "mine"
        write_dataset(root, "mine", mixed_rows(samples[:count], store, folder), micro)
        return root

    return make


SMALL = (
    "recipe.args.per_device_train_batch_size=4",
    "recipe.args.gradient_accumulation_steps=1",
    "recipe.lora.r=4",
    "device=cpu",
)


def settings(root: Path, *overrides: str) -> TrainConfig:
    return compose("train", TrainConfig, f"runs={root}", *SMALL, *overrides)
