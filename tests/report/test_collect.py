"""Which runs are reported, and that nothing is pooled, mixed or left out in silence."""

import json

import pytest

from sea.console import SeaError
from sea.records import sha256_file
from sea.report.collect import collect
from tests.report.conftest import ARMS, N, evaluate_run, refusal, settings


def test_arms_stand_in_a_fixed_order_with_their_seeds(selection):
    arms = dict(reversed(ARMS.items())) | {"SEA-DPO": [(30, 0, 4)], "no-slot-SFT": [(1, 1, 1)], "odd-SFT": [(1, 1, 1)]}
    (base,) = selection(arms).bases
    labels = [arm.label for arm in base.arms]
    sft = ["text-SFT", "SEA-SFT", "no-slot-SFT", "blank-SFT", "shuffled-SFT", "real-SFT", "odd-SFT"]
    assert labels == ["base", *sft, "SEA-DPO"]
    assert [list(arm.runs) for arm in base.arms[:3]] == [[None], [0, 1, 2], [0, 1, 2]]


def test_base_models_of_two_revisions_are_never_pooled(tmp_path):
    for revision, refused in (("one", 30), ("two", 50)):
        evaluate_run(tmp_path, "SEA-SFT", 0, refused, tag=revision, revision=revision)
    bases = collect(settings(tmp_path)).bases
    assert [base.revision for base in bases] == ["one", "two"]
    assert len({base.name for base in bases}) == 2
    assert [len(base.arms[0].runs) for base in bases] == [1, 1]
    assert [sum(not hit for hit in base.arms[0].runs[0].attacks.values()) for base in bases] == [30, 50]


def test_base_models_stand_in_the_order_of_their_names_wherever_they_lie(tmp_path):
    for name, id_ in (("b", "/a"), ("a", "/z")):
        run = evaluate_run(tmp_path, tag=name)
        path = run.path / "manifest.json"
        values = json.loads(path.read_text())
        values["config"]["model"]["name"], values["inputs"][0]["name"] = name, id_
        path.write_text(json.dumps(values))
    assert [base.name for base in collect(settings(tmp_path)).bases] == ["a", "b"]


def test_another_choice_of_settings_is_an_arm_of_its_own(tmp_path):
    evaluate_run(tmp_path, "SEA-SFT", 0, 30, group="aaaa")
    evaluate_run(tmp_path, "SEA-SFT", 1, 50, group="bbbb")
    (base,) = collect(settings(tmp_path)).bases
    assert [arm.label for arm in base.arms] == ["SEA-SFT (aaaa)", "SEA-SFT (bbbb)"]


def test_of_the_same_arm_and_seed_the_newer_run_counts_and_the_older_is_named(tmp_path):
    evaluate_run(tmp_path, "SEA-SFT", 0, 30, tag="-zz")
    evaluate_run(tmp_path, "SEA-SFT", 0, 50)
    found = collect(settings(tmp_path))
    assert [run.run.name for run in found.runs] == ["SEA-SFT-0"]
    assert found.passed_over == [("SEA-SFT-0-zz", "the same arm, settings and seed as SEA-SFT-0, which is newer")]


def test_without_names_runs_measured_otherwise_than_the_newest_are_named(tmp_path):
    evaluate_run(tmp_path, "old", split="dev")
    evaluate_run(tmp_path, "fewer", limit=5)
    evaluate_run(tmp_path, "judged", judge="rule")
    evaluate_run(tmp_path)
    found = collect(settings(tmp_path))
    assert [run.run.name for run in found.runs] == ["base"]
    reasons = dict(found.passed_over)
    assert "benchmark.split: test -> dev" in reasons["old"]
    assert "limit: None -> 5" in reasons["fewer"]
    assert "judge: micro -> rule" in reasons["judged"]


@pytest.mark.parametrize("other", [{"split": "dev"}, {"judge": "rule"}, {"limit": 5}])
def test_named_runs_measured_otherwise_are_refused(tmp_path, other):
    evaluate_run(tmp_path)
    evaluate_run(tmp_path, "SEA-SFT", 0, **other)
    message = refusal(lambda: collect(settings(tmp_path, "evaluations=[base,SEA-SFT-0]")))
    assert "not measured alike" in message
    assert next(iter(other)) in message


def test_names_folders_and_patterns(tmp_path):
    for seed in (0, 1):
        evaluate_run(tmp_path, "SEA-SFT", seed, 30)
    evaluate_run(tmp_path)

    def chosen(*references):
        return sorted(r.run.name for r in collect(settings(tmp_path, f"evaluations=[{','.join(references)}]")).runs)

    assert [r.run.name for r in collect(settings(tmp_path, "evaluations=base")).runs] == ["base"]
    assert "must be names" in refusal(lambda: settings(tmp_path, "evaluations=[{a: 1}]"))
    assert chosen("SEA-*") == ["SEA-SFT-0", "SEA-SFT-1"]
    assert chosen("base", str(tmp_path / "evaluate" / "SEA-SFT-1"), "'SEA-SFT-[1]'") == ["SEA-SFT-1", "base"]
    assert "SEA-SFT-0, SEA-SFT-1, base" in refusal(lambda: chosen("'nothing*'"))
    assert "valid: SEA-SFT-0, SEA-SFT-1, base" in refusal(lambda: chosen("typo"))
    assert "names no run" in refusal(lambda: collect(settings(tmp_path, "evaluations=[]")))


def test_an_incomplete_run_is_named_and_refused_when_asked_for(tmp_path):
    evaluate_run(tmp_path)
    cut = evaluate_run(tmp_path, "SEA-SFT", 0)
    (cut.path / "manifest.json").unlink()
    assert collect(settings(tmp_path)).passed_over == [("SEA-SFT-0", "incomplete (no manifest.json)")]
    assert "incomplete" in refusal(lambda: collect(settings(tmp_path, "evaluations=[SEA-SFT-0]")))


def test_nothing_to_report_says_what_to_run(tmp_path):
    assert "Run `python -m sea.evaluate ...` first" in refusal(lambda: collect(settings(tmp_path)))


@pytest.mark.parametrize("file", ["metrics.json", "verdicts.jsonl", "responses.jsonl"])
def test_a_file_changed_after_completion_is_refused(tmp_path, file):
    run = evaluate_run(tmp_path)
    path = run.path / file
    path.write_text(path.read_text().replace("micro", "macro", 1))
    assert f"{file} is not the file that its manifest describes" in refusal(lambda: collect(settings(tmp_path)))


def test_a_line_without_what_is_read_is_one_clear_error(tmp_path):
    run = evaluate_run(tmp_path)
    path, manifest = run.path / "verdicts.jsonl", run.path / "manifest.json"
    path.write_text(path.read_text().replace('"label"', '"mark"', 1))
    values = json.loads(manifest.read_text())
    values["outputs"]["verdicts.jsonl"] = sha256_file(path)
    manifest.write_text(json.dumps(values))
    assert "a line has no id, label" in refusal(lambda: collect(settings(tmp_path)))


def test_a_damaged_manifest_is_named_and_does_not_stop_the_others(tmp_path):
    evaluate_run(tmp_path)
    bad = evaluate_run(tmp_path, "SEA-SFT", 0)
    (bad.path / "manifest.json").write_text("{")
    found = collect(settings(tmp_path))
    assert [name for name, _ in found.passed_over] == ["SEA-SFT-0"]


def test_attacks_are_the_harmful_items_through_media_that_were_judged(tmp_path):
    evaluate_run(tmp_path, "SEA-SFT", 0, refused=10, unjudged=5)
    (run,) = collect(settings(tmp_path)).runs
    assert set(run.attacks) == {f"a{i}" for i in range(N - 5)}
    assert sum(run.attacks.values()) == N - 5 - 10
    assert run.unjudged == 5


def test_a_foreign_manifest_cannot_serve(tmp_path):
    run = evaluate_run(tmp_path)
    path = run.path / "manifest.json"
    values = json.loads(path.read_text())
    del values["counts"]["arm"]
    path.write_text(json.dumps(values))
    with pytest.raises(SeaError, match="counts no arm"):
        collect(settings(tmp_path))
