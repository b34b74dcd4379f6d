"""Checkpoints: found, told apart, refused with a line; prompts; pinned greedy decoding."""

import shutil

import pytest
import torch

from sea.config import OptimizeConfig, compose
from sea.console import SeaError
from sea.models.generate import answer
from sea.models.load import load, locate, resolve_device, resolve_dtype
from sea.models.spec import family_module
from tests.models.contract import tiny


@pytest.fixture(scope="module")
def llava():
    return tiny("llava", "image")


@pytest.fixture(scope="module")
def folder(llava, tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    llava.model.save_pretrained(path)
    llava.processor.save_pretrained(path)
    return path


def model_config(**changes):
    config = compose("optimize", OptimizeConfig, "+model=micro-llava").model
    for name, value in changes.items():
        setattr(config, name, value)
    return config


def test_a_folder_loads_frozen_and_answers_as_the_model_it_was_saved_from(llava, folder):
    loaded = load(model_config(id=str(folder)))
    assert not any(p.requires_grad for p in loaded.model.parameters())
    assert not loaded.model.training
    blank = loaded.blank()
    assert blank.emb.shape == (16, 32)
    slot = blank.slot
    prompt = loaded.chat.prompt("what is in the picture ?", slot)
    assert prompt == llava.chat.prompt("what is in the picture ?", slot)


def test_revision_follows_content_not_place(folder, tmp_path):
    copy = tmp_path / "elsewhere"
    shutil.copytree(folder, copy)
    revision = locate(str(folder)).revision
    assert locate(str(copy)).revision == revision
    weights = copy / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert locate(str(copy)).revision != revision
    with pytest.raises(SeaError, match="its files changed"):
        locate(str(copy), revision)


def test_a_large_file_counts_by_blocks_spread_over_it(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("sea.models.load.WHOLE_FILE_BYTES", 10)
    monkeypatch.setattr("sea.models.load.BLOCK_BYTES", 64)
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    assert locate(str(folder)).revision == locate(str(copy)).revision
    whole = (folder / "model.safetensors").read_bytes()
    tensor = len(whole) // 2
    for start, end in (
        (len(whole) - 1, len(whole)),
        (tensor, tensor + 2000),
    ):  # its end; one small matrix in the middle
        (copy / "model.safetensors").write_bytes(whole[:start] + b"\x55" * (end - start) + whole[end:])
        assert locate(str(folder)).revision != locate(str(copy)).revision


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": "builtin:nope"}, "valid: builtin:micro-audio, builtin:micro-llava, builtin:micro-video"),
        ({"id": "nobody/has-this"}, "hf download nobody/has-this"),
        ({"modality": "smell"}, "reads image, not 'smell'"),
        ({"device": "cuda:99"}, "model.device=cuda:99 is not there"),
        ({"family_path": "nowhere.py"}, "there is no such file"),
    ],
)
def test_what_cannot_be_loaded_is_said_in_a_line(changes, message):
    with pytest.raises(SeaError, match=message):
        load(model_config(**changes))


def test_a_folder_without_a_config_is_refused(tmp_path):
    with pytest.raises(SeaError, match=r"holds no config\.json"):
        locate(str(tmp_path))


def test_damaged_weights_give_a_line(folder, tmp_path):
    copy = tmp_path / "damaged"
    shutil.copytree(folder, copy)
    (copy / "model.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(SeaError, match="cannot load"):
        load(model_config(id=str(copy)))


def test_unknown_family_lists_the_known():
    with pytest.raises(SeaError, match=r"known types: .*llava"):
        family_module("no_such_family")


def test_family_from_a_file_outside(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("from sea.models.families.llava import FAMILY, tiny\n")
    assert family_module("anything", str(path)).FAMILY.modalities
    path.write_text("x = 1\n")
    with pytest.raises(SeaError, match="holds no FAMILY"):
        family_module("anything", str(path))


def test_auto_is_float32_on_cpu_and_bfloat16_elsewhere():
    assert resolve_dtype("auto", torch.device("cpu")) == "float32"
    assert resolve_dtype("auto", torch.device("cuda", 0)) == "bfloat16"
    assert resolve_dtype("float16", torch.device("cpu")) == "float16"
    assert resolve_device("cpu").type == "cpu"


def test_wrong_blank_settings_are_named(llava):
    own, llava.blank_settings = llava.blank_settings, {"seconds": 3}
    try:
        with pytest.raises(SeaError, match="a blank image is made of fill, height, width"):
            llava.blank()
    finally:
        llava.blank_settings = own


def test_greedy_ignores_the_checkpoints_generation_settings(llava):
    """A checkpoint's repetition penalty or sampling must not reach a measurement."""
    prompts = [llava.chat.prompt("describe the image", llava.blank().slot)]
    media = {"pixel_values": llava.inputs(["."], [llava.spec.blank(**llava.blank_settings)])["pixel_values"]}
    expected = answer(llava, prompts, media, 10)
    own = llava.model.generation_config
    own.repetition_penalty, own.do_sample, own.temperature, own.suppress_tokens = 50.0, True, 9.0, list(range(3, 200))
    try:
        assert answer(llava, prompts, media, 10) == expected
        assert llava.model.generation_config is own
    finally:
        own.repetition_penalty, own.do_sample, own.temperature, own.suppress_tokens = None, None, None, None


def test_answer_ids_end_with_the_end_of_turn(llava):
    ids = llava.chat.answer("what is in the picture ?", "a red dog", None)
    tokenizer = llava.processor.tokenizer
    assert ids[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(ids[:-1]) == " a red dog"
    prompt = llava.chat.prompt("what is in the picture ?", None)
    whole = tokenizer(llava.chat.text("what is in the picture ?", False, "a red dog")).input_ids
    assert [*prompt, *ids] == whole


def test_a_template_without_end_of_turn_gets_eos(llava):
    processor = llava.processor
    own = processor.chat_template
    processor.chat_template = own.replace("{{ eos_token }}", " ")
    try:
        ids = llava.chat.answer("describe", "a red dog", None)
    finally:
        processor.chat_template = own
    assert ids == llava.chat.answer("describe", "a red dog", None)


def test_a_placeholder_inside_the_text_is_refused(llava):
    slot = "<image>" * 16
    with pytest.raises(SeaError, match="special tokens <image>"):
        llava.chat.prompt("what is <image> ?", slot)
    with pytest.raises(SeaError, match="special tokens <image>"):
        llava.chat.prompt("what is <image> ?", None)


def test_an_adapter_is_loaded_frozen_and_changes_the_answer(llava, folder, tmp_path):
    from peft import LoraConfig, get_peft_model

    base = load(model_config(id=str(folder)))
    wrapped = get_peft_model(
        load(model_config(id=str(folder))).model, LoraConfig(target_modules=llava.family.lora, r=2)
    )
    for name, parameter in wrapped.named_parameters():
        if "lora_B" in name:
            parameter.data.fill_(0.5)
    wrapped.save_pretrained(tmp_path / "adapter")
    adapted = load(model_config(id=str(folder)), adapter=str(tmp_path / "adapter"))
    assert not any(p.requires_grad for p in adapted.model.parameters())
    inputs = base.inputs(["describe the image"], [base.spec.blank(**base.blank_settings)])
    assert torch.equal(adapted.model(**inputs).logits, wrapped.eval()(**inputs).logits)
    assert not torch.allclose(adapted.model(**inputs).logits, base.model(**inputs).logits, atol=1e-3)
    prompts = [adapted.chat.prompt("describe the image", adapted.blank().slot)]
    assert len(answer(adapted, prompts, {"pixel_values": inputs["pixel_values"]}, 5)) == 1


def test_a_folder_that_is_no_adapter_is_refused(folder):
    with pytest.raises(SeaError, match=r"holds no adapter_config\.json"):
        load(model_config(id=str(folder)), adapter=str(folder))


def test_remote_code_is_never_run(folder, tmp_path):
    """A folder whose config asks for its own Python: refused, also when a pipe would say yes."""
    import json
    import os
    import subprocess
    import sys

    evil = tmp_path / "evil"
    shutil.copytree(folder, evil)
    config = json.loads((evil / "config.json").read_text())
    config |= {"auto_map": {"AutoConfig": "own.Own"}, "model_type": "own"}
    (evil / "config.json").write_text(json.dumps(config))
    (evil / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Own: pass\n")
    command = [sys.executable, "-m", "sea.optimize", "+model=micro-llava", f"model.id={evil}", f"runs={tmp_path}"]
    done = subprocess.run(command, input="y\ny\n", capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 2
    assert not (tmp_path / "ran").exists()
    assert "Traceback" not in done.stderr


def test_weights_that_are_not_in_the_files_are_refused(folder, tmp_path):
    from safetensors.torch import load_file, save_file

    part = tmp_path / "part"
    shutil.copytree(folder, part)
    weights = load_file(part / "model.safetensors")
    gone = next(name for name in weights if "q_proj.weight" in name)
    save_file({n: t for n, t in weights.items() if n != gone}, part / "model.safetensors", {"format": "pt"})
    with pytest.raises(SeaError, match="1 weights have missing keys"):
        load(model_config(id=str(part)))


def test_pickled_weights_are_not_taken(folder, tmp_path):
    from safetensors.torch import load_file

    pickled = tmp_path / "pickled"
    shutil.copytree(folder, pickled)
    torch.save(load_file(pickled / "model.safetensors"), pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    with pytest.raises(SeaError, match="cannot load"):
        load(model_config(id=str(pickled)))


def test_the_cpu_is_used_when_accelerate_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert resolve_device("auto") == torch.device("cuda", 0)
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(SeaError, match="has no GPU of its own"):
        resolve_device("auto")
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    assert resolve_device("auto") == torch.device("cpu")
    with pytest.raises(SeaError, match="holds no numbers"):
        resolve_device("meta")


def test_stop_tokens_are_the_tokenizers_and_the_checkpoints(folder, tmp_path):
    import json

    copy = tmp_path / "stops"
    shutil.copytree(folder, copy)
    settings = json.loads((copy / "generation_config.json").read_text())
    (copy / "generation_config.json").write_text(json.dumps({**settings, "eos_token_id": [2, 7]}))
    assert load(model_config(id=str(copy))).stop_ids == [2, 7]


def test_greedy_settings_reach_a_peft_wrapped_model(llava):
    import copy

    from peft import LoraConfig, get_peft_model

    twin = copy.copy(llava)
    twin.model = get_peft_model(
        copy.deepcopy(llava.model), LoraConfig(target_modules=llava.family.lora, r=2, task_type="CAUSAL_LM")
    )
    prompts = [llava.chat.prompt("describe the image", None)]
    expected = answer(llava, prompts, {}, 10)
    twin.model.get_base_model().generation_config.suppress_tokens = list(range(3, 200))
    assert answer(twin, prompts, {}, 10) == expected


def test_a_chat_template_that_fails_is_said(llava):
    own = llava.processor.chat_template
    for template in ("{{ nothing.at.all }}", "{% for %}", "USER: {{ messages[0]['content'][-1]['text'] }}"):
        llava.processor.chat_template = template
        try:
            with pytest.raises(SeaError, match="chat template"):
                llava.chat.prompt("describe", "<image>" * 16)
        finally:
            llava.processor.chat_template = own
