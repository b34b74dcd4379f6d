"""A control changes what the synthetic rows point to and nothing else."""

import dataclasses
from collections import Counter

import pytest
import torch

from sea.config import ModelConfig, OptimizeConfig, compose
from sea.console import SeaError
from sea.dataset.controls import Draft, shuffled
from sea.models.load import load
from sea.store import Store
from tests.dataset.conftest import (
    MODEL,
    SAMPLES_MADE,
    SHAPE,
    embedding_of,
    go,
    prepare,
    refused,
    store,
    tensors,
)
from tests.dataset.test_rows import manifest_of, sample_of

POINTER = ("source", "modality", "store", "shard", "key", "embedding_sha256", "companions")
SOURCE = {"blank": "blank", "random": "control", "shuffled": "control", "none": "none"}


def micro_model() -> ModelConfig:
    return compose("optimize", OptimizeConfig, MODEL).model


@pytest.mark.parametrize("control", list(SOURCE))
@pytest.mark.parametrize("rows", ["synthetic+text", "synthetic+text+real"])
def test_everything_else_is_equal_row_by_row(root, control, rows):
    plain = go(root, "plain", f"rows={rows}")
    other = go(root, "other", f"rows={rows}", f"control={control}")
    assert [row.id for row in other] == [row.id for row in plain]
    changed = 0
    for before, after in zip(plain, other, strict=True):
        if before.source != "synthetic":
            assert after == before
            continue
        changed += 1
        assert after.source == SOURCE[control]
        assert dataclasses.replace(after, **{name: getattr(before, name) for name in POINTER}) == before
    assert changed == 9
    assert manifest_of(root, "other").counts["dropped"] == manifest_of(root, "plain").counts["dropped"]


def test_blank_is_one_embedding_of_the_model_itself(root):
    rows = [row for row in go(root, "x", "control=blank", "rows=synthetic") if row.source == "blank"]
    folder = root / "dataset" / "x"
    controls = Store(folder / "controls")
    assert len(controls.embeddings) == 1
    assert {(row.store, row.key) for row in rows} == {("controls", "blank")}
    expected = load(micro_model()).blank().emb
    assert embedding_of(folder, rows[0]).equal(expected)
    record = controls.embeddings["blank"]
    assert (record.source, record.hit, record.sha256) == ("blank", False, rows[0].embedding_sha256)
    controls.check_manifest(manifest_of(root, "x").outputs["controls"])


def test_blank_takes_the_place_of_both_from_one_embedding(root):
    rows = go(root, "x", "control=blank", "harmless=blank")
    assert {row.key for row in rows if row.source == "blank"} == {"blank"}
    mixed = go(root, "y", "control=random", "harmless=blank")
    assert len({row.key for row in mixed if row.store == "controls"}) == 1 + 5  # five harmful rows have noise
    assert {row.source for row in mixed if not row.harmful} == {"blank", "text"}


def test_random_has_the_moments_of_those_it_replaces(root):
    folder = root / "dataset" / "x"
    rows = [row for row in go(root, "x", "control=random") if row.source == "control"]
    replaced_BND = torch.stack([tensors(sample_of(row).id, "synthetic")["embedding"] for row in rows]).double()
    drawn_BND = torch.stack([embedding_of(folder, row) for row in rows]).double()
    noise_BND = (drawn_BND - replaced_BND.mean(0)) / replaced_BND.std(0)
    assert noise_BND.shape == (9, *SHAPE)
    assert noise_BND.mean().abs() < 0.4 and 0.7 < noise_BND.std() < 1.3  # 108 standard normal numbers
    assert len({tuple(noise_ND.flatten().tolist()) for noise_ND in noise_BND}) == 9
    assert {row.companions[0] for row in rows} == {"sizes"}
    for row in rows:  # the companions are the row's own
        assert Store(folder / "controls").read(str(row.key))["sizes"].item() == len(sample_of(row).id)


def test_random_is_keyed_by_seed_and_id(root, monkeypatch):
    import sea.dataset.controls as controls

    one = {row.id: row.embedding_sha256 for row in go(root, "one", "control=random")}
    again = {row.id: row.embedding_sha256 for row in go(root, "two", "control=random", "rows=synthetic")}
    other = {row.id: row.embedding_sha256 for row in go(root, "three", "control=random", "seed=1")}
    assert all(one[key] == value for key, value in again.items())
    assert all(one[key] != value for key, value in other.items() if value is not None)
    monkeypatch.setattr(controls, "FLUSH_EVERY", 2)  # more shards, the same numbers
    assert {row.id: row.embedding_sha256 for row in go(root, "four", "control=random")} == one


def test_random_keeps_the_dtype_of_the_store(tmp_path, monkeypatch):
    import tests.dataset.conftest as made

    monkeypatch.setattr(
        made, "tensors", lambda key, source, real=made.tensors: {k: v.bfloat16() for k, v in real(key, source).items()}
    )
    store(tmp_path, prepare(tmp_path))
    rows = go(tmp_path, "x", "control=random")
    assert {embedding_of(tmp_path / "dataset" / "x", row).dtype for row in rows if row.store} == {torch.bfloat16}


def test_random_of_one_embedding_or_of_several_shapes_is_refused(tmp_path, monkeypatch):
    import tests.dataset.conftest as made

    prepared = prepare(tmp_path)
    store(tmp_path, prepared, name="three", limit=3)
    assert "control=random needs two synthetic rows" in refused(tmp_path, "control=random")
    real = made.tensors
    monkeypatch.setattr(
        made,
        "tensors",
        lambda key, source: real(key, source) | ({"embedding": torch.ones(2, 3)} if "a" in key[:4] else {}),
    )
    store(tmp_path, prepared, name="shapes")
    assert "the embeddings have shapes [(2, 3), (4, 3)]" in refused(tmp_path, "control=random", "store=shapes")


def test_shuffled_points_to_every_embedding_once_and_never_to_its_own_phrase(root):
    plain = {row.id: row for row in go(root, "plain") if row.source == "synthetic"}
    rows = [row for row in go(root, "x", "control=shuffled") if row.source == "control"]
    assert Counter(row.key for row in rows) == Counter(row.key for row in plain.values())
    of_key = {sample.id: sample for sample in SAMPLES_MADE}
    for row in rows:
        assert of_key[row.key].phrase != sample_of(row).phrase
        assert row.embedding_sha256 == plain[f"{row.key}#synthetic"].embedding_sha256
    assert rows == [row for row in go(root, "again", "control=shuffled") if row.source == "control"]
    assert rows != [row for row in go(root, "other", "control=shuffled", "seed=1") if row.source == "control"]


def drafts(*phrases: str) -> list[Draft]:
    return [
        Draft(
            dataclasses.replace(SAMPLES_MADE[0], id=str(place), phrase=phrase, sentence=f"a person {phrase}"),
            "synthetic",
            "synthetic",
            None,
        )
        for place, phrase in enumerate(phrases)
    ]


@pytest.mark.parametrize("phrases", ["aabb", "aaabbc", "aaaabcde", "aabbccddeeff", "abcdefgh", "aaaaabbbbb"])
def test_shuffling_never_fails_while_no_phrase_has_more_than_half(phrases):
    made = drafts(*phrases)
    seen = set()
    for seed in range(200):
        taken = shuffled(made, seed)
        assert sorted(draft.sample.id for draft in taken) == sorted(draft.sample.id for draft in made)
        assert all(a.sample.phrase != b.sample.phrase for a, b in zip(made, taken, strict=True))
        seen.add(tuple(draft.sample.id for draft in taken))
    assert len(seen) > 3  # drawn, not rotated


def test_phrases_count_as_one_whatever_their_spelling_or_sentence():
    made = drafts("Steal  a car", "steal a car", "b", "c", "d")
    # the same sentence under two phrases: "hijack a boat", "hijacking a boat"
    linked = [dataclasses.replace(made[2].sample, sentence="s"), dataclasses.replace(made[3].sample, sentence="S")]
    made[2:4] = [dataclasses.replace(draft, sample=sample) for draft, sample in zip(made[2:4], linked, strict=True)]
    for seed in range(100):
        found = [draft.sample.id for draft in shuffled(made, seed)]
        assert found[0] not in "01" and found[1] not in "01"
        assert found[2] not in "23" and found[3] not in "23"


def test_shuffling_that_must_keep_a_phrase_is_refused():
    with pytest.raises(SeaError, match=r"3 of the 5 synthetic rows are about one phrase.*or control=random"):
        shuffled(drafts("a", "a", "a", "b", "c"), 0)


def test_a_control_of_nothing_is_refused(tmp_path):
    bare = [dataclasses.replace(s, phrase=None) for s in SAMPLES_MADE[:3]]
    store(tmp_path, prepare(tmp_path, bare))
    assert "no row is left that points to an embedding" in refused(tmp_path, "control=blank")
