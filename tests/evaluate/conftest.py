"""The embedded model, a small benchmark, and a train run whose adapter is random LoRA: it changes answers, no more."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from sea.config import EvaluateConfig, compose
from sea.evaluate.benchmarks import Attack, read
from sea.records import Input, sha256_file
from sea.runs import Run

BASE = ("adapter=none", "+model=micro-llava", "benchmark=micro", "limit=4", "batch_size=8")


@pytest.fixture(scope="session")
def attacks() -> list[Attack]:
    return read("micro", "test", {"modes": ["typographic", "icon", "both"], "seed": 0})


@pytest.fixture(scope="session")
def micro():
    from sea.models.load import load

    config = compose("evaluate", EvaluateConfig, *BASE).model
    assert config is not None
    return load(config)


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    """A runs root with a complete train run `lora`."""
    root = tmp_path_factory.mktemp("trained")
    make_train_run(root, "lora")
    return root


def make_train_run(root: Path, name: str, seed: int = 3) -> Run:
    import torch
    from peft import LoraConfig, get_peft_model

    from sea.models.load import load

    config = compose("evaluate", EvaluateConfig, *BASE).model
    assert config is not None
    loaded = load(config)
    torch.manual_seed(seed)
    lora = LoraConfig(r=4, target_modules=loaded.family.lora, init_lora_weights=False)
    run = Run("train", name, root / "train" / name)
    get_peft_model(loaded.model, lora).save_pretrained(run.path / "adapter")
    run.finish(
        config={"model": dataclasses.asdict(config)},
        inputs=[Input("model", loaded.checkpoint.id, loaded.checkpoint.revision)],
        outputs={
            "adapter": sha256_file(run.path / "adapter" / "adapter_model.safetensors"),
            "adapter_config": sha256_file(run.path / "adapter" / "adapter_config.json"),
        },
        counts={"arm": "SEA-SFT", "group": "0123abcd", "seed": seed},
        seconds=1.0,
    )
    return run
