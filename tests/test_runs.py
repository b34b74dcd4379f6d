"""Run folders: complete or not, found, inherited, refused."""

import multiprocessing
import re

import pytest

from sea.console import SeaError
from sea.records import write_json
from sea.runs import MANIFEST, Run, differences, find, newest, output_hash, start


def finished(root, name, created, stage="prepare", config=None, outputs=None):
    run = start(stage, name, "x", {"name": name}, str(root))
    manifest = run.finish(config or {}, [], outputs or {}, {}, 1.0)
    values = {**manifest.__dict__, "created": created}
    write_json(run.path / MANIFEST, values)
    return run


def accept_all(manifest):
    return None


def test_default_name_carries_the_settings(tmp_path):
    first = start("optimize", None, "m-t", {"a": 1, "b": {"c": 2}}, str(tmp_path))
    again = start("optimize", None, "m-t", {"b": {"c": 2}, "a": 1}, str(tmp_path))
    other = start("optimize", None, "m-t", {"a": 2, "b": {"c": 2}}, str(tmp_path))
    assert re.fullmatch(r"m-t-[0-9a-f]{8}", first.name)
    assert first == again != other
    assert first.path == tmp_path / "optimize" / first.name
    assert not first.complete


def test_an_existing_name_with_other_settings_is_refused_with_the_difference(tmp_path):
    start("optimize", "mine", "x", {"optim": {"margin": 0.005, "steps": 3}, "seed": 0}, str(tmp_path))
    with pytest.raises(SeaError, match=r"optim\.margin: 0\.005 -> 0\.01.*type another name=") as error:
        start("optimize", "mine", "x", {"optim": {"margin": 0.01, "steps": 3}, "seed": 0}, str(tmp_path))
    assert "steps" not in str(error.value)


@pytest.mark.parametrize("name", ["", "a/b", "../up", ".hidden", ".."])
def test_a_name_is_a_folder_name(tmp_path, name):
    with pytest.raises(SeaError, match="is no folder name"):
        start("optimize", name, "x", {}, str(tmp_path))


def test_differences_name_each_key():
    old, new = {"a": 1, "b": {"c": [1]}, "gone": 0}, {"a": 1, "b": {"c": [2]}, "new": 0}
    assert differences(old, new) == ["b.c: [1] -> [2]", "gone: 0 -> (absent)", "new: (absent) -> 0"]


def test_the_newest_that_fits_is_learnt_from_without_a_word(tmp_path, capsys):
    finished(tmp_path, "newest-but-other", "2026-01-03T00:00:00+00:00", config={"textset": "other"})
    for name, day in (("newer", 2), ("old", 1)):
        finished(tmp_path, name, f"2026-01-0{day}T00:00:00+00:00")
    start("prepare", "half", "x", {}, str(tmp_path))
    finished(tmp_path, "damaged", "2026-01-04T00:00:00+00:00")
    (tmp_path / "prepare" / "damaged" / MANIFEST).write_text("{")
    assert newest("prepare", str(tmp_path), lambda m: not m.config).name == "newer"
    assert newest("prepare", str(tmp_path), lambda m: False) is None
    assert newest("optimize", str(tmp_path), lambda m: True) is None
    assert capsys.readouterr().out == ""


def test_newest_compatible_complete_run_is_found(tmp_path, capsys):
    finished(tmp_path, "old", "2026-01-01T00:00:00+00:00")
    finished(tmp_path, "newer", "2026-01-02T00:00:00+00:00")
    finished(tmp_path, "newest-but-other", "2026-01-03T00:00:00+00:00", config={"textset": "other"})
    start("prepare", "half", "x", {}, str(tmp_path))
    found = find("prepare", None, str(tmp_path), lambda m: "of another textset" if m.config else None)
    assert found.name == "newer"
    shown = capsys.readouterr().out
    assert "passed over prepare run newest-but-other: of another textset" in shown


def test_a_half_written_upstream_is_refused_by_name_and_passed_over_without(tmp_path, capsys):
    start("prepare", "half", "x", {}, str(tmp_path))
    with pytest.raises(SeaError, match=r"half is incomplete .*Run the same `python -m sea\.prepare"):
        find("prepare", "half", str(tmp_path), accept_all)
    with pytest.raises(SeaError, match=r"no complete prepare run.*half: incomplete"):
        find("prepare", None, str(tmp_path), accept_all)


def test_nothing_there_says_what_to_run(tmp_path):
    with pytest.raises(SeaError, match=r"there is none.*Run `python -m sea\.prepare"):
        find("prepare", None, str(tmp_path), accept_all)
    finished(tmp_path, "a", "2026-01-01T00:00:00+00:00")
    with pytest.raises(SeaError, match=r"there is no prepare run 'b'.*valid: a"):
        find("prepare", "b", str(tmp_path), accept_all)
    with pytest.raises(SeaError, match="there is no builtin:nope; valid: builtin:micro"):
        find("prepare", "builtin:nope", str(tmp_path), accept_all)


def test_a_named_run_that_does_not_fit_is_refused(tmp_path):
    finished(tmp_path, "a", "2026-01-01T00:00:00+00:00")
    with pytest.raises(SeaError, match="cannot serve here: wrong words"):
        find("prepare", "a", str(tmp_path), lambda m: "wrong words")


def test_a_run_is_found_by_folder_and_built_in(tmp_path):
    run = finished(tmp_path, "a", "2026-01-01T00:00:00+00:00")
    assert find("prepare", str(run.path), "elsewhere", accept_all).manifest == run.manifest
    assert find("prepare", None, str(tmp_path / "empty"), accept_all, builtin="micro").name == "micro"
    assert find("prepare", "builtin:micro", str(tmp_path), accept_all).complete


def test_a_changed_output_is_refused(tmp_path):
    from sea.records import sha256

    run = finished(tmp_path, "a", "2026-01-01T00:00:00+00:00", outputs={"x.jsonl": sha256(b"one")})
    (run.path / "x.jsonl").write_bytes(b"one")
    assert output_hash(run, "x.jsonl") == sha256(b"one")
    (run.path / "x.jsonl").write_bytes(b"two")
    with pytest.raises(SeaError, match="is not the file that its manifest describes"):
        output_hash(run, "x.jsonl")
    with pytest.raises(SeaError, match="lists no output y"):
        output_hash(run, "y")


def _hold(path, ready, done):
    with Run("optimize", "a", path).lock("w"):
        ready.set()
        done.wait(20)


def test_two_processes_do_not_write_the_same_run(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(tmp_path, ready, done))
    other.start()
    try:
        assert ready.wait(20)
        with pytest.raises(SeaError, match="another process is writing"), Run("optimize", "a", tmp_path).lock("w"):
            pass
        with Run("optimize", "a", tmp_path).lock("another-writer"):
            pass
    finally:
        done.set()
        other.join(20)
    with Run("optimize", "a", tmp_path).lock("w"):  # free again, also after a kill: the lock is the kernel's
        pass
