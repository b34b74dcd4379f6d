"""A run shown: its own numbers, its texts only when asked for, nothing in them read as markup."""

import os
import subprocess
import sys

import pytest
import torch

from sea.inspect import table
from sea.records import Answer, Embedding
from sea.runs import Run, start
from sea.statistics import rate, rate_text
from sea.store import Store, Writer, content_hash, evenly


def embedding(key: str, answer: str) -> Embedding:
    answers = [Answer("verify:0", "What is it?", "red lamp", answer, "red lamp" in answer)]
    answers.append(Answer("audit:0", "What | is this?", "red lamp", answer, "red lamp" in answer))
    return Embedding(
        id=key, shard="", key="", sha256="", shape=[], dtype="", companions=[], modality="image", source="synthetic",
        losses={"content": 0.004, "style": 0.002}, steps=7, seconds=0.1, hit=True, margin_reached=True, verified=True,
        answers=answers, seed=0, model="m", revision="r",
    )  # fmt: skip


@pytest.fixture
def run(tmp_path) -> Run:
    run = start("optimize", "mine", "x", {}, str(tmp_path))
    texts = ["a red lamp", "<script>alert(1)</script> | `red lamp`\nnext", "a blue one", "a red lamp"]
    batch = [(embedding(f"s{i}", text), {"embedding": torch.zeros(2, 3)}) for i, text in enumerate(texts)]
    Writer(run.path, "r0").add(batch)
    store = Store(run.path)
    one = {**rate(3, 4), "by_wording": {"audit:0": rate(3, 4)}}
    counts = {key: rate(4, 4) for key in ("osr", "margin_reached", "verified", "audit_vsr_harmful")}
    counts |= {"vsr": {**rate(3, 4), "by_wording": {"verify:0": rate(3, 4)}}, "audit_vsr": one}
    counts |= {"audit_vsr_harmless": rate(0, 0), "attempted": 4, "set_aside": 0, "without_phrase": 1}
    counts |= {"mean_steps": 7.0, "mean_seconds": 0.1}
    run.finish({"seed": 0}, [], {"store": content_hash(store.embeddings)}, counts, 2.0)
    return run


def test_numbers_stand_with_interval_and_count(run):
    text = table(run, Store(run.path), 4, show_harmful=False)
    assert "| audit VSR: on wordings used for nothing else (mean) | 0.750 [0.301, 0.954] (n = 4) |" in text
    assert "| audit VSR, harmless samples | - (n = 0) |" in text
    assert rate_text(rate(0, 10)) == "0.000 [0.000, 0.278] (n = 10)"


def test_texts_are_hidden_by_default_and_escaped_when_shown(run):
    hidden = table(run, Store(run.path), 4, show_harmful=False)
    assert "lamp" not in hidden
    shown = table(run, Store(run.path), 4, show_harmful=True)
    assert "a red lamp" in shown
    assert "<script>" not in shown
    rows = [line for line in shown.splitlines() if line.startswith(("| s0", "| s1", "| s2", "| s3"))]
    assert len(rows) == 8
    assert all(line.count("|") == 8 for line in rows)  # no cell breaks the table


def test_rows_are_spread_over_the_ids():
    embeddings = {f"s{i:02}": embedding(f"s{i:02}", "") for i in range(20)}
    assert [e.id for e in evenly(embeddings, 4)] == ["s00", "s05", "s10", "s15"]
    assert len(evenly(embeddings, 100)) == 20
    assert evenly(embeddings, 0) == []


def inspect(cwd, *words):
    return subprocess.run(
        [sys.executable, "-m", "sea.inspect", *words],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=os.environ,
        check=False,
    )


def test_command_takes_the_run_as_its_first_word(run, tmp_path):
    done = inspect(tmp_path, "mine", f"runs={tmp_path}", "show_harmful=true")
    assert done.returncode == 0, done.stderr
    assert "a red lamp" in done.stdout
    out = tmp_path / "inspect" / "mine"
    assert (out / "embeddings.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "embeddings.md").read_text() in done.stdout


def test_unknown_run_lists_the_known(run, tmp_path):
    done = inspect(tmp_path, "other", f"runs={tmp_path}")
    assert done.returncode == 2
    assert "valid: mine" in done.stderr
    assert "Traceback" not in done.stderr
