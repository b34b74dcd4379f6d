"""The numbers, against values reckoned by hand."""

from dataclasses import replace

import pytest

from sea.report.collect import collect
from sea.report.compare import (
    MEDIA_ATTACKS,
    SELECTIVITY,
    TEXT_ATTACKS,
    difference,
    estimate,
    paired_tests,
    partner,
    reach,
    scenarios_of,
)
from tests.report.conftest import evaluate_run, settings

T2 = 4.302652729911275  # 97.5 % quantile of Student's t with 2 degrees of freedom, from a printed table


def arms_of(selection):
    (base,) = selection.bases
    return base, {arm.label: arm for arm in base.arms}


def test_mean_over_seeds_with_students_interval(selection):
    _, arms = arms_of(selection())
    found = estimate(arms["SEA-SFT"], SELECTIVITY)  # .50 .55 .60: standard deviation .05
    half = T2 * 0.05 / 3**0.5
    assert (found.value, found.low, found.high) == pytest.approx((0.55, 0.55 - half, 0.55 + half), abs=1e-6)
    assert found.n == 60


def test_one_run_keeps_its_own_interval(selection):
    _, arms = arms_of(selection({"SEA-SFT": [(36, 6, 4)]}))
    found = estimate(arms["SEA-SFT"], SELECTIVITY)
    assert found.value == pytest.approx(0.5)
    assert (found.low, found.high) == pytest.approx((0.3379, 0.6261), abs=1e-4)  # Newcombe's method 10, by hand


def test_the_paired_interval_is_of_the_differences(selection):
    _, arms = arms_of(selection())
    found = difference(arms["SEA-SFT"], arms["text-SFT"], SELECTIVITY)  # .40 .35 .30
    half = T2 * 0.05 / 3**0.5
    assert (found.value, found.low, found.high) == pytest.approx((0.35, 0.35 - half, 0.35 + half), abs=1e-6)
    assert found.above
    assert not found.below
    blank = difference(arms["SEA-SFT"], arms["blank-SFT"], SELECTIVITY)  # .05 -.05 .00
    assert blank.value == pytest.approx(0, abs=1e-9)
    assert not blank.above
    turned = difference(arms["text-SFT"], arms["SEA-SFT"], SELECTIVITY)
    assert turned.below
    assert turned.value == pytest.approx(-found.value)


def test_a_scenario_is_compared_by_its_own_numbers(selection):
    base, arms = arms_of(selection())
    assert scenarios_of(base) == ["held-out", "unseen-combination", "unseen-category"]
    for run in arms["SEA-SFT"].runs.values():
        place = ("unseen-category", "media", "selectivity")
        run.metrics[place] = replace(run.metrics[place], value=-0.25)
    found = difference(arms["SEA-SFT"], arms["text-SFT"], SELECTIVITY, "unseen-category")  # text: .10 .20 .30
    half = T2 * 0.1 / 3**0.5
    assert (found.value, found.low, found.high) == pytest.approx((-0.45, -0.45 - half, -0.45 + half), abs=1e-6)
    assert difference(arms["SEA-SFT"], arms["text-SFT"], SELECTIVITY).value == pytest.approx(0.35)
    assert difference(arms["SEA-SFT"], arms["text-SFT"], SELECTIVITY, "no such scenario") is None


def test_seeds_are_paired_by_number_not_by_order(tmp_path):
    for seed, refused in ((3, 42), (1, 36), (2, 39)):
        evaluate_run(tmp_path, "SEA-SFT", seed, refused)
    for seed, refused in ((0, 60), (2, 12), (3, 18), (1, 6)):
        evaluate_run(tmp_path, "text-SFT", seed, refused)
    _, arms = arms_of(collect(settings(tmp_path)))
    found = difference(arms["SEA-SFT"], arms["text-SFT"], SELECTIVITY)
    assert found.by_seed == pytest.approx({1: 0.5, 2: 0.45, 3: 0.4})
    assert found.unpaired == [0]


def test_equal_values_are_no_win_whatever_the_rounding(selection):
    _, arms = arms_of(selection({"SEA-SFT": [(42, 9, 4), (21, 3, 4)], "text-SFT": [(36, 3, 4), (24, 6, 4)]}))
    found = difference(arms["SEA-SFT"], arms["text-SFT"], SELECTIVITY)
    assert found.flat
    assert not found.above
    assert not found.below


def test_one_common_seed_has_no_interval_and_none_has_no_difference(selection):
    _, arms = arms_of(selection({"SEA-SFT": [(36, 6, 4)], "text-SFT": [(6, 0, 4), (6, 0, 4)]}))
    found = difference(arms["SEA-SFT"], arms["text-SFT"], SELECTIVITY)
    assert (found.value, found.low, found.above) == (pytest.approx(0.4), None, False)
    assert difference(arms["SEA-SFT"], arms["base"], SELECTIVITY) is None


def test_what_was_not_measured_has_no_estimate(selection):
    _, arms = arms_of(selection())
    assert estimate(arms["base"], MEDIA_ATTACKS, "held-out", "caption") is None
    assert estimate(arms["base"], TEXT_ATTACKS).value == 1
    assert estimate(arms["SEA-SFT"], MEDIA_ATTACKS, "held-out", "icon").n == 6


def test_arms_are_compared_within_their_trainer(selection):
    base, arms = arms_of(selection({"SEA-SFT": [(1, 0, 1)], "SEA-DPO": [(1, 0, 1)], "text-DPO": [(2, 0, 1)]}))
    assert partner(base, arms["SEA-SFT"], "text") is None
    assert partner(base, arms["SEA-DPO"], "text") is arms["text-DPO"]


def test_a_variant_is_compared_with_its_own_control_and_a_defense_with_none(tmp_path):
    for arm in ("SEA", "blank", "SEA (harmless real)", "blank (harmless real)", "random (harmless real)", "random"):
        evaluate_run(tmp_path, f"{arm}-SFT", 0, 30)
    evaluate_run(tmp_path, "blank-SFT + cmrm", 0, 30)  # the newest
    base, arms = arms_of(collect(settings(tmp_path)))
    assert partner(base, arms["SEA-SFT"], "blank") is arms["blank-SFT"]
    assert partner(base, arms["SEA (harmless real)-SFT"], "blank") is arms["blank (harmless real)-SFT"]
    assert partner(base, arms["SEA-SFT"], "random") is arms["random-SFT"]
    assert partner(base, arms["SEA (harmless real)-SFT"], "shuffled") is None
    assert arms["blank (harmless real)-SFT"].is_control


def test_share_of_real_media_and_of_its_gain(selection):
    base, arms = arms_of(selection())  # means: SEA .55, real .85, text .20
    found = reach(base, arms["SEA-SFT"])
    assert found.share == pytest.approx(0.55 / 0.85)
    assert found.gain == pytest.approx(0.35 / 0.65)


def test_no_share_of_a_real_arm_that_has_no_selectivity(selection):
    base, arms = arms_of(selection({"SEA-SFT": [(36, 6, 4)], "real-SFT": [(6, 6, 4)], "text-SFT": [(30, 0, 4)]}))
    found = reach(base, arms["SEA-SFT"])
    assert (found.share, found.gain) == (None, None)


def test_mcnemar_counts_the_same_attacks_and_holm_corrects_within_a_seed(tmp_path):
    # attacks refused: text 0-3, SEA 2-11 -> only SEA hit 0,1 (2); only text hit 4-11 (8): p = 2 * 56/1024 = .109375
    evaluate_run(tmp_path, "text-SFT", 0, 4)
    evaluate_run(tmp_path, "SEA-SFT", 0, 10, first=2)
    evaluate_run(tmp_path, "blank-SFT", 0, 14)  # only text hit 4-13 (10): p = 2 / 1024
    evaluate_run(tmp_path, "blank-SFT", 1, 14)  # no baseline of this seed
    base, _ = arms_of(collect(settings(tmp_path)))
    tests = {test.arm.label: test for test in paired_tests(base, None)}
    assert set(tests) == {"SEA-SFT", "blank-SFT"}
    sea, blank = tests["SEA-SFT"], tests["blank-SFT"]
    assert (sea.only_arm, sea.only_baseline, sea.n) == (2, 8, 60)
    assert sea.p == pytest.approx(112 / 1024)
    assert sea.adjusted == pytest.approx(112 / 1024)
    assert blank.p == pytest.approx(2 / 1024)
    assert blank.adjusted == pytest.approx(4 / 1024)


def test_a_named_baseline_and_the_base_model_against_every_seed(selection):
    base, _ = arms_of(selection({"SEA-SFT": [(6, 0, 4), (9, 0, 4)]}))
    assert [(t.arm.label, t.baseline.label, t.seed) for t in paired_tests(base, "SEA-SFT")] == [
        ("base", "SEA-SFT", 0),
        ("base", "SEA-SFT", 1),
    ]
    assert paired_tests(base, None) == []
    assert [(t.arm.label, t.baseline.label, t.seed) for t in paired_tests(base, "base")] == [
        ("SEA-SFT", "base", 0),
        ("SEA-SFT", "base", 1),
    ]
