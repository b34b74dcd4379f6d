"""The store: exact bytes, nothing half-written is trusted, damage is named."""

import pytest
import torch

from sea.console import SeaError
from sea.records import Embedding, Reject
from sea.store import SHARDS, Store, Writer, content_hash, tensor_sha256


def record(key: str) -> Embedding:
    return Embedding(
        id=key, shard="", key="", sha256="", shape=[], dtype="", companions=[], modality="image", source="synthetic",
        losses={"content": 0.1}, steps=3, seconds=0.5, hit=True, margin_reached=True, verified=True, answers=[], seed=0,
        model="m", revision="r",
    )  # fmt: skip


def item(key: str, seed: int, dtype: torch.dtype = torch.float32, **companions: torch.Tensor):
    generator = torch.Generator().manual_seed(seed)
    return record(key), {"embedding": torch.randn(4, 3, generator=generator).to(dtype), **companions}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_what_is_read_is_what_was_written(tmp_path, dtype):
    grid = torch.tensor([[1, 2, 2]])
    batch = [item("a", 1, dtype, grid=grid), item("b/../odd id", 2, dtype, grid=grid + 1)]
    Writer(tmp_path, "r0").add(batch)
    store = Store(tmp_path)
    assert sorted(store.embeddings) == ["a", "b/../odd id"]
    for given, tensors in batch:
        found = store.read(given.id)
        assert found.keys() == {"embedding", "grid"}
        assert all(
            torch.equal(found[name], value) and found[name].dtype == value.dtype for name, value in tensors.items()
        )
        listed = store.embeddings[given.id]
        assert (listed.shape, listed.dtype) == ([4, 3], str(dtype).removeprefix("torch."))
        assert (listed.companions, listed.sha256) == (["grid"], tensor_sha256(tensors))
    store.verify()


def test_writers_side_by_side_and_after_each_other(tmp_path):
    first, second = Writer(tmp_path, "p1of1-r0"), Writer(tmp_path, "p1of1-r1")
    first.add([item("a", 1)])
    second.add([item("b", 2)])
    first.add([item("c", 3)])
    Writer(tmp_path, "p1of1-r0").add([item("d", 4)])  # a restart goes on behind its shards
    store = Store(tmp_path)
    assert len({store.embeddings[key].shard for key in "abcd"}) == 4
    store.verify()


def test_content_hash_knows_content_not_shards(tmp_path):
    together, apart, other = tmp_path / "together", tmp_path / "apart", tmp_path / "other"
    Writer(together, "r0").add([item("a", 1), item("b", 2)])
    Writer(apart, "r0").add([item("b", 2)])
    Writer(apart, "r1").add([item("a", 1)])
    Writer(other, "r0").add([item("a", 1), item("b", 3)])
    hashes = [content_hash(Store(path).embeddings) for path in (together, apart, other)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_kill_between_shard_and_index_leaves_nothing(tmp_path):
    writer = Writer(tmp_path, "r0")
    writer.add([item("a", 1)])
    index = (tmp_path / "index.r0.jsonl").read_bytes()
    writer.add([item("b", 2)])
    (tmp_path / "index.r0.jsonl").write_bytes(index)  # as if killed before the line
    (tmp_path / SHARDS / ".r0-00002.safetensors.99.tmp").write_bytes(b"half")  # and in the middle of a third shard
    (tmp_path / SHARDS / "r1-00000.safetensors").write_bytes(b"another writer's, maybe at work")
    assert sorted(Store(tmp_path).embeddings) == ["a"]
    writer = Writer(tmp_path, "r0")
    left = sorted(path.name for path in (tmp_path / SHARDS).iterdir())
    assert left == ["r0-00000.safetensors", "r1-00000.safetensors"]
    writer.add([item("b", 5)])
    Store(tmp_path).verify()


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_torn_index_line_is_not_trusted_and_goes_on_cleanly(tmp_path, cut):
    writer = Writer(tmp_path, "r0")
    writer.add([item("a", 1)])
    writer.add([item("b", 2)])
    writer.close()
    index = tmp_path / "index.r0.jsonl"
    index.write_bytes(index.read_bytes()[:-cut])
    assert sorted(Store(tmp_path).embeddings) == ["a"]
    Writer(tmp_path, "r0").add([item("c", 3)])
    store = Store(tmp_path)
    assert sorted(store.embeddings) == ["a", "c"]
    store.verify()


def test_a_damaged_line_inside_the_index_is_refused(tmp_path):
    writer = Writer(tmp_path, "r0")
    writer.add([item("a", 1)])
    writer.add([item("b", 2)])
    index = tmp_path / "index.r0.jsonl"
    index.write_bytes(b"{" + index.read_bytes())
    with pytest.raises(SeaError, match=r"index\.r0\.jsonl, line 1"):
        Store(tmp_path)


def test_of_an_id_made_by_two_launches_the_first_writers_counts(tmp_path):
    Writer(tmp_path, "r1").add([item("a", 2), item("b", 3)])
    Writer(tmp_path, "r0").add([item("a", 1)])
    store = Store(tmp_path)
    assert sorted(store.embeddings) == ["a", "b"]
    assert torch.equal(store.read("a")["embedding"], item("a", 1)[1]["embedding"])
    store.verify()


def test_an_index_changed_after_completion_is_refused(tmp_path):
    writer = Writer(tmp_path, "r0")
    writer.add([item("a", 1), item("b", 2)])
    writer.close()
    recorded = content_hash(Store(tmp_path).embeddings)
    Store(tmp_path).check_manifest(recorded)
    index = tmp_path / "index.r0.jsonl"
    whole = index.read_text()
    for changed in (whole.splitlines(keepends=True)[0], whole.replace('"verified": true', '"verified": false')):
        index.write_text(changed)
        with pytest.raises(SeaError, match="is not the one that its manifest describes"):
            Store(tmp_path).check_manifest(recorded)


def test_a_flipped_bit_is_found(tmp_path):
    Writer(tmp_path, "r0").add([item("a", 1), item("b", 2)])
    shard = next((tmp_path / SHARDS).iterdir())
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1  # the last tensor's last byte
    shard.write_bytes(data)
    store = Store(tmp_path)
    with pytest.raises(SeaError, match="1 embeddings are damaged or lost: b"):
        store.verify()
    assert store.read("a")
    with pytest.raises(SeaError, match="sha256 differs"):
        store.read("b")
    assert store.read("b", check=False)


def test_a_missing_shard_and_an_unknown_id_are_named(tmp_path):
    Writer(tmp_path, "r0").add([item("a", 1)])
    store = Store(tmp_path)
    next((tmp_path / SHARDS).iterdir()).unlink()
    with pytest.raises(SeaError, match=r"cannot read a from .*The shard is lost or damaged"):
        store.read("a")
    with pytest.raises(SeaError, match="has no embedding zz"):
        store.read("zz")


@pytest.mark.parametrize("place", ["safetensors.torch.save_file", "os.fsync"])
def test_disk_full_lists_nothing_of_the_batch_and_keeps_the_rest(tmp_path, monkeypatch, place):
    writer = Writer(tmp_path, "r0")
    writer.add([item("a", 1)])

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(place, full)
        with pytest.raises(SeaError, match="No space left on device"):
            writer.add([item("b", 2)])
    assert sorted(Store(tmp_path).embeddings) == ["a"]
    assert [p.name for p in (tmp_path / SHARDS).iterdir() if p.name.startswith(".")] == []
    Writer(tmp_path, "r0").add([item("b", 2)])
    store = Store(tmp_path)
    assert sorted(store.embeddings) == ["a", "b"]
    store.verify()


def test_rejects_are_listed_with_their_reason(tmp_path):
    Writer(tmp_path, "r0").reject([Reject("x", "too long")])
    Writer(tmp_path, "r1").reject([])
    assert Store(tmp_path).rejects == {"x": Reject("x", "too long")}
