"""debug=tiny, and what every model file must keep to: it composes, its family exists, its wording is sound."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
import yaml

from sea.config import DatasetConfig, EncodeConfig, OptimizeConfig, compose, options
from sea.console import SeaError
from sea.models.spec import available, family_module
from sea.records import Embedding
from sea.runs import find, model_of
from sea.store import Store

ROOT = Path(__file__).resolve().parent.parent
MODELS = options("model")
# Runs in a test, one of each modality; the others by `pytest -m slow tests/test_debug.py`.
SOME = ("llava-1.5-7b", "qwen2-vl-7b-video", "qwen2-audio")


def settings(model: str, *overrides: str) -> OptimizeConfig:
    return compose("optimize", OptimizeConfig, f"+model={model}", "debug=tiny", *overrides)


# ------------------------------------------------------------------------------------------------ model files


@pytest.mark.parametrize("name", MODELS)
def test_a_model_file_names_a_family_that_reads_its_modality(name: str) -> None:
    model = compose("optimize", OptimizeConfig, f"+model={name}").model
    assert model.name == name
    assert model.family in available()
    spec = family_module(model.family).FAMILY.modalities[model.modality]
    spec.blank(**model.blank)  # takes these settings, and no others


@pytest.mark.parametrize("name", MODELS)
def test_a_model_file_says_at_its_head_what_it_is_and_what_is_unverified(name: str) -> None:
    text = (ROOT / "conf" / "model" / f"{name}.yaml").read_text(encoding="utf-8")
    head = text.split("defaults:")[0]
    assert head.startswith("# @package _global_\n# ")
    model = yaml.safe_load(text)["model"]
    assert model["id"].startswith("builtin:") or "unverified" in head.lower()  # nobody could ask the hub here


@pytest.mark.parametrize("name", options("wording"))
def test_the_questions_of_a_wording_are_disjoint_and_of_its_modality(name: str) -> None:
    wording = yaml.safe_load((ROOT / "conf" / "wording" / f"{name}.yaml").read_text(encoding="utf-8"))
    assert wording["modality"] == name
    for kind in ("activity", "product"):
        content, prefix = wording["content"][kind], wording["alignment_prefix"][kind]
        verify, audit = ([questions[kind] for questions in wording[group]] for group in ("verify", "audit"))
        everything = [content["question"], wording["style"]["question"], *verify, *audit]
        assert len(set(everything)) == len(everything)
        assert len(verify) >= 2 and len(audit) >= 3
        assert all(name in text for text in (content["question"], content["answer"], prefix))
        assert prefix.endswith("\n")


def test_one_model_file_serves_another_modality() -> None:
    other = compose("optimize", OptimizeConfig, "+model=qwen2-vl-7b", "reads=video")
    assert (other.model.modality, other.wording.modality) == ("video", "video")
    own = compose("optimize", OptimizeConfig, "+model=qwen2-vl-7b-video")
    assert dataclasses.replace(other.model, name=own.model.name) == own.model


# ------------------------------------------------------------------------------------------------ what is replaced


def test_the_model_is_replaced_by_its_familys_random_one() -> None:
    real = compose("optimize", OptimizeConfig, "+model=qwen2-vl-7b-video").model
    model = settings("qwen2-vl-7b-video", "model.revision=abc", "model.dtype=bfloat16", "model.textset=micro").model
    assert model == dataclasses.replace(
        real, name="tiny-qwen2-vl-7b-video", id="tiny:qwen2_vl", dtype="float32", blank={}, textset=None, revision=None
    )
    assert compose("encode", EncodeConfig, "+model=llava-1.5-7b", "debug=tiny").model.id == "tiny:llava"


def test_a_family_file_from_outside_is_taken() -> None:
    mine = Path("mine.py").resolve()  # later stages may be started in another folder
    assert settings("llava-1.5-7b", "model.family_path=mine.py").model.id == f"tiny:{mine}"


def test_replacing_twice_is_replacing_once() -> None:
    once = settings("llava-1.5-7b")
    assert dataclasses.replace(once).model == once.model


def test_its_runs_lie_apart_and_what_is_typed_holds() -> None:
    assert settings("llava-1.5-7b").runs == "runs/debug"  # no later stage takes a debug run under runs/ for a real one
    typed = settings("llava-1.5-7b", "runs=elsewhere", "limit=2", "optim.max_steps=3", "samples=mine")
    assert (typed.runs, typed.limit, typed.optim.max_steps, typed.samples) == ("elsewhere", 2, 3, "mine")


def test_without_it_nothing_is_replaced() -> None:
    config = compose("optimize", OptimizeConfig, "+model=llava-1.5-7b")
    assert (config.debug, config.model.name, config.model.id) == (None, "llava-1.5-7b", "llava-hf/llava-1.5-7b-hf")


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["name=mine"], "type name=tiny-mine"),
        (["model.family=null"], "type model.family=FAMILY"),
        (["debug=large"], "large"),
    ],
)
def test_what_cannot_be_meant_is_refused(overrides: list[str], says: str) -> None:
    with pytest.raises(SeaError, match=says):
        settings("llava-1.5-7b", *overrides)
    assert settings("llava-1.5-7b", "name=tiny-mine").name == "tiny-mine"


# ------------------------------------------------------------------------------------------------ it runs


def run(root: Path, name: str, *overrides: str) -> list[Embedding]:
    """`python -m sea.optimize +model=NAME debug=tiny`: the embeddings of the complete run."""
    from sea.optimize.stage import run_stage

    config = settings(name, f"runs={root}", *overrides)
    run_stage(config)
    made = find("optimize", None, str(root), lambda manifest: None)
    assert made.name.startswith(f"tiny-{name}-micro-")
    manifest = made.manifest
    assert manifest.config["debug"] == "tiny" and manifest.config["model"]["name"] == f"tiny-{name}"
    assert manifest.inputs[0].name.startswith("tiny:")
    assert (manifest.counts["attempted"], manifest.counts["set_aside"]) == (4, 0)
    store = Store(made.path)
    store.verify()
    return list(store.embeddings.values())


@pytest.mark.parametrize("name", SOME)
def test_optimize_runs(name: str, tmp_path: Path) -> None:
    found = run(tmp_path, name, "optim.max_steps=4")
    assert len(found) == 4
    for embedding in found:
        assert embedding.model.startswith("tiny:")
        assert embedding.steps == 4 and set(embedding.losses) == {"content", "style"}


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_optimize_runs_with_every_model_file(name: str, tmp_path: Path) -> None:
    assert len(run(tmp_path, name)) == 4


def test_later_stages_inherit_the_random_model(tmp_path: Path) -> None:
    from sea.dataset.stage import run_stage

    run(tmp_path, SOME[0], "optim.max_steps=1")
    run_stage(compose("dataset", DatasetConfig, f"runs={tmp_path}", "filter=none"))
    made = find("dataset", None, str(tmp_path), lambda manifest: None)
    assert made.name.startswith("tiny-llava-1.5-7b")
    assert model_of(made.manifest).id == "tiny:llava"


def test_encode_runs(tmp_path: Path) -> None:
    from sea.encode.stage import run_stage

    run_stage(compose("encode", EncodeConfig, "+model=llava-1.5-7b", "debug=tiny", f"runs={tmp_path}"))
    made = find("encode", None, str(tmp_path), lambda manifest: None)
    assert made.name.startswith("tiny-llava-1.5-7b-micro-")
    assert made.manifest.counts["embeddings"] == 4


def test_an_adapter_is_not_passed_by(tmp_path: Path) -> None:
    """Evaluation of a debug adapter must not be that of the base model."""
    from peft import LoraConfig, get_peft_model

    from sea.models.load import load

    model = settings("llava-1.5-7b").model
    base = load(model)
    get_peft_model(base.model, LoraConfig(target_modules=base.family.lora, r=2)).save_pretrained(tmp_path / "adapter")
    adapted = load(model, adapter=str(tmp_path / "adapter"))
    assert any("lora" in name for name, _ in adapted.model.named_modules())
    assert not any(parameter.requires_grad for parameter in adapted.model.parameters())
    assert adapted.name == "tiny-llava-1.5-7b"
    shutil.rmtree(tmp_path / "adapter")
    with pytest.raises(SeaError, match="adapter_config"):
        load(model, adapter=str(tmp_path / "adapter"))
