"""What the figures are drawn from."""

from sea.report.figures import losses, smoothed
from sea.report.study import read_curve
from tests.report.conftest import refusal


def test_losses_are_the_mean_over_runs_and_over_the_last_steps():
    steps, means = smoothed([[(1, 4.0), (2, 2.0)], [(1, 2.0), (2, 1.0), (3, 9.0)]])
    assert (steps, means) == ([1, 2], [3.0, 1.5])  # a step that one run lacks would change who is averaged
    _, means = smoothed([[(step, float(step)) for step in range(60)]])
    assert means[:3] == [0.0, 0.5, 1.5]  # sixty steps: two of them


def test_runs_without_a_common_step_are_still_drawn():
    assert smoothed([[(1, 4.0)], [(2, 2.0)]]) == ([1], [4.0])


def test_no_curve_no_figure(selection):
    arm = selection().bases[0].arms[1]
    assert losses([]) is None
    assert losses([(arm, [])]) is None
    assert "<svg" in (losses([(arm, [(1, 0.5), (2, -0.1)])]) or "")  # below zero: no logarithm


def test_a_log_is_read_where_it_is_and_refused_where_it_is_none(tmp_path):
    assert read_curve(tmp_path / "gone") == []
    log = tmp_path / "log.jsonl"
    log.write_text('{"step": 1, "loss": 2}\n{"step": 2}\n')
    assert read_curve(log) == [(1.0, 2.0)]
    log.write_text("{")
    assert "line 1: no JSON" in refusal(lambda: read_curve(log))
