"""Which rows a sample gets, and what they point to."""

import dataclasses
import json

import pytest

from sea.config import DatasetConfig, compose, options
from sea.console import names
from sea.dataset.rows import arm
from sea.records import Manifest, Reject, from_dict, read_json, records_hash, to_dict, write_json
from sea.store import Store, Writer, content_hash, unoptimised
from tests.dataset.conftest import (
    ABSENT,
    MISSED,
    MODEL,
    REVISION,
    SAMPLES_MADE,
    UNVERIFIED,
    embedding_of,
    go,
    prepare,
    refused,
    rows_of,
    store,
    tensors,
)

BARE = {SAMPLES_MADE[7].id, SAMPLES_MADE[13].id}
BY_ID = {sample.id: sample for sample in SAMPLES_MADE}
PREFIX = {
    kind: f"The image shows {kind_text}. Please comprehend it and respond to the question below.\n"
    for kind, kind_text in (("activity", "an activity"), ("product", "a product"))
}


def manifest_of(root, name) -> Manifest:
    return from_dict(Manifest, read_json(root / "dataset" / name / "manifest.json"), "manifest")


def sample_of(row):
    return BY_ID[row.id.partition("#")[0]]


def test_sea_rows_by_hand(root):
    rows = go(root, "sea")
    expected = []
    for sample in SAMPLES_MADE:
        if sample.id not in (MISSED, UNVERIFIED, ABSENT):
            expected.append((f"{sample.id}#synthetic", "text" if sample.id in BARE else "synthetic"))
        expected.append((f"{sample.id}#text", "text"))
    assert [(row.id, row.source) for row in rows] == expected  # the samples' order, the embedding before the text
    for row in rows:
        sample = sample_of(row)
        assert (row.chosen, row.rejected, row.completion) == (sample.chosen, sample.rejected, None)
        assert (row.harmful, row.category) == (sample.harmful, sample.category)
        if row.source == "text":
            assert row.prompt == sample.instruction
            assert (row.modality, row.store, row.shard, row.key, row.embedding_sha256) == (None,) * 5
            assert row.companions == []
        else:
            assert row.prompt == PREFIX[sample.kind] + sample.detoxified
            assert (row.modality, row.store, row.key) == ("image", "../../optimize/mine", sample.id)
            assert row.companions == ["sizes"]
            assert embedding_of(root / "dataset" / "sea", row).equal(tensors(sample.id, "synthetic")["embedding"])


def test_manifest_says_what_was_made_from_what(root):
    rows = go(root, "sea")
    manifest = manifest_of(root, "sea")
    assert [(made.kind, made.name) for made in manifest.inputs] == [
        ("model", "builtin:micro-llava"), ("prepare", "mine"), ("optimize", "mine")
    ]  # fmt: skip
    assert manifest.inputs[0].hash == REVISION
    assert manifest.inputs[2].hash == read_json(root / "optimize" / "mine" / "manifest.json")["outputs"]["store"]
    assert manifest.outputs == {"rows": records_hash(rows)}
    assert manifest.config["model"]["revision"] == REVISION
    assert manifest.config["wording"]["alignment_prefix"] == PREFIX
    assert manifest.counts == {
        "rows": 25,
        "by_source": {"synthetic": 9, "text": 16},
        "harmful": 14,
        "harmless": 11,
        "dropped": {"not hit": 1, "not verified": 1, "no embedding": 1},
        "without_phrase": 2,
        "arm": "SEA",
    }


@pytest.mark.parametrize(
    ("rule", "kept", "dropped"),
    [
        ("verified", set(), {"not hit": 1, "not verified": 1, "no embedding": 1}),
        ("hit", {UNVERIFIED}, {"not hit": 1, "not verified": 0, "no embedding": 1}),
        ("none", {UNVERIFIED, MISSED}, {"not hit": 0, "not verified": 0, "no embedding": 1}),
    ],
)
def test_filter(root, rule, kept, dropped):
    rows = go(root, "x", "rows=synthetic", f"filter={rule}")
    found = {sample_of(row).id for row in rows}
    assert found == {s.id for s in SAMPLES_MADE} - {MISSED, UNVERIFIED, ABSENT} | kept
    assert manifest_of(root, "x").counts["dropped"] == dropped


def test_text_needs_no_store_and_a_model(tmp_path):
    prepare(tmp_path)
    rows = go(tmp_path, "text", "rows=text", MODEL)
    assert [(row.id, row.prompt) for row in rows] == [(f"{s.id}#text", s.instruction) for s in SAMPLES_MADE]
    manifest = manifest_of(tmp_path, "text")
    assert [made.kind for made in manifest.inputs] == ["model", "prepare"]
    assert manifest.inputs[0].hash == manifest.config["model"]["revision"] == REVISION
    assert manifest.counts["without_phrase"] == 0
    assert f"type +model=NAME; models: {names(options('model'))}" in refused(tmp_path, "rows=text")


def test_real_rows_point_into_the_encode_run(root):
    rows = go(root, "real", "rows=real+text")
    real = [row for row in rows if row.id.endswith("#real")]
    assert len(real) == len(SAMPLES_MADE)  # no filter: nothing was optimised
    for row in real:
        if sample_of(row).id in BARE:
            assert (row.source, row.prompt) == ("text", sample_of(row).instruction)
        else:
            assert (row.source, row.store) == ("real", "../../encode/mine")
            assert embedding_of(root / "dataset" / "real", row).equal(tensors(str(row.key), "real")["embedding"])
    assert [made.kind for made in manifest_of(root, "real").inputs] == ["model", "prepare", "encode"]


def test_all_sources_together_in_any_order(root):
    one = go(root, "one", "rows=real+text+synthetic")
    assert one == go(root, "two", "rows=synthetic+text+real")
    assert len({row.id for row in one}) == len(one) == 25 + 14


def test_a_sample_with_a_medium_of_its_own_keeps_its_question(root):
    run = root / "encode" / "mine"
    bare, absent = sorted(BARE)
    record = unoptimised(bare, "real", "image", 0, "builtin:micro-llava", REVISION)
    writer = Writer(run, "p1of1-r1")
    writer.add([(record, tensors(bare, "real"))])
    writer.close()
    manifest = read_json(run / "manifest.json")
    write_json(run / "manifest.json", manifest | {"outputs": {"store": content_hash(Store(run).embeddings)}})
    rows = {row.id: row for row in go(root, "real", "rows=synthetic+real+text", "harmless=real")}
    real, synthetic = rows[f"{bare}#real"], rows[f"{bare}#synthetic"]
    assert (real.source, real.store, real.key) == ("real", "../../encode/mine", bare)
    assert real.prompt == BY_ID[bare].instruction  # as it is: no phrase stands for another
    assert embedding_of(root / "dataset" / "real", real).equal(tensors(bare, "real")["embedding"])
    assert (synthetic.source, rows[f"{absent}#real"].source) == ("text", "text")
    assert manifest_of(root, "real").counts["without_phrase"] == 3  # of the two samples' four rows but one


def test_a_question_whose_medium_cannot_be_read_is_not_asked_in_text(root):
    bare, _ = sorted(BARE)
    writer = Writer(root / "encode" / "mine", "p1of1-r1")
    writer.reject([Reject(bare, "its image cannot be read (OSError)")])
    writer.close()
    rows = {row.id for row in go(root, "real", "rows=real+text")}
    assert f"{bare}#real" not in rows and f"{bare}#text" in rows
    assert manifest_of(root, "real").counts["dropped"]["no embedding"] == 1


@pytest.mark.parametrize("harmless", ["real", "blank", "text"])
def test_harmless_changes_the_harmless_synthetic_rows_alone(root, harmless):
    plain = {row.id: row for row in go(root, "plain")}
    other = {row.id: row for row in go(root, "other", f"harmless={harmless}")}
    assert set(other) - set(plain) == {f"{ABSENT}#synthetic"}  # needs no synthetic embedding
    for key, row in other.items():
        sample = sample_of(row)
        if key.endswith("#synthetic") and not sample.harmful and sample.id not in BARE:
            assert row.source == harmless
            assert (row.prompt == sample.instruction) == (harmless == "text")
            assert row.store == {"real": "../../encode/mine", "blank": "controls", "text": None}[harmless]
        else:
            assert row == plain[key]
    assert manifest_of(root, "other").counts["arm"] == f"SEA (harmless {harmless})"


def test_without_a_rejected_answer_a_row_holds_a_completion(tmp_path):
    prepare(tmp_path, [dataclasses.replace(SAMPLES_MADE[0], rejected="")])
    (row,) = go(tmp_path, "text", "rows=text", MODEL)
    assert (row.chosen, row.rejected, row.completion) == (None, None, SAMPLES_MADE[0].chosen)


def test_limit_is_that_of_the_stores(tmp_path):
    prepared = prepare(tmp_path)
    store(tmp_path, prepared, limit=5)
    assert {sample_of(row).id for row in go(tmp_path, "sea")} == {s.id for s in SAMPLES_MADE[:5]}
    assert {sample_of(row).id for row in go(tmp_path, "less", "limit=3")} == {s.id for s in SAMPLES_MADE[:3]}
    assert len(go(tmp_path, "text", "rows=text", "limit=2", MODEL)) == 2


def test_rows_hold_what_the_record_says_and_the_folder_may_move(root, tmp_path_factory):
    rows = go(root, "sea")
    moved = tmp_path_factory.mktemp("elsewhere") / "runs"
    root.rename(moved)
    assert rows_of(moved / "dataset" / "sea") == rows
    embedding_of(moved / "dataset" / "sea", rows[4])
    assert all(set(to_dict(row)) == {field.name for field in dataclasses.fields(row)} for row in rows)


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        (("rows=text+synthetic",), "SEA"),
        (("rows=text",), "text"),
        (("rows=real+text",), "real"),
        (("rows=real",), "real only"),
        (("rows=synthetic",), "synthetic"),
        (("rows=real+text+synthetic",), "synthetic+text+real"),
        (("control=blank",), "blank"),
        (("control=random",), "random"),
        (("control=shuffled",), "shuffled"),
        (("control=none",), "no-slot"),
        (("harmless=real", "filter=none"), "SEA (harmless real, filter none)"),
        (("control=none", "rows=synthetic", "filter=hit"), "no-slot (synthetic, filter hit)"),
    ],
)
def test_arm(overrides, name):
    assert arm(compose("dataset", DatasetConfig, *overrides)) == name


def test_no_row_left_is_an_error(tmp_path):
    store(tmp_path, prepare(tmp_path), limit=2)
    message = refused(tmp_path, "rows=synthetic")
    assert "no row is left of 2 samples (1 not hit, 1 not verified, 0 no embedding)" in message


def test_a_phrase_without_its_detoxified_instruction_is_refused(tmp_path):
    broken = [dataclasses.replace(SAMPLES_MADE[2], detoxified=None), *SAMPLES_MADE[3:5]]
    store(tmp_path, prepare(tmp_path, broken))
    assert f"sample {broken[0].id} has a phrase, but no kind or no detoxified instruction" in refused(tmp_path)


def test_no_text_of_a_sample_is_printed(root, capfd):
    go(root, "sea")
    shown = "".join(capfd.readouterr())
    assert "arm SEA: 25 rows (9 synthetic, 16 text); 14 harmful, 11 harmless" in shown
    assert "dropped: 1 not hit, 1 not verified, 1 no embedding" in shown
    assert str(root / "dataset" / "sea" / "rows") in shown
    for sample in SAMPLES_MADE:
        for text in (sample.instruction, sample.sentence, sample.rejected):
            assert str(text) not in shown


def test_the_same_command_again_does_nothing_and_another_is_refused(root, capsys):
    go(root, "sea")
    before = {path: path.stat().st_mtime_ns for path in (root / "dataset").rglob("*")}
    go(root, "sea")
    shown = capsys.readouterr().out
    assert "is complete: nothing to do" in shown and shown.count("arm SEA: 25 rows") == 2
    assert before == {path: path.stat().st_mtime_ns for path in (root / "dataset").rglob("*")}
    from sea.console import SeaError

    with pytest.raises(SeaError, match=r"other settings \(control: None -> none\)"):
        go(root, "sea", "control=none")


def test_a_build_that_was_cut_off_starts_anew(root, monkeypatch):
    import sea.dataset.stage as stage

    whole = go(root, "whole", "control=random")

    def cut_off(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(stage.Run, "finish", cut_off)
        go(root, "x", "control=random")
    folder = root / "dataset" / "x"
    assert (folder / "rows").is_dir() and not (folder / "manifest.json").exists()
    with (folder / "controls" / "index.random.jsonl").open("a") as index:
        index.write('{"id": "torn')
    (folder / ".rows.tmp").mkdir()
    assert go(root, "x", "control=random") == whole
    assert manifest_of(root, "x").outputs == manifest_of(root, "whole").outputs
    assert not (folder / ".rows.tmp").exists()


def test_nothing_unwritten_is_trusted(root, monkeypatch):
    """Killed while the rows are written: there are none, and no manifest."""
    import datasets

    def fills_up(self, path, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(datasets.Dataset, "save_to_disk", fills_up)
    assert "No space left on device" in refused(root)
    assert not list((root / "dataset").glob("*/rows"))
    assert not list((root / "dataset").glob("*/manifest.json"))


def test_json_of_a_row_is_what_is_hashed(root):
    rows = go(root, "sea")
    changed = [dataclasses.replace(rows[0], prompt=rows[0].prompt + " "), *rows[1:]]
    assert records_hash(changed) != records_hash(rows) != records_hash(rows[::-1])
    assert json.loads(json.dumps(to_dict(rows[0]))) == to_dict(rows[0])
