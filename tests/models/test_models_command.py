"""`python -m sea.models`: what it says of a checkpoint that is on disk, that is not, and of one that cannot be used."""

import subprocess
import sys

import pytest

from sea.config import OptimizeConfig, compose, header, options
from sea.console import SeaError
from sea.models import sizes
from sea.models.__main__ import main
from sea.models.families import REFUSED
from sea.models.load import load, locate
from sea.models.spec import available, family_module
from tests.models.contract import tiny


def model(name="llava-1.5-7b", **changes):
    config = compose("optimize", OptimizeConfig, f"+model={name}").model
    for key, value in changes.items():
        setattr(config, key, value)
    return config


def shown(monkeypatch, capsys, *names):
    monkeypatch.setattr(sys, "argv", ["sea.models", *names])
    main()
    return [line.split("  ") for line in capsys.readouterr().out.splitlines()]


def test_a_row_says_everything(monkeypatch, capsys):
    rows = shown(monkeypatch, capsys, "micro-llava", "qwen2-vl-7b-video")
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert cells[0][:3] == ["model", "family", "modality"]
    assert cells[1] == ["micro-llava", "llava", "image", "16 x 128", "0.00", "ready", "builtin:micro-llava"]
    assert cells[2] == [
        *("qwen2-vl-7b-video", "qwen2_vl", "video", "1024 x 1280", "2.50"),
        *("not on disk, unverified", "Qwen/Qwen2-VL-7B-Instruct"),
    ]


def test_columns_hold_every_name(monkeypatch, capsys):
    from sea.models.__main__ import COLUMNS

    assert max(map(len, options("model"))) <= COLUMNS["model"]
    assert max(map(len, available())) <= COLUMNS["family"]


def test_an_unknown_name_lists_the_known(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["sea.models", "no-such-model"])
    with pytest.raises(SeaError, match=r"no model no-such-model; valid: .*llava-1\.5-7b"):
        main()


def test_help_starts_without_torch():
    code = "import contextlib, sys\nsys.argv = ['x', '--help']\nfrom sea.models.__main__ import main\n"
    code += "with contextlib.suppress(SystemExit): main()\n"
    done = subprocess.run(
        [sys.executable, "-c", code + "assert 'torch' not in sys.modules"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "+model=NAME" in done.stdout


@pytest.mark.parametrize("family", ["llava", "qwen2_vl", "qwen2_audio"])
def test_a_folder_is_ready_and_as_large_as_it_says(family, tmp_path):
    """From its configuration and processor alone: the same shape, and the same bytes, as the loaded model gives."""
    modality, blank = {
        "llava": ("image", {"width": 40, "height": 36, "fill": 9}),
        "qwen2_vl": ("video", {"frames": 4, "width": 40, "height": 64, "fill": 9, "fps": 2.0}),
        "qwen2_audio": ("audio", {"seconds": 0.5, "rate": 16000}),
    }[family]
    made = tiny(family, modality)
    made.model.save_pretrained(tmp_path)
    made.processor.save_pretrained(tmp_path)
    config = model(id=str(tmp_path), modality=modality, family=family, dtype="bfloat16", blank=blank)
    real = load(config).blank()
    assert sizes.size(config) == sizes.Size(
        "ready", tuple(real.emb.shape), sum(tensor.numel() * tensor.itemsize for tensor in real.tensors.values())
    )


def test_what_is_not_known_is_not_made_up(monkeypatch):
    assert sizes.size(model(id="nobody/has-this")) == sizes.Size("not on disk")
    assert sizes.size(model(family="no_such_family")) == sizes.Size("family missing")
    monkeypatch.setitem(REFUSED, "no_such_family", "it cannot")
    assert sizes.size(model(family="no_such_family")) == sizes.Size("refused: it cannot")


def test_a_damaged_folder_does_not_end_the_table(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    found = sizes.size(model(id=str(tmp_path)))
    assert found.status.startswith(f"cannot load {tmp_path}") and found.shape is None


def test_a_refused_family_says_why():
    for family, reason in REFUSED.items():
        assert family not in available()
        with pytest.raises(SeaError, match=family) as error:
            family_module(family)
        assert reason in str(error.value)


def test_a_checkpoint_of_another_family_than_its_file_says_is_refused(tmp_path):
    made = tiny("llava", "image")
    made.model.save_pretrained(tmp_path)
    made.processor.save_pretrained(tmp_path)
    load(model(id=str(tmp_path)))
    with pytest.raises(SeaError, match=r"is of type 'llava', its settings say family=gemma3: type model\.family=llava"):
        load(model(id=str(tmp_path), family="gemma3"))


@pytest.mark.parametrize(
    ("model_id", "says"),
    [
        (
            "llava-hf/llava-1.5-7b-hf",
            r"is not on this disk: get it by `hf download llava-hf/llava-1\.5-7b-hf`, or point",
        ),
        ("llava-hf/llava-1.5-7b-hf", r"model\.id=/path/to/it"),
        ("/no/such/folder", "there is no such folder"),
        ("./nowhere", "there is no such folder"),
    ],
)
def test_a_checkpoint_that_is_not_there_gives_one_line(model_id, says):
    with pytest.raises(SeaError, match=says) as error:
        locate(model_id)
    assert "\n" not in str(error.value)


def test_a_checkpoint_that_is_there_in_part_says_so(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *args, **options: str(tmp_path))
    with pytest.raises(SeaError, match=r"in part only.*hf download somebody/half"):
        locate("somebody/half")
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert locate("somebody/half").path == tmp_path


def test_header_is_the_comment_at_the_head():
    assert "The paper's image model" in header("model", "llava-1.5-7b")
    assert "defaults" not in header("model", "llava-1.5-7b")
