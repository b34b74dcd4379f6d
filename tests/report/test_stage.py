"""The stage as it is used: the files, their order, what is hidden, the second start, refusals at the command line."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sea.records import sha256
from sea.report.stage import run_stage
from tests.report.conftest import ARMS, EVIL, evaluate_run, optimize_run, refusal, settings, study_runs

SECTIONS = [
    "What was found",
    "Results: micro-llava",
    "Paired differences by seed: micro-llava",
    "By scenario and task: micro-llava",
    "Embeddings",
    "Expected values",
    "Provenance",
]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = study_runs(tmp_path_factory.mktemp("report") / "runs")
    expected = root / "expected.json"
    arms = {"SEA-SFT": {"selectivity": {"low": 0.5, "high": 0.6}, "ability": {"low": 0, "high": 0.1}}}
    expected.write_text(json.dumps({"model": "micro-llava", "made_by": "a test", "arms": arms}))
    run_stage(settings(root, "name=one", f"expected={expected}"))
    return root


@pytest.fixture(scope="module")
def shown(root):
    run_stage(settings(root, "name=shown", "show_harmful=true"))
    return root / "report" / "shown"


def files(folder: Path) -> dict[str, bytes]:
    names = {"manifest.json", "settings.json"}
    found = [p for p in folder.rglob("*") if p.is_file() and p.name not in names and not p.name.startswith(".")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_the_sections_stand_in_their_order_in_both_files(root):
    text = (root / "report" / "one" / "report.md").read_text()
    assert re.findall(r"^## (.*)$", text, re.M) == SECTIONS
    page = (root / "report" / "one" / "report.html").read_text()
    assert re.findall(r"<h2>(.*?)</h2>", page) == SECTIONS


def test_the_first_line_says_where_sea_does_not_win(root):
    lines = [line for line in (root / "report" / "one" / "report.md").read_text().splitlines() if line]
    assert lines[2].startswith("**SEA does not win everywhere.** On micro-llava, SEA-SFT is not shown to be more")


def test_the_first_table_says_by_how_much_against_what_and_at_what_cost(root):
    lines = (root / "report" / "one" / "report.md").read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("| SEA arm"))
    assert start < lines.index("### What this does not show")
    header, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines[start : start + 3])
    found = dict(zip(header, rows[0], strict=True))
    assert found["SEA arm"] == "SEA-SFT micro-llava 3 seeds"
    assert found["selectivity minus text-only"] == "+0.350 [+0.226, +0.474] above 0"
    assert found["selectivity minus blank"] == "+0.000 [-0.124, +0.124] 0 inside"
    assert found["selectivity minus shuffled"].endswith("] above 0")
    assert found["selectivity minus real"] == "-0.300 the same in 3 seeds: no interval"
    assert found["ability minus text-only"] == "+0.000 the same in 3 seeds: no interval"
    assert {"attack success through text minus text-only", "benign twins done right minus text-only"} < set(found)
    assert "selectivity minus random" not in found  # no such run
    assert "The seeds of a SEA arm share its embeddings" in "\n".join(lines)


def test_scenarios_and_tasks_are_summed_where_the_runs_have_the_sums(root):
    text = (root / "report" / "one" / "report.md").read_text()
    part = text[text.index("## By scenario") : text.index("## Embeddings")]
    columns = ["typographic", "icon", "both", *("held-out", "unseen-combination", "unseen-category")]
    headers = [line.strip("| ").split(" | ") for line in part.splitlines() if line.startswith("| arm |")]
    assert len(headers) == 5
    assert all(set(header) - {"text"} == {"arm", *columns} for header in headers)
    assert "n=20 |" in part
    assert "n=6 |" not in part


def test_the_result_table_holds_every_arm_with_its_interval(root):
    text = (root / "report" / "one" / "report.md").read_text()
    table = text[text.index("## Results") : text.index("## Paired")]
    rows = re.findall(r"^\| (\S+) (.*?) \| (\S+ \[\S+, \S+\] n=60) \|", table, re.M)
    assert [row[0] for row in rows] == ["base", *ARMS]
    assert rows[2] == ("SEA-SFT", "3 seeds", "0.550 [0.426, 0.674] n=60")
    assert rows[1][1] == "3 seeds, baseline"


def test_the_page_needs_no_other_file_and_runs_nothing(shown):
    page = (shown / "report.html").read_text()
    assert "<script" not in page
    assert not re.findall(r"<(?:link|img|iframe|object|video|audio)\b", page)
    assert not re.findall(r"""(?:src|href)=["'](?!#)""", page)
    assert "@import" not in page
    assert not re.findall(r"url\((?!#)", page)
    assert page.count("<svg") == 4
    assert 'name="viewport"' in page
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_texts_are_hidden_in_every_file_unless_they_are_asked_for(root, shown):
    for name, data in files(root / "report" / "one").items():
        assert b"red lamp" not in data, name
        assert b"evil" not in data, name
    assert sha256(EVIL.encode())[:8] in (root / "report" / "one" / "report.md").read_text()
    assert "red lamp" in (shown / "report.md").read_text()
    assert "&lt;script&gt;alert(&#x27;xss&#x27;)&lt;/script&gt;" in (shown / "report.html").read_text()


def test_rows_is_the_number_of_embeddings_read_back(root):
    text = (root / "report" / "one" / "report.md").read_text()
    assert len(re.findall(r"^\| s\d \|", text, re.M)) == 4  # two embeddings, a verify and an audit wording each
    run_stage(settings(root, "name=none", "rows=0"))
    assert "read back" not in (root / "report" / "none" / "report.md").read_text()


def test_expected_values_outside_are_listed(root, capsys):
    text = (root / "report" / "one" / "report.md").read_text()
    assert "1 of 2 expected values within range." in text
    assert "| SEA-SFT | ability | [0.000, 0.100] | 0.900 |" in text
    run_stage(settings(root, "name=one", f"expected={root / 'expected.json'}"))
    assert "1 of 2 expected values within range" in capsys.readouterr().out


def test_the_same_inputs_give_the_same_bytes_and_a_second_start_does_nothing(root, tmp_path, capsys):
    options = ("name=one", f"expected={root / 'expected.json'}")
    folder = root / "report" / "one"
    before = files(folder)
    stamps = {p: p.stat().st_mtime_ns for p in folder.rglob("*.*") if not p.name.startswith(".")}
    run_stage(settings(root, *options))
    out = capsys.readouterr().out
    assert f"{folder} is complete: nothing to do" in out
    assert out.rstrip().endswith(f"report: {folder / 'report.html'}")
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps
    (folder / "manifest.json").unlink()  # as a kill before the end would leave it
    for path in folder.glob("report.*"):
        path.unlink()
    run_stage(settings(root, *options))
    assert files(folder) == before


def test_an_edited_report_is_written_again(root, shown, capsys):
    before = files(shown)
    (shown / "report.md").write_text("SEA wins everything")
    run_stage(settings(root, "name=shown", "show_harmful=true"))
    assert "nothing to do" not in capsys.readouterr().out
    assert files(shown) == before


def test_the_printed_table_is_aligned_and_narrow(root, capsys):
    run_stage(settings(root, "name=one", f"expected={root / 'expected.json'}"))
    lines = capsys.readouterr().out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("arm "))
    table = lines[start : start + 2 + 1 + len(ARMS)]
    assert {len(line) for line in table} == {len(table[0])}
    assert [line.split()[0] for line in table[2:]] == ["base", *ARMS]
    assert all(len(line) <= 120 for line in lines if not line.startswith("report:"))
    assert any("SEA does not win everywhere." in line for line in lines)
    assert any(line.endswith("n: 60 harmful media, 20 harmful texts, 30 ability items") for line in lines)


def test_new_inputs_make_a_new_report_and_never_overwrite_a_named_one(tmp_path):
    evaluate_run(tmp_path)
    run_stage(settings(tmp_path))
    run_stage(settings(tmp_path, "name=mine"))
    evaluate_run(tmp_path, "SEA-SFT", 0, 30)
    run_stage(settings(tmp_path))
    assert len(list((tmp_path / "report").glob("micro-*"))) == 2
    assert "made with other settings" in refusal(lambda: run_stage(settings(tmp_path, "name=mine")))


def test_what_lies_upstream_may_be_gone(tmp_path):
    study_runs(tmp_path, {"SEA-SFT": [(36, 6, 4)]})
    for stage in ("train", "dataset", "optimize"):
        (tmp_path / stage).rename(tmp_path / f"moved-{stage}")
    run_stage(settings(tmp_path, "name=one"))
    text = (tmp_path / "report" / "one" / "report.md").read_text()
    assert "| SEA-SFT-0 train | not found here |" in text


def test_a_changed_store_is_refused(tmp_path):
    study_runs(tmp_path, {"SEA-SFT": [(36, 6, 4)]})
    (index,) = (tmp_path / "optimize" / "store").glob("index.*")
    index.write_text(index.read_text().replace('"steps": 5', '"steps": 6'))
    assert "is not the one that its manifest describes" in refusal(lambda: run_stage(settings(tmp_path)))


def test_stores_of_other_modalities_are_shown_when_asked_for(tmp_path):
    study_runs(tmp_path, {"SEA-SFT": [(36, 6, 4)]})
    optimize_run(tmp_path, "clips")
    run_stage(settings(tmp_path, "name=with", "stores=[clips]"))
    table = [line for line in (tmp_path / "report/with/report.md").read_text().splitlines() if "| image |" in line]
    assert [line.split("|")[1].strip() for line in table] == ["clips", "store"]
    run_stage(settings(tmp_path, "name=without"))
    assert "clips" not in (tmp_path / "report/without/report.md").read_text()
    assert "there is no optimize run 'nowhere'" in refusal(lambda: run_stage(settings(tmp_path, "stores=[nowhere]")))


def test_an_unknown_baseline_is_refused_with_the_arms(tmp_path):
    evaluate_run(tmp_path)
    assert "baseline=typo is none of the arms; valid: base" in refusal(
        lambda: run_stage(settings(tmp_path, "baseline=typo"))
    )


def test_the_command_needs_no_torch_and_refuses_in_one_line(tmp_path):
    evaluate_run(tmp_path / "runs")
    blocked = tmp_path / "torch.py"
    blocked.write_text("raise RuntimeError('torch was imported')\n")
    command = [sys.executable, "-m", "sea.report", f"runs={tmp_path / 'runs'}"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "Nothing about SEA." in done.stdout
    done = subprocess.run([*command, "evaluations=[typo]"], capture_output=True, text=True, env=environment)
    assert done.returncode == 2
    assert "error: there is no evaluate run 'typo'" in done.stderr
    assert "Traceback" not in done.stderr
