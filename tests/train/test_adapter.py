"""The adapter's check: what is not whole or does nothing is not published."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from sea.console import SeaError
from sea.models.load import load
from sea.records import read_json
from sea.train import adapter
from sea.train.stage import run_stage
from tests.train.conftest import model_config, settings


@pytest.fixture(scope="module")
def trained(make_root) -> Path:
    root = make_root(4)
    run_stage(settings(root, "recipe=sft", "name=mine", "recipe.projector=full", "recipe.args.max_steps=2"))
    return root / "train" / "mine" / "adapter"


@pytest.fixture
def folder(trained, tmp_path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "adapter"))


def test_a_whole_adapter_passes_and_is_opened_like_any_other(folder):
    found = adapter.check(folder, model_config().model)
    stored = adapter.read_tensors(folder)
    assert found["tensors"] == len(stored) and found["largest_logit_change"] > 0
    loaded = load(model_config().model, adapter=str(folder))
    weights = dict(loaded.model.named_parameters())
    key = next(name for name in stored if "multi_modal_projector.linear_1.weight" in name)
    opened = next(v for n, v in weights.items() if "linear_1.weight" in n and "modules_to_save" in n)
    assert torch.equal(opened, stored[key])


def test_it_holds_two_files_and_names_its_model(folder):
    assert sorted(path.name for path in folder.iterdir()) == [adapter.CONFIG, adapter.WEIGHTS]
    config = read_json(folder / adapter.CONFIG)
    assert config["base_model_name_or_path"] == "builtin:micro-llava"
    assert config["revision"] == load(model_config().model).checkpoint.revision


def rewrite(folder: Path, change) -> None:
    tensors = adapter.read_tensors(folder)
    change(tensors)
    save_file(tensors, folder / adapter.WEIGHTS)


def poison(tensors):
    tensors[min(tensors)][0, 0] = float("nan")


def empty(tensors):
    tensors[min(tensors)] = torch.zeros(0)


def silence(tensors):
    for name in tensors:
        if "lora_B" in name:
            tensors[name] = torch.zeros_like(tensors[name])


@pytest.mark.parametrize(
    ("change", "message"),
    [(poison, "1 tensors are empty or not finite"), (empty, "1 tensors are empty or not finite")],
)
def test_empty_and_non_finite_tensors_are_refused(folder, change, message):
    rewrite(folder, change)
    with pytest.raises(SeaError, match=message):
        adapter.check(folder, model_config().model)


def test_an_adapter_that_does_nothing_is_refused(make_root):
    root = make_root(2)
    run_stage(settings(root, "recipe=sft", "name=mine", "recipe.args.max_steps=1", "recipe.args.warmup_steps=0"))
    folder = root / "train" / "mine" / "adapter"
    rewrite(folder, silence)
    with pytest.raises(SeaError, match=r"logits change by 0\.0 .* it does nothing"):
        adapter.check(folder, model_config().model)


def test_a_file_that_is_not_what_was_trained_is_refused(folder):
    memory = adapter.read_tensors(folder)
    memory[min(memory)] = memory[min(memory)] + 1
    with pytest.raises(SeaError, match="is not what was trained: 1 tensors differ"):
        adapter.check(folder, model_config().model, memory)


def test_a_damaged_file_is_refused(folder):
    (folder / adapter.WEIGHTS).write_bytes(b"half")
    with pytest.raises(SeaError, match=r"cannot read .*lost or damaged"):
        adapter.check(folder, model_config().model)
