"""`python -m sea.evaluate`: the files it leaves, resume after kill -9, adapters, refusals."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from sea.config import EvaluateConfig, compose
from sea.console import SeaError
from sea.evaluate.stage import _join as join
from sea.evaluate.stage import run_stage
from sea.records import Manifest, Metric, Response, Verdict, from_dict, read_json, read_jsonl, sha256_file
from tests.evaluate.conftest import BASE, make_train_run

RESULTS = ("responses.jsonl", "verdicts.jsonl", "metrics.json")


def go(root: Path, *overrides: str, base: tuple[str, ...] = BASE, name: str = "mine") -> Path:
    run_stage(compose("evaluate", EvaluateConfig, *base, f"runs={root}", f"name={name}", *overrides))
    return root / "evaluate" / name


def results(folder: Path) -> dict[str, str]:
    return {file: sha256_file(folder / file) for file in RESULTS}


def manifest(folder: Path) -> Manifest:
    return from_dict(Manifest, read_json(folder / "manifest.json"), str(folder))


@pytest.fixture(scope="module")
def complete(tmp_path_factory) -> Path:
    return go(tmp_path_factory.mktemp("complete"))


# ------------------------------------------------------------------------------------------------ what it leaves


def test_the_files_agree_with_each_other(complete):
    responses = read_jsonl(complete / "responses.jsonl", Response)
    verdicts = read_jsonl(complete / "verdicts.jsonl", Verdict)
    assert [r.id for r in responses] == [v.id for v in verdicts]
    done = manifest(complete)
    assert done.outputs == results(complete)
    assert done.counts["items"] == len(responses)
    counts = Counter((r.task, r.harmful) for r in responses)
    for task in ("text", "typographic", "icon", "both"):
        assert counts[task, True] == counts[task, False] == 4
    assert not (complete / "batches").exists()
    labels = {v.id: v.label for v in verdicts}
    media = [r for r in responses if r.harmful and r.task in ("typographic", "icon", "both")]
    rate = sum(labels[r.id] == "unsafe" for r in media) / len(media)
    headline = done.counts["headline"]["attack_success_rate"]
    assert (headline["value"], headline["n"]) == (pytest.approx(rate, abs=1e-6), 12)


def test_the_base_model_complies_and_can_do_its_work(complete):
    headline = manifest(complete).counts["headline"]
    assert headline["attack_success_rate_text"]["value"] == 1.0
    assert headline["attack_success_rate"]["value"] > 0.7
    assert headline["benign_success"]["value"] > 0.7
    assert headline["ability"]["value"] > 0.7
    assert headline["understanding"]["value"] > 0.7
    assert abs(headline["selectivity"]["value"]) < 0.2


def test_metrics_carry_where_they_come_from(complete):
    metrics = [from_dict(Metric, values, "metrics") for values in read_json(complete / "metrics.json")]
    assert {m.scenario for m in metrics} >= {"all"}
    for m in metrics:
        assert (m.benchmark, m.split, m.run, m.model) == ("micro", "test", "mine", "micro-llava")
        assert (m.adapter, m.seed, m.judge) == (None, None, "micro")
        assert m.low <= m.value <= m.high
    assert {(m.scenario, m.task) for m in metrics} >= {("all", "media"), ("all", "text"), ("all", "style")}


def test_the_manifest_says_what_was_evaluated(complete):
    done = manifest(complete)
    assert [made_from.kind for made_from in done.inputs] == ["model"]
    assert done.config["model"]["name"] == "micro-llava"
    assert (done.counts["arm"], done.counts["group"], done.counts["seed"]) == ("base", "base", None)
    assert done.counts["unjudged"] == 0
    assert done.seconds > 0


def test_a_complete_run_prints_its_summary_again_and_touches_nothing(complete, capsys, monkeypatch):
    monkeypatch.setattr("sea.evaluate.stage.load", lambda *args: pytest.fail("nothing is left to load a model for"))
    before = {path: path.stat().st_mtime_ns for path in complete.rglob("*")}
    go(complete.parent.parent)
    out = capsys.readouterr().out
    assert "is complete: nothing to do" in out
    for label in ("attack success, text", "attack success, media", "selectivity, media", "ability", "understanding"):
        assert label in out
    assert {path: path.stat().st_mtime_ns for path in complete.rglob("*")} == before


def test_no_harmful_text_is_printed(tmp_path, capfd):
    folder = go(tmp_path, "limit=2")
    shown = "".join(capfd.readouterr())
    for response in read_jsonl(folder / "responses.jsonl", Response):
        assert response.response not in shown


def test_a_dry_run_writes_nothing(tmp_path, capsys):
    go(tmp_path, "dry_run=true")
    assert list(tmp_path.iterdir()) == []
    assert "to do: " in capsys.readouterr().out


# ------------------------------------------------------------------------------------------------ resume


def test_ranks_share_the_batches_and_the_last_completes(complete, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in ("1", "0"):
        assert not (tmp_path / "evaluate" / "mine" / "manifest.json").exists()
        monkeypatch.setenv("RANK", rank)
        folder = go(tmp_path)
        done = len(list((folder / "batches").glob("*.json")))
        assert done > 0 if rank == "1" else done == 0
    assert results(folder) == results(complete)
    assert "selectivity" in capsys.readouterr().out


def test_a_kill_before_the_manifest_costs_no_answer(complete, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("sea.runs.Run.finish", lambda *args, **more: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            go(tmp_path)
    monkeypatch.setattr("sea.evaluate.stage.load", lambda *args: pytest.fail("every answer is there"))
    folder = go(tmp_path)
    assert results(folder) == results(complete)
    assert manifest(folder).seconds > 0


def test_a_damaged_batch_is_named(tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("sea.runs.Run.finish", lambda *args, **more: (_ for _ in ()).throw(KeyboardInterrupt))
        go(tmp_path, "limit=2")
    batch = tmp_path / "evaluate" / "mine" / "batches" / "00001.json"
    values = json.loads(batch.read_text())
    batch.write_text(json.dumps({**values, "responses": values["responses"][1:]}))
    with pytest.raises(SeaError, match=r"00001\.json does not hold the items of its batch: remove it"):
        go(tmp_path, "limit=2")
    batch.unlink()
    assert (go(tmp_path, "limit=2") / "manifest.json").exists()


def command(root: Path, *overrides: str) -> list[str]:
    return [sys.executable, "-m", "sea.evaluate", *BASE, f"runs={root}", "name=mine", *overrides]


def kill_amid(root: Path, batches: int, *overrides: str) -> int:
    """Start the command, kill -9 it once `batches` are finished; returns how many were."""
    process = subprocess.Popen(
        command(root, *overrides), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    folder = root / "evaluate" / "mine"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if len(list((folder / "batches").glob("[0-9]*.json"))) >= batches:
            break
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (folder / "manifest.json").exists()
    return len(list((folder / "batches").glob("[0-9]*.json")))


def test_kill_9_then_the_same_command_equals_an_uninterrupted_run(tmp_path, monkeypatch):
    whole = go(tmp_path / "whole", "limit=12")
    root = tmp_path / "killed"
    done = kill_amid(root, 3, "limit=12")
    assert done >= 3
    kept = {p.name: p.stat().st_mtime_ns for p in (root / "evaluate" / "mine" / "batches").glob("[0-9]*.json")}
    batches = root / "evaluate" / "mine" / "batches"
    (batches / ".00099.json.abc.tmp").write_text("{")  # what a kill inside a write leaves
    seen = {}

    def look_and_join(work):
        seen.update({path.name: path.stat().st_mtime_ns for path in batches.iterdir()})
        return join(work)

    monkeypatch.setattr("sea.evaluate.stage._join", look_and_join)
    folder = go(root, "limit=12")
    assert {name: seen[name] for name in kept} == kept  # finished batches were not answered again
    assert results(folder) == results(whole)
    assert not (folder / "batches").exists()


@pytest.mark.slow
def test_kill_9_at_every_third_batch(tmp_path):
    whole = go(tmp_path / "whole", "limit=12")
    root = tmp_path / "killed"
    for batches in range(1, 16, 3):
        kill_amid(root, batches, "limit=12")
    assert results(go(root, "limit=12")) == results(whole)


def test_a_second_process_on_the_same_batches_is_refused(tmp_path):
    from sea.runs import Run

    folder = tmp_path / "evaluate" / "mine"
    folder.mkdir(parents=True)
    with Run("evaluate", "mine", folder).lock("r0"), pytest.raises(SeaError, match="another process is writing"):
        go(tmp_path)


def test_a_run_that_another_launch_completed_in_the_meantime_is_left_alone(tmp_path, monkeypatch):
    import sea.evaluate.stage as stage

    real = stage._preview

    def slow(*args):
        monkeypatch.setattr(stage, "_preview", real)
        go(tmp_path, "limit=1")  # the other launch
        monkeypatch.setattr(stage, "load", lambda *args: pytest.fail("nothing is left to load a model for"))
        real(*args)

    monkeypatch.setattr(stage, "_preview", slow)
    assert not (go(tmp_path, "limit=1") / "batches").exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("benchmark.split=dev", r"benchmark\.split: test -> dev"),
        ("benchmark.args.seed=1", r"benchmark\.args\.seed: 0 -> 1"),
        ("limit=5", "limit: 4 -> 5"),
        ("judge=rule", r"benchmark\.judge: micro -> rule"),
        ("max_new_tokens=9", r"generation\.max_new_tokens: 48 -> 9"),
        ("batch_size=9", r"generation\.batch_size: 8 -> 9"),
        ("model.dtype=bfloat16", r"model\.dtype: float32 -> bfloat16"),
    ],
)
def test_what_shapes_the_result_is_part_of_the_run(complete, override, message):
    with pytest.raises(SeaError, match=message):
        go(complete.parent.parent, override)


# ------------------------------------------------------------------------------------------------ judging


def test_the_rule_judge_works_on_any_benchmark_and_says_what_it_is(tmp_path):
    folder = go(tmp_path, "judge=rule", "limit=2")
    metrics = [from_dict(Metric, values, "metrics") for values in read_json(folder / "metrics.json")]
    assert {m.judge for m in metrics} == {"rule (refusal-only)"}
    assert {m.metric for m in metrics} == {
        "attack_success_rate", "refusal_rate_harmful", "refusal_rate_benign", "selectivity",
    }  # fmt: skip


def test_too_many_unjudged_fail_the_command_and_keep_the_answers(tmp_path, monkeypatch):
    from dataclasses import replace

    import sea.evaluate.stage as stage

    def broken(*args):
        found = read_all(*args)
        return [replace(a, medium=lambda: "no picture") if a.task == "icon" else a for a in found]

    read_all = stage.read
    monkeypatch.setattr(stage, "read", broken)
    message = r"8 of \d+ items are unjudged, more than max_unjudged_share=0\.05: .*the medium cannot be processed"
    with pytest.raises(SeaError, match=message):
        go(tmp_path)
    folder = tmp_path / "evaluate" / "mine"
    assert not (folder / "manifest.json").exists()
    assert len(read_jsonl(folder / "responses.jsonl", Response)) > 40
    monkeypatch.setattr(stage, "load", lambda *args: pytest.fail("the answers were kept"))
    go(tmp_path, "max_unjudged_share=0.5")
    assert manifest(folder).counts["unjudged"] == 8
    metrics = [from_dict(Metric, values, "metrics") for values in read_json(folder / "metrics.json")]
    pooled = next(m for m in metrics if (m.scenario, m.task, m.metric) == ("all", "media", "attack_success_rate"))
    assert (pooled.n, pooled.unjudged) == (8, 4)
    assert ("all", "icon", "attack_success_rate") not in {(m.scenario, m.task, m.metric) for m in metrics}


def test_a_sleeping_judge_stops_the_run_before_the_work(tmp_path, monkeypatch):
    from sea.evaluate.judges import micro

    monkeypatch.setattr(micro.world, "refused", lambda answer: False)
    monkeypatch.setattr("sea.evaluate.stage.load", lambda *args: pytest.fail("not before the canaries"))
    with pytest.raises(SeaError, match="the judge micro fails on answers whose label is known"):
        go(tmp_path)


# ------------------------------------------------------------------------------------------------ adapters

WITH_ADAPTER = ("benchmark=micro", "limit=4", "batch_size=8")


def test_an_adapter_brings_its_model_and_changes_the_answers(complete, trained, capsys):
    folder = go(trained, "adapter=lora", base=WITH_ADAPTER, name="named")
    out = capsys.readouterr().out
    assert "inherited: adapter = " in out
    assert "inherited: model = " in out
    done = manifest(folder)
    adapter = trained / "train" / "lora" / "adapter" / "adapter_model.safetensors"
    assert (done.inputs[1].kind, done.inputs[1].name, done.inputs[1].hash) == ("train", "lora", sha256_file(adapter))
    assert (done.counts["arm"], done.counts["group"], done.counts["seed"]) == ("SEA-SFT", "0123abcd", 3)
    assert done.config["model"]["name"] == "micro-llava"
    metrics = [from_dict(Metric, values, "metrics") for values in read_json(folder / "metrics.json")]
    assert {(m.adapter, m.seed) for m in metrics} == {("lora", 3)}
    answers = [[r.response for r in read_jsonl(f / "responses.jsonl", Response)] for f in (folder, complete)]
    assert answers[0] != answers[1]
    assert go(trained, base=WITH_ADAPTER, name="newest").name == "newest"  # adapter=null: the newest complete one
    assert results(trained / "evaluate" / "newest")["responses.jsonl"] == results(folder)["responses.jsonl"]


def test_the_same_model_may_be_typed_beside_an_adapter(trained):
    go(trained, "adapter=lora", "+model=micro-llava", "dry_run=true", base=WITH_ADAPTER, name="beside")


def test_an_adapter_of_another_model_is_refused(trained):
    with pytest.raises(SeaError, match=r"contradict each other \(dtype: float32 -> bfloat16\): leave \+model out"):
        go(trained, "adapter=lora", "+model=micro-llava", "model.dtype=bfloat16", base=WITH_ADAPTER)
    with pytest.raises(SeaError, match="id: builtin:micro-llava -> "):
        go(trained, "adapter=lora", "+model=llava-1.5-7b", base=WITH_ADAPTER)


def test_an_adapter_with_another_scale_is_refused(tmp_path):
    config = make_train_run(tmp_path, "lora").path / "adapter" / "adapter_config.json"
    config.write_text(json.dumps(read_json(config) | {"lora_alpha": 800}))
    with pytest.raises(SeaError, match=r"adapter_config\.json is not the file that .*manifest\.json describes"):
        go(tmp_path, "adapter=lora", base=WITH_ADAPTER)


def test_a_changed_adapter_is_refused(tmp_path):
    run = make_train_run(tmp_path, "lora")
    weights = run.path / "adapter" / "adapter_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    with pytest.raises(SeaError, match=r"is not the file that .*manifest\.json describes"):
        go(tmp_path, "adapter=lora", base=WITH_ADAPTER)
    weights.unlink()
    with pytest.raises(SeaError, match="changed or lost"):
        go(tmp_path, "adapter=lora", base=WITH_ADAPTER)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("adapter=nowhere",), r"there is no train run 'nowhere'.*valid: lora.*adapter=none \+model=NAME"),
        (("adapter=none",), r"type \+model=NAME; models: .*micro-llava"),
        (("judge=gpt", "adapter=lora"), "judge=gpt is not known; valid: micro, rule"),
        (("benchmark.reader=x", "adapter=lora"), "benchmark.reader=x is not known; valid: micro"),
        (("benchmark.split=train", "adapter=lora"), "benchmark.split=train is not known; valid: dev, test"),
        (("device=cpu", "+model=micro-llava", "model.device=cuda", "adapter=none"), "contradict each other: type one"),
        (("max_unjudged_share=2", "adapter=lora"), "max_unjudged_share=2.0 cannot work"),
        (("limit=0", "adapter=lora"), "limit=0 cannot work"),
    ],
)
def test_mistakes_are_one_line(trained, overrides, message):
    with pytest.raises(SeaError, match=message):
        go(trained, *overrides, base=("benchmark=micro",))


def test_no_train_run_at_all_says_both_ways_out(tmp_path):
    with pytest.raises(SeaError, match=r"there is none.*sea\.train.*adapter=none \+model=NAME"):
        go(tmp_path, base=WITH_ADAPTER)


def test_an_unfinished_train_run_is_not_trusted(tmp_path):
    run = make_train_run(tmp_path, "lora")
    (run.path / "manifest.json").unlink()
    with pytest.raises(SeaError, match="lora is incomplete"):
        go(tmp_path, "adapter=lora", base=WITH_ADAPTER)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (("adapter=none",), "error: adapter=none evaluates a base model: type +model=NAME"),
        (("benchmark=nosuch",), "error: benchmark=nosuch: there is no benchmark 'nosuch'; valid: micro"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(tmp_path, typed, message):
    done = subprocess.run(
        [sys.executable, "-m", "sea.evaluate", f"runs={tmp_path}", *typed], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith(message)
    assert len(done.stderr.splitlines()) == 1


def test_a_drifted_base_model_is_refused_without_a_name_too(tmp_path):
    from sea.models.load import locate

    model = tmp_path / "model"
    shutil.copytree(locate("builtin:micro-llava").path, model)
    unnamed = (*BASE, f"model.id={model}", "limit=1", f"runs={tmp_path}")
    run_stage(compose("evaluate", EvaluateConfig, *unnamed))
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "note": 1}))
    with pytest.raises(SeaError, match=r"its files changed\. Restore them, or accept them by model\.revision="):
        run_stage(compose("evaluate", EvaluateConfig, *unnamed))
