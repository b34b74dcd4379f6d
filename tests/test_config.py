"""Settings: every command composes with every model and option, and whatever cannot be meant is refused by name."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from sea.config import OptimizeConfig, _refuse_unknown_choices, compose, options, parse_part
from sea.console import SeaError

ROOT = Path(__file__).resolve().parent.parent
CONF = ROOT / "conf"
PRIMARIES = sorted(path.stem for path in CONF.glob("*.yaml"))
MODELS = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_config", ROOT / "docs" / "build_config.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


docs = _generator()
MODEL_COMMANDS = [name for name in PRIMARIES if docs.needs_model(name)]


def read(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def model_of(name: str) -> list[str]:
    return ["+model=micro-llava"] if name in MODEL_COMMANDS else []


def groups_of(name: str) -> list[tuple[str, str]]:
    """(group, option) for every group in a command's defaults list."""
    entries = [e for e in read(CONF / f"{name}.yaml")["defaults"] if isinstance(e, dict)]
    groups = [group for entry in entries for group in entry if not group.startswith("override ")]
    return [(group, option) for group in groups for option in options(group)]


# ------------------------------------------------------------------------------------------------ what composes


def test_there_is_something_to_compose() -> None:
    assert {"prepare", "optimize"} <= set(PRIMARIES)
    assert "optimize" in MODEL_COMMANDS and "micro-llava" in MODELS


@pytest.mark.parametrize("name", PRIMARIES)
def test_command_composes(name: str) -> None:
    assert isinstance(compose(name, docs.schema(name), *model_of(name)), docs.schema(name))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", MODEL_COMMANDS)
def test_command_composes_with_every_model(name: str, model: str) -> None:
    settings = compose(name, docs.schema(name), f"+model={model}")
    assert settings.model.name == model
    assert settings.wording.modality == settings.model.modality


@pytest.mark.parametrize(("name", "group", "option"), [(n, *pair) for n in PRIMARIES for pair in groups_of(n)])
def test_command_composes_with_every_option(name: str, group: str, option: str) -> None:
    needs = ["start_store=a-run"] if (group, option) in {("optim", "mean"), ("optim", "media")} else []
    compose(name, docs.schema(name), f"{group}={option}", *model_of(name), *needs)


@pytest.mark.parametrize("word", ["+optim=paper", "+debug=tiny"])
def test_a_plus_before_a_group_that_is_chosen_already(word: str) -> None:
    with pytest.raises(SeaError, match=rf"the plus would add a second: type {word[1:]}$"):
        _refuse_unknown_choices("optimize", ["+model=micro-llava", word])
    _refuse_unknown_choices("optimize", ["+model=micro-llava", word[1:]])


def test_values_typed_on_the_command_line_arrive() -> None:
    settings = compose("optimize", OptimizeConfig, "+model=micro-llava", "optim.max_steps=7", "part=3/16", "limit=4")
    assert (settings.optim.max_steps, settings.part, settings.limit) == (7, "3/16", 4)


# ------------------------------------------------------------------------------------------------ what is refused


def refusal(name: str, *overrides: str) -> str:
    with pytest.raises(SeaError) as error:
        compose(name, docs.schema(name), *overrides)
    return str(error.value)


@pytest.mark.parametrize("name", PRIMARIES)
def test_added_typo_is_refused(name: str) -> None:
    message = refusal(name, *model_of(name), "+typo=1")
    assert message.startswith("unknown setting typo; valid here: ")
    valid = message.partition("valid here: ")[2].split(", ")
    assert set(valid) == {field.name for field in dataclasses.fields(docs.schema(name))}


@pytest.mark.parametrize("name", PRIMARIES)
def test_typo_is_refused(name: str) -> None:
    assert "typo" in refusal(name, *model_of(name), "typo=1")


def test_typo_in_a_group_names_what_is_valid_there() -> None:
    message = refusal("optimize", "+model=micro-llava", "+optim.typo=1")
    assert message.startswith("unknown setting optim.typo; valid here: ") and "max_steps" in message
    message = refusal("optimize", "+model=micro-llava", "+optim.max_step=1")
    assert "did you mean max_steps?" in message


@pytest.mark.parametrize("name", MODEL_COMMANDS)
def test_missing_and_unknown_model_list_the_models(name: str) -> None:
    for message in (refusal(name), refusal(name, "+model=no-such-model")):
        for model in MODELS:
            assert model in message
    assert "+model=NAME" in refusal(name)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("optim.max_steps=0", "at least 1"),
        ("optim.max_steps=many", "optim.max_steps"),
        ("optim.step_size=-1", "positive"),
        ("optim.step_size=nan", "positive"),
        ("optim.margin=nan", "at least 0"),
        ("optim.optimizer=sgd", "valid: adam, adamw, normalized, sign"),
        ("optim.schedule=step", "valid: constant, cosine, inverse_sqrt, linear"),
        ("optim.weight_decay=-1", "at least 0"),
        ("optim.start=noise", "valid: blank, mean, media"),
        ("max_reject_share=2", "between 0 and 1"),
        ("report_to=paper", "valid: none, tensorboard, wandb"),
        ("model.dtype=int8", "valid: auto, bfloat16, float16, float32"),
        ("limit=0", "at least 1"),
        ("part=4/3", "part=1/16"),
        ("wording=audio", "type wording=image"),
        ("wording.verify=[]", "at least one question"),
        ("wording.styles=[]", "at least one style"),
    ],
)
def test_values_that_cannot_be_meant(override: str, says: str) -> None:
    assert says in refusal("optimize", "+model=micro-llava", override)


def test_wordings_that_overlap_are_refused() -> None:
    question = "{activity: Same?, product: Same?}"
    message = refusal("optimize", "+model=micro-llava", f"wording.verify=[{question}]", f"wording.audit=[{question}]")
    assert "Same?" in message and "disjoint" in message


def test_parts() -> None:
    assert parse_part(None) == (0, 1)
    assert [parse_part(f"{i}/3") for i in (1, 2, 3)] == [(0, 3), (1, 3), (2, 3)]
    for wrong in ("0/3", "4/3", "3", "a/b", "1/2/3", "-1/3", "1/", "", "²/3"):
        with pytest.raises(SeaError, match="is not understood"):
            parse_part(wrong)


@pytest.mark.parametrize("overrides", [[], ["+model=no-such-model"], ["+model=micro-llava", "+optim.typo=1"]])
def test_a_mistake_on_the_command_line_gives_no_traceback(overrides: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sea.optimize", *overrides]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode not in (0, -1)
    assert "Traceback" not in result.stderr + result.stdout
    assert re.search("micro-llava|max_steps", result.stderr)
    assert not list(tmp_path.iterdir()), "a command that does nothing must leave nothing"


# ------------------------------------------------------------------------------------------------ the YAML itself


@pytest.mark.parametrize("name", PRIMARIES)
def test_hydra_writes_nothing_of_its_own(name: str) -> None:
    """Ranks would each write another folder, named by the time."""
    written = read(CONF / f"{name}.yaml")
    assert written["hydra"] == {"job": {"name": name, "chdir": False}, "run": {"dir": "."}, "output_subdir": None}
    off = {key: value for e in written["defaults"] if isinstance(e, dict) for key, value in e.items()}
    assert off["override hydra/job_logging"] == off["override hydra/hydra_logging"] == "none"


@pytest.mark.parametrize("name", PRIMARIES)
def test_no_model_in_a_defaults_list(name: str) -> None:
    """`+model=NAME` could not be typed otherwise."""
    assert not any("model" in str(entry) for entry in read(CONF / f"{name}.yaml")["defaults"])


@pytest.mark.parametrize("name", PRIMARIES)
def test_every_knob_says_what_it_means(name: str) -> None:
    text = (CONF / f"{name}.yaml").read_text(encoding="utf-8")
    assert text.startswith("#"), f"conf/{name}.yaml should begin with what the command does"
    knobs = text.split("\nhydra:")[0].split("- _self_")[1].splitlines()
    bare = [line for line in knobs if re.match(r" *[a-z_]+: *[^ #]", line) and " # " not in line]
    assert not bare, f"conf/{name}.yaml: add a comment with unit and meaning to {bare}"
    assert sum(" # " in line for line in knobs) >= 3


@pytest.mark.parametrize("name", PRIMARIES)
def test_flattened_settings_are_current(name: str) -> None:
    path = ROOT / "docs" / "config" / f"{name}.yaml"
    assert path.is_file() and path.read_text(encoding="utf-8") == docs.flattened(name), (
        f"{path.relative_to(ROOT)} does not show the settings of today: run `make docs-config` and commit it"
    )


def test_no_flattened_settings_of_a_command_that_is_gone() -> None:
    assert sorted(path.stem for path in (ROOT / "docs" / "config").glob("*.yaml")) == PRIMARIES
