"""Records are read strictly, and their files survive a full disk and a kill at any instant."""

from __future__ import annotations

import dataclasses
import errno
import inspect
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sea import records
from sea.console import SeaError
from sea.records import (
    Answer,
    AppendFile,
    Embedding,
    Reject,
    Row,
    from_dict,
    json_line,
    read_json,
    read_jsonl,
    settings_hash,
    sha256,
    sha256_file,
    to_dict,
    write_atomically,
    write_json,
    write_jsonl,
)

ROOT = Path(__file__).resolve().parent.parent

EMBEDDING = Embedding(
    id="a",
    shard="shard.0.safetensors",
    key="a",
    sha256="00",
    shape=[64, 128],
    dtype="float32",
    companions=[],
    modality="image",
    source="synthetic",
    losses={"content": 0.004, "style": 0.001},
    steps=12,
    seconds=0.5,
    hit=True,
    margin_reached=True,
    verified=False,
    answers=[Answer("verify:0", "What is it?", "a cat", "Un chat «é» \u2028 中", False)],
    seed=0,
    model="m",
    revision="r",
)
ROW = {
    **dict.fromkeys(("id", "prompt", "source", "category"), "x"),
    **dict.fromkeys(("modality", "store", "shard", "key", "embedding_sha256")),
    "companions": [],
    "harmful": True,
}


# ------------------------------------------------------------------------------------------------ strict reading


def test_a_record_comes_back_as_it_was() -> None:
    assert from_dict(Embedding, json.loads(json_line(EMBEDDING)), "here") == EMBEDDING
    assert json_line(EMBEDDING).count("\n") == 1


def test_optional_fields_may_be_left_out() -> None:
    row = from_dict(Row, ROW, "here")
    assert (row.chosen, row.completion, row.store) == (None, None, None)


def test_every_schema_can_be_read_and_refuses_a_stranger() -> None:
    schemas = [
        cls
        for _, cls in inspect.getmembers(records, inspect.isclass)
        if dataclasses.is_dataclass(cls) and cls.__module__ == "sea.records" and cls is not AppendFile
    ]
    assert {"Sample", "Embedding", "Row", "Response", "Verdict", "Metric", "Manifest"} <= {c.__name__ for c in schemas}
    for schema in schemas:
        assert schema.__dataclass_params__.frozen, f"{schema.__name__} can be changed after it was read"
        with pytest.raises(SeaError, match="unknown keys stranger"):
            from_dict(schema, {"stranger": 1}, "here")
        with pytest.raises(SeaError, match="lacks"):
            from_dict(schema, {}, "here")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"extra": 1}, "here: unknown keys extra in a Embedding; valid keys: answers, "),
        ({"steps": "12"}, "here: Embedding.steps must be int, found str"),
        ({"steps": True}, "here: Embedding.steps must be int, found bool"),
        ({"steps": 1.0}, "here: Embedding.steps must be int, found float"),
        ({"hit": 1}, "here: Embedding.hit must be bool, found int"),
        ({"seconds": True}, "here: Embedding.seconds must be float, found bool"),
        ({"id": None}, "here: Embedding.id must be str, found NoneType"),
        ({"shape": "64"}, "here: Embedding.shape must be list[int], found str"),
        ({"shape": [64, "128"]}, "here: Embedding.shape must be int, found str"),
        ({"losses": {"content": "low"}}, "here: Embedding.losses must be float, found str"),
        ({"losses": []}, "here: Embedding.losses must be dict[str, float], found list"),
        ({"answers": ["yes"]}, "a Answer must be a JSON object, found str"),
        ({"answers": [{"wording": "verify:0"}]}, "a Answer lacks answer, expected, question, states_phrase"),
    ],
)
def test_a_wrong_record_is_refused_by_name(change: dict[str, Any], says: str) -> None:
    with pytest.raises(SeaError) as error:
        from_dict(Embedding, {**to_dict(EMBEDDING), **change}, "here")
    assert says in str(error.value)


def test_missing_keys_are_named() -> None:
    values = to_dict(EMBEDDING)
    del values["shape"], values["hit"]
    with pytest.raises(SeaError, match="here: a Embedding lacks hit, shape"):
        from_dict(Embedding, values, "here")


def test_whole_numbers_are_floats_where_a_float_is_meant() -> None:
    found = from_dict(Embedding, {**to_dict(EMBEDDING), "seconds": 3, "losses": {"content": 0}}, "here")
    assert type(found.seconds) is float and type(found.losses["content"]) is float


# ------------------------------------------------------------------------------------------------ hashes


def test_settings_hash_ignores_order_and_sees_every_change() -> None:
    assert settings_hash({"a": 1, "b": {"c": 2, "d": 3}}) == settings_hash({"b": {"d": 3, "c": 2}, "a": 1})
    hashes = {settings_hash(s) for s in ({"a": 1}, {"a": 2}, {"b": 1}, {"a": "1"}, {"a": None}, {"a": [1]})}
    assert len(hashes) == 6 and all(len(h) == 8 for h in hashes)
    assert settings_hash({"a": 1}) == "f9d86028", "names of runs would change: every user would start afresh"


def test_file_hash(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc" * 10_000)
    assert sha256_file(tmp_path / "x") == sha256(b"abc" * 10_000)


# ------------------------------------------------------------------------------------------------ whole files


def test_json_and_jsonl_come_back(tmp_path: Path) -> None:
    write_json(tmp_path / "deep" / "x.json", {"text": "中", "list": [1, 2.5, None]})
    assert read_json(tmp_path / "deep" / "x.json") == {"text": "中", "list": [1, 2.5, None]}
    assert write_jsonl(tmp_path / "x.jsonl", [EMBEDDING, EMBEDDING]) == 2
    assert read_jsonl(tmp_path / "x.jsonl", Embedding) == [EMBEDDING, EMBEDDING]
    assert write_jsonl(tmp_path / "none.jsonl", []) == 0
    assert read_jsonl(tmp_path / "none.jsonl", Embedding) == []


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"old": True})

    def half(temporary: Path) -> None:
        temporary.write_text('{"new":', encoding="utf-8")
        raise RuntimeError("killed in the middle")

    with pytest.raises(RuntimeError):
        write_atomically(path, half)
    assert read_json(path) == {"old": True}
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_a_full_disk_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"old": True})

    def full(temporary: Path) -> None:
        temporary.write_text("{", encoding="utf-8")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(SeaError, match=r"x\.json: No space left on device.*run the same command again"):
        write_atomically(path, full)
    assert read_json(path) == {"old": True}
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SeaError, match="cannot write"):
        write_json(tmp_path / "file" / "x.json", {})


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(SeaError, match=r"cannot read .*none\.json"):
        read_json(tmp_path / "none.json")
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(SeaError, match=r"cannot read .*x\.json"):
        read_json(tmp_path / "x.json")
    with pytest.raises(SeaError, match=r"cannot read .*none\.jsonl"):
        read_jsonl(tmp_path / "none.jsonl", Reject)
    (tmp_path / "x.jsonl").write_bytes(json_line(Reject("a", "b")).encode() + b"\xff\xfe\n")
    with pytest.raises(SeaError, match=r"x\.jsonl, line 2: no JSON"):
        read_jsonl(tmp_path / "x.jsonl", Reject)


# ------------------------------------------------------------------------------------------------ appended files


def lines(path: Path) -> list[str]:
    return [record.id for record in read_jsonl(path, Reject)]


def reject(*ids: str) -> list[Reject]:
    return [Reject(id, "why") for id in ids]


def test_append_adds_to_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "x.jsonl"
    for ids in (["a", "b"], [], ["c"]):
        file = AppendFile(path)
        file.append(reject(*ids))
        file.close()
    assert lines(path) == ["a", "b", "c"]


@pytest.mark.parametrize("cut", range(1, len(json_line(Reject("b", "why")))))
def test_a_torn_last_line_is_left_out_and_cut_off(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "x.jsonl"
    whole = json_line(Reject("a", "why")).encode()
    path.write_bytes(whole + json_line(Reject("b", "why")).encode()[:cut])
    assert [record.id for record in read_jsonl(path, Reject, torn_end=True)] == ["a"]
    file = AppendFile(path)
    file.append(reject("c"))
    assert lines(path) == ["a", "c"]


def test_a_file_with_nothing_but_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"id": "a", "rea')
    assert read_jsonl(path, Reject, torn_end=True) == []
    AppendFile(path).append(reject("b"))
    assert lines(path) == ["b"]


def test_a_torn_line_is_refused_where_none_can_be(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(json_line(Reject("a", "why")).encode() + b'{"id": "b", "rea')
    with pytest.raises(SeaError, match="line 2: no JSON"):
        read_jsonl(path, Reject)


def test_damage_in_the_middle_is_refused_even_where_the_end_may_be_torn(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"id": "a", "rea\n' + json_line(Reject("b", "why")).encode())
    with pytest.raises(SeaError, match="line 1: no JSON"):
        read_jsonl(path, Reject, torn_end=True)


class FullDisk:
    """Stands before a raw file and runs out of room after `room` bytes as a kernel does: short write, then ENOSPC."""

    def __init__(self, file: Any, room: int) -> None:
        self.file, self.room = file, room

    def write(self, data: bytes) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = self.file.write(data[: self.room])
        self.room -= taken
        return taken

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


@pytest.mark.parametrize("room", [0, 1, 10, 29, 30, 31, 50])
def test_a_disk_that_fills_up_keeps_earlier_lines_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    path = tmp_path / "x.jsonl"
    file = AppendFile(path)
    file.append(reject("a", "b"))
    with monkeypatch.context() as patch:
        patch.setattr(file, "_file", FullDisk(file._file, room))
        with pytest.raises(SeaError, match="No space left on device"):
            file.append(reject("c", "d", "e"))
    assert lines(path) == ["a", "b"], "all of an append or nothing of it"
    file.append(reject("c"))  # there is room again
    assert lines(path) == ["a", "b", "c"]


def test_a_killed_writer_loses_at_most_the_last_append(tmp_path: Path) -> None:
    """A real process, killed at a random instant of its work; what it had reported as written is there."""
    path, reported = tmp_path / "x.jsonl", tmp_path / "reported"
    code = (
        "import sys\nfrom pathlib import Path\nfrom sea.records import AppendFile, Reject\n"
        "file = AppendFile(Path(sys.argv[1]))\n"
        "for i in range(10**9):\n"
        "    file.append([Reject(f'{i}:{j}', 'why' * 500) for j in range(20)])\n"
        "    Path(sys.argv[2]).write_text(str(i))\n"
    )
    for _ in range(3):
        reported.unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        process = subprocess.Popen([sys.executable, "-c", code, str(path), str(reported)], cwd=ROOT)
        deadline = time.monotonic() + 30
        while not (reported.exists() and reported.read_text()) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        written = int(reported.read_text() or 0)
        ids = [record.id for record in read_jsonl(path, Reject, torn_end=True)]
        assert len(ids) >= 20 * (written + 1)
        assert ids == [f"{n // 20}:{n % 20}" for n in range(len(ids))]
