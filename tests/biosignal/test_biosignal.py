"""A modality that the library has never heard of, from the command line, as docs/adding-a-modality.md tells it.

The contract tests (tests/models/test_contract.py) run on it too. Random weights: mechanics only.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from sea.config import ModelConfig, _refuse_unknown_choices
from sea.console import SeaError
from sea.models.load import load
from sea.models.spec import family_module
from tests.biosignal.ecg_family import FAMILY, tiny
from tests.biosignal.ecg_model import Biosignal

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
DOC = ROOT / "docs" / "adding-a-modality.md"
COMMANDS = """\
python -m sea.optimize --config-dir tests/biosignal/conf +model=toy-ecg model.id=$MODEL samples=builtin:micro limit=6
python -m sea.dataset filter=none
python -m sea.train recipe=sft recipe.args.max_steps=2
python -m sea.evaluate benchmark=micro benchmark.args.modes=[]
"""
CONTRACT = "pytest tests/models/test_contract.py -k ecg_family\n"
QUICK = {
    "optimize": ["optim.max_steps=3", "max_new_tokens=4", "name=ecg"],
    "dataset": ["name=ecg"],
    "train": ["name=ecg"],
    "evaluate": ["limit=2", "max_new_tokens=4", "max_unjudged_share=1", "name=ecg"],
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ecg") / "model"
    model, processor = tiny()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def runs(checkpoint: Path) -> Path:
    """The documented commands, each a process of its own, with a few steps and answers of a few tokens."""
    root = checkpoint.parent / "runs"
    for line in COMMANDS.splitlines():
        words = [word.replace("$MODEL", str(checkpoint)) for word in shlex.split(line)]
        done = subprocess.run(
            [sys.executable, *words[1:], f"runs={root}", *QUICK[words[2].removeprefix("sea.")]],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return root


def manifest(runs: Path, stage: str) -> dict:
    return json.loads((runs / stage / "ecg" / "manifest.json").read_text())


def test_the_four_stages_complete(runs):
    optimised = manifest(runs, "optimize")
    assert optimised["config"]["model"]["modality"] == "biosignal"
    assert optimised["counts"]["embeddings"] == 6
    records = [
        json.loads(line) for line in (runs / "optimize" / "ecg" / "index.p1of1-r0.jsonl").read_text().splitlines()
    ]
    assert {(record["modality"], tuple(record["shape"])) for record in records} == {("biosignal", (10, 32))}
    assert manifest(runs, "dataset")["counts"]["by_source"] == {"synthetic": 6, "text": 6}
    assert manifest(runs, "evaluate")["inputs"][-1]["name"] == "ecg"
    assert (runs / "evaluate" / "ecg" / "metrics.json").is_file()


def test_only_the_language_model_was_trained(runs):
    with safe_open(runs / "train" / "ecg" / "adapter" / "adapter_model.safetensors", "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 it is no mapping
    assert all("language_model" in name for name in tensors)
    assert any(value.abs().max() > 0 for name, value in tensors.items() if "lora_B" in name)


def test_embeddings_were_optimised_in_it(runs, checkpoint):
    """They differ from the blank recording's and from each other: the loop reached M's output space."""
    config = ModelConfig(**manifest(runs, "optimize")["config"]["model"])
    blank = load(dataclasses.replace(config, id=str(checkpoint))).blank()
    (shard,) = (runs / "optimize" / "ecg").rglob("*.safetensors")
    with safe_open(shard, "pt") as file:
        found = [file.get_tensor(name) for name in file.keys() if name.endswith("embedding")]  # noqa: SIM118
    assert len(found) == 6
    assert all((one - blank.emb).abs().max() > 1e-3 for one in found)
    assert len({one.numpy().tobytes() for one in found}) == 6


def test_ids_equal_those_of_the_models_own_processor():
    """The contract test cannot say so for a family with `process`."""
    from sea.models.load import load_tiny

    loaded = load_tiny(str(HERE / "ecg_family.py"), "biosignal")
    recording = Biosignal(np.random.default_rng(0).normal(0, 1, (3, 310)).astype(np.float32), 250)
    (item,) = loaded.encode([recording])
    own = loaded.processor([loaded.chat.text("what is it ?", True)], [recording], return_tensors="pt")
    assert own["input_ids"][0].tolist() == loaded.chat.prompt("what is it ?", item.slot)
    assert torch.equal(own["ecg_values"], loaded.spec.process(loaded.processor, recording)["ecg_values"])


def test_a_blank_that_does_not_fit_is_one_line():
    from sea.models.load import load_tiny

    path = str(HERE / "ecg_family.py")
    with pytest.raises(SeaError, match=r"model\.blank=.*refuses this biosignal: a recording at 100"):
        load_tiny(path, "biosignal", {"channels": 3, "seconds": 1.0, "rate": 100}).blank()
    with pytest.raises(SeaError, match="a blank biosignal is made of channels, rate, seconds"):
        load_tiny(path, "biosignal", {"width": 3}).blank()


def test_the_family_file_is_imported_once_and_anew_when_it_changed(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("from tests.biosignal.ecg_family import FAMILY\n")
    first = family_module("", str(file))
    assert family_module("", str(file)) is first
    assert first.FAMILY is FAMILY
    file.write_text("raise OSError('no such sensor')\n")
    for _ in range(2):  # a failed import leaves nothing behind
        with pytest.raises(SeaError, match="fails on import: OSError: no such sensor"):
            family_module("", str(file))


def test_yaml_of_ones_own_is_among_the_choices():
    conf = str(HERE / "conf")
    _refuse_unknown_choices("optimize", [f"--config-dir={conf}", "+model=toy-ecg", "wording=biosignal"])
    _refuse_unknown_choices("optimize", ["--config-dir", conf, "+model=micro-llava"])
    with pytest.raises(SeaError, match=r"valid: .*toy-ecg"):
        _refuse_unknown_choices("optimize", ["--config-dir", conf, "+model=toy-eeg"])
    with pytest.raises(SeaError, match="there is no model"):
        _refuse_unknown_choices("optimize", ["+model=toy-ecg"])


def test_nothing_in_the_library_knows_of_it():
    known = re.compile(r"biosignal|\becg\b|electrocardiogram", re.IGNORECASE)
    for path in [*(ROOT / "sea").rglob("*.py"), *(ROOT / "conf").rglob("*.yaml")]:
        assert not known.search(path.read_text(encoding="utf-8")), path


def test_the_documents_snippets_are_these_files():
    sources = [path.read_text() for path in (*HERE.glob("*.py"), *HERE.rglob("*.yaml"))]
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", DOC.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 6
    for language, block in blocks:
        if language == "bash":
            assert block in (COMMANDS, CONTRACT)
        else:
            assert any(block in source for source in sources), block
    assert 80 <= len(DOC.read_text().splitlines()) <= 150
