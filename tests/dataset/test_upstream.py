"""What is inherited, and the mistakes: one line each, which says what does not fit."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from sea.config import DatasetConfig, compose
from sea.console import SeaError
from sea.store import Store
from tests.dataset.conftest import MISSED, MODEL, SAMPLES_MADE, go, prepare, refused, store, tensors


def test_what_is_inherited_is_said(root, capsys):
    go(root, "x", "harmless=real")
    shown = capsys.readouterr().out
    assert f"inherited: store = {root}/optimize/mine (11 embeddings)" in shown
    assert f"inherited: real = {root}/encode/mine (12 embeddings)" in shown
    assert f"inherited: samples = {root}/prepare/mine (14 samples)" in shown
    assert f"inherited: model = {root}/optimize/mine (builtin:micro-llava at revision " in shown


def test_samples_are_found_by_content(tmp_path, capsys):
    """The run that the store was made from has another name now, and a newer one holds other samples."""
    prepared = prepare(tmp_path)
    store(tmp_path, prepared)
    prepared.path.rename(tmp_path / "prepare" / "renamed")
    prepare(tmp_path, SAMPLES_MADE[:3], "newer")
    assert len(go(tmp_path, "x")) == 25
    assert f"inherited: samples = {tmp_path}/prepare/renamed" in capsys.readouterr().out
    shutil.rmtree(tmp_path / "prepare" / "renamed")
    assert "newer: the optimize run mine was made from other samples" in refused(tmp_path)


def test_other_samples_than_asked_for_are_refused(root):
    prepare(root, SAMPLES_MADE[:3], "other")
    message = refused(root, "samples=other", "store=mine")
    assert re.search(
        r"optimize/mine cannot serve here: it does not go with samples=other \(samples: \w+ -> \w+\)", message
    )
    assert "mine: it does not go with samples=other" in refused(root, "samples=other")  # and none else is there
    store(root, prepare(root, SAMPLES_MADE, "same"), name="newer")
    assert len(go(root, "x", "samples=mine")) == 25


def test_stores_must_go_with_each_other(root):
    other = prepare(root, SAMPLES_MADE[:5], "other")
    shutil.rmtree(root / "encode" / "mine")
    store(root, other, "encode", "elsewhere")
    message = refused(root, "rows=synthetic+text+real", "store=mine")
    assert "elsewhere: it does not go with the optimize run mine (samples: " in message


def test_a_store_of_another_revision_or_model_is_refused(root):
    prepared = prepare(root, name="again")
    store(root, prepared, name="old", model="0123456789ab")
    message = refused(root, MODEL, "store=old")
    assert re.search(r"does not go with \+model=micro-llava \(model\.revision: 0123456789ab -> \w{12}\)", message)
    go(root, "x", MODEL, "store=mine")
    message = refused(root, MODEL, "store=mine", "model.dtype=bfloat16")
    assert "does not go with +model=micro-llava (model.dtype: float32 -> bfloat16)" in message
    store(root, prepared, "encode", "old", model="0123456789ab")
    message = refused(root, "rows=synthetic+real", "store=mine", "real=old")
    assert "encode/old cannot serve here: it does not go with the optimize run mine (model.revision: " in message
    message = refused(root, "control=blank", "store=old")  # the model has to be loaded, and has changed
    assert "its files changed" in message


def test_the_wording_of_a_typed_model_comes_first(root):
    rows = go(root, "x", MODEL, "wording.alignment_prefix.activity='Look. '", "rows=synthetic")
    assert any(row.prompt.startswith("Look. ") for row in rows)
    with pytest.raises(SeaError, match="wording is for audio, the model is to read image"):
        compose("dataset", DatasetConfig, MODEL, "wording=audio")


def test_missing_runs(tmp_path):
    prepared = prepare(tmp_path)
    assert "no complete optimize run" in refused(tmp_path)
    assert "there is no optimize run 'nowhere'" in refused(tmp_path, "store=nowhere")
    store(tmp_path, prepared)
    for asked in ("rows=real+text", "harmless=real"):
        message = refused(tmp_path, asked)
        assert "no complete encode run" in message and "Run `python -m sea.encode ...` first" in message
    (tmp_path / "optimize" / "mine" / "manifest.json").unlink()
    assert "is incomplete (no manifest.json)" in refused(tmp_path, "store=mine")


def test_an_encode_run_is_no_store_of_synthetic_embeddings(root):
    assert "it is a encode run, wanted is one of optimize" in refused(root, f"store={root}/encode/mine")


@pytest.mark.parametrize("stage", ["optimize", "encode"])
def test_an_index_that_changed_after_completion_is_refused(root, stage):
    index = root / stage / "mine" / "index.p1of1-r0.jsonl"
    index.write_text("".join(index.read_text().splitlines(keepends=True)[1:]))
    assert "is not the one that its manifest describes" in refused(root, "rows=synthetic+real")


def test_a_forged_hit_is_seen(root):
    index = root / "optimize" / "mine" / "index.p1of1-r0.jsonl"
    index.write_text(index.read_text().replace('"hit": false', '"hit": true', 1))
    assert "is not the one that its manifest describes" in refused(root)


@pytest.mark.parametrize("control", ["null", "shuffled", "random"])
def test_damage_is_found_here(root, control):
    folder = root / "optimize" / "mine"
    shard = folder / Store(folder).embeddings[SAMPLES_MADE[2].id].shard
    good = shard.read_bytes()
    flipped = bytearray(good)
    flipped[good.index(tensors(SAMPLES_MADE[2].id, "synthetic")["embedding"].numpy().tobytes())] ^= 1
    shard.write_bytes(flipped)
    assert "are not those that the index describes (sha256 differs)" in refused(root, f"control={control}")
    shard.unlink()
    assert "The shard is lost or damaged" in refused(root, f"control={control}")
    assert not list((root / "dataset").glob("*/manifest.json"))
    shard.write_bytes(good)
    go(root, "mended", f"control={control}")


def test_only_what_rows_point_to_is_read(root):
    """A row without a slot needs no tensor, nor does a miss."""
    folder = root / "optimize" / "mine"
    for path in folder.rglob("*.safetensors"):
        path.unlink()
    go(root, "none", "control=none")
    assert MISSED in Store(folder).embeddings


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("rows=sound",), "rows=sound is not known; valid: real, synthetic, text"),
        (("rows=text+text",), "names a source twice"),
        (("control=noise",), "control=noise is not known; valid: blank, none, random, shuffled"),
        (("harmless=x",), "harmless=x is not known"),
        (("filter=x",), "filter=x is not known"),
        (("limit=0",), "limit=0 cannot work"),
        (("rows=text", "control=blank"), "control=blank is about synthetic rows, and rows=text holds none"),
        (("rows=real+text", "control=none"), "control=none is about synthetic rows"),
        (("rows=real", "harmless=text"), "harmless=text is about synthetic rows"),
        (("rows=text", "filter=hit"), "filter=hit is about synthetic rows"),
        (("rows=text", "store=mine"), "store=mine is about synthetic rows"),
        (("real=mine",), "real=mine is read for rows=real or harmless=real only"),
    ],
)
def test_what_cannot_be_meant_is_refused(overrides, message):
    with pytest.raises(SeaError, match=re.escape(message)):
        compose("dataset", DatasetConfig, *overrides)


def test_as_a_user_types_it(root):
    def typed(*overrides):
        return subprocess.run(
            [sys.executable, "-m", "sea.dataset", f"runs={root}", *overrides],
            capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    done = typed("name=x", "control=shuffled")
    assert done.returncode == 0, done.stderr
    assert "arm shuffled: 25 rows (9 control, 16 text)" in done.stdout
    failed = typed("samples=nowhere")
    assert failed.returncode == 2
    assert failed.stderr.startswith("error: there is no prepare run 'nowhere'") and "Traceback" not in failed.stderr
