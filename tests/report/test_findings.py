"""The sentences: no win is claimed that the numbers do not show, and what is lost comes first."""

from dataclasses import replace

import pytest

from sea.report.arms import CONTROLS
from sea.report.collect import collect
from sea.report.findings import comparisons, limits, reached, scenarios_told, verdicts
from tests.report.conftest import ARMS, evaluate_run, settings

WINS = {
    "text-SFT": [(6, 0, 4), (12, 0, 6), (9, 0, 2)],
    "SEA-SFT": [(48, 3, 4), (51, 3, 5), (54, 3, 3)],
    **{f"{kind}-SFT": [(48, 30, 4), (51, 33, 4), (54, 30, 4)] for kind in CONTROLS},
}


def first(selection):
    paragraph = verdicts(selection)[0]
    return f"{paragraph.lead} {paragraph.text}"


def test_a_win_is_a_win_with_its_numbers(selection):
    text = first(selection(WINS))
    assert text.startswith(
        "SEA wins on selectivity. On micro-llava, SEA-SFT is more selective than text-SFT (+0.650 [+0.526, +0.774]), "
        "no-slot-SFT ("
    )
    assert "shuffled-SFT (+0.467 [" in text
    assert "(3 seeds)." in text


def test_what_a_win_costs_stands_beside_it(selection):
    arms = WINS | {"SEA-SFT": [(57, 12, 4), (60, 13, 5), (57, 11, 3)]}
    assert "Beside text-SFT it costs benign twins done right (-0.200 [-0.241, -0.159]);" in first(selection(arms))


def test_no_cost_is_claimed_that_is_not_shown(selection):
    text = first(selection(WINS | {"SEA-SFT": [(48, 0, 4), (51, 1, 5), (54, 0, 3)]}))
    assert "neither loss nor gain is shown in benign twins done right (-0.006 [-0.029, +0.018]) and ability (" in text
    assert "costs" not in text


def test_a_cost_that_is_the_same_for_every_seed_is_still_a_cost(selection):
    assert "it costs benign twins done right (-0.050 [-0.050, -0.050]);" in first(selection(WINS))


def test_a_scenario_that_turns_against_the_sum_is_told(selection):
    (base,) = selection(WINS).bases
    (arm,) = [arm for arm in base.arms if arm.is_sea]
    for seed, run in arm.runs.items():
        place = ("unseen-category", "media", "selectivity")
        run.metrics[place] = replace(run.metrics[place], value=-0.3 + seed / 100)
    told = scenarios_told(base, arm)
    assert told.lead == "By scenario."
    assert told.text.startswith("SEA-SFT minus text-SFT on micro-llava: held-out +0.650 [")
    assert told.text.count("(more selective)") == 2
    assert "unseen-category -0.440 [-0.554, -0.326] (less selective)." in told.text


def test_an_interval_that_includes_zero_is_said_first(selection):
    text = first(selection())
    assert text.startswith(
        "SEA does not win everywhere. On micro-llava, SEA-SFT is not shown to be more selective than"
    )
    assert "than blank-SFT (+0.000 [-0.124, +0.124]); it is more selective than text-SFT (" in text


def test_a_loss_is_said_first_and_called_one(selection):
    text = first(selection(WINS | {"SEA-SFT": WINS["text-SFT"], "text-SFT": WINS["SEA-SFT"]}))
    assert text.startswith("SEA does not win here. On micro-llava, SEA-SFT is less selective than text-SFT (-0.650 [")
    assert "SEA wins" not in text


def test_seeds_that_agree_to_the_last_digit_show_no_win(selection):
    arms = {arm: seeds[:1] * 3 for arm, seeds in WINS.items()}
    assert "SEA does not win here." in first(selection(arms))


def test_arms_are_counted_and_the_one_that_does_not_win_is_told_first(selection):
    lost = {arm.replace("SFT", "DPO"): seeds for arm, seeds in (WINS | {"SEA-SFT": WINS["text-SFT"]}).items()}
    found = verdicts(selection(WINS | lost))
    assert found[0].text.startswith("Of 2 SEA arms on one base model, 1 is shown to be more selective than text-only")
    assert "SEA-DPO" in found[1].text
    assert found[1].lead == "SEA does not win here."
    assert found[2].lead == "SEA wins on selectivity."


def test_one_seed_shows_nothing_about_seeds(selection):
    chosen = selection({arm: seeds[:1] for arm, seeds in WINS.items()})
    text = first(chosen)
    assert text.startswith("One seed only. On micro-llava, SEA-SFT has a selectivity that is higher than that of text")
    assert "text-SFT (+0.650)" in text
    assert "Another seed may turn this." in text
    assert "it costs benign twins done right (-0.050); neither loss nor gain is shown in ability (+0.000)." in text
    assert "SEA wins" not in text
    assert any(line.lead == "One seed shows nothing about seeds." for line in limits(chosen, False))


def test_equal_on_one_seed_is_not_higher(selection):
    text = first(selection({"SEA-SFT": [(36, 6, 4)], "text-SFT": [(30, 0, 4)]}))
    assert "a selectivity that is not higher than that of text-SFT (+0.000)." in text


def test_better_selectivity_bought_with_text_attacks_is_no_clean_win(selection):
    arms = WINS | {"SEA-SFT": [(48, 3, 14), (51, 3, 16), (54, 3, 12)]}
    text = first(selection(arms))
    assert text.startswith("SEA does not win everywhere.")
    assert "Through text it is attacked with more success than text-SFT (+0.500 [" in text


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ("text", "no text-SFT among"),
        ("blank", "Not among the runs: blank-SFT."),
        (CONTROLS, "no content-free SFT control"),
    ],
)
def test_a_missing_comparison_is_said_and_is_no_clean_win(selection, gone, said):
    text = first(selection({arm: seeds for arm, seeds in WINS.items() if arm.removesuffix("-SFT") not in gone}))
    assert said in text
    assert text.startswith("SEA wins against what is here.")


def test_no_sea_arm_and_nothing_to_compare_with(selection):
    assert first(selection({"text-SFT": [(6, 0, 4)]})).startswith("Nothing about SEA.")


def test_a_lone_sea_arm_is_compared_with_nothing(selection):
    assert first(selection({"SEA-SFT": [(6, 0, 4)]})).startswith("No comparison.")


def test_arms_of_other_seeds_are_not_compared(tmp_path):
    evaluate_run(tmp_path, "SEA-SFT", 0, 30)
    evaluate_run(tmp_path, "text-SFT", 1, 6)
    text = first(collect(settings(tmp_path)))
    assert text.startswith("No comparison.")
    assert "No seed is common with text-SFT." in text


def test_the_comparisons_of_an_arm_and_its_way_to_real_media(selection):
    (base,) = selection().bases
    found = [(d.quantity.key, d.second.label, round(d.value, 3)) for d in comparisons(base)]
    assert found == [
        ("selectivity", "text-SFT", 0.35),
        ("selectivity", "blank-SFT", 0.0),
        ("selectivity", "shuffled-SFT", 0.417),
        ("selectivity", "real-SFT", -0.3),
        ("attack_success_rate/text", "text-SFT", 0.0),
        ("benign_success", "text-SFT", -0.1),
        ("ability", "text-SFT", 0.0),
    ]
    sea = next(arm for arm in base.arms if arm.label == "SEA-SFT")
    assert reached(base, sea).text == (
        "SEA-SFT on micro-llava reaches 65% of real-SFT's selectivity, and 54% of what real media gain over text-only "
        "(means over the seeds of both; a ratio without an interval)."
    )


def leads(selection, unequal=False):
    return [line.lead for line in limits(selection, unequal)]


def test_limits_are_said_where_they_are_true(selection):
    chosen = selection(ARMS, unjudged=2, split="dev", limit=7, judge="rule")
    runs = len(chosen.runs)
    found = leads(chosen, unequal=True)
    assert {
        "The micro world is not a real model.",
        "Many items, few words.",
        "3 seeds are few.",
        "One base model.",
        "The judge errs.",
    } < set(found)
    assert {f"{2 * runs} of {120 * runs} responses are unjudged.", "This is the dev split."} < set(found)
    assert {"Not the whole benchmark.", "Unequal training.", "Many comparisons."} < set(found)
    assert "One optimisation of the embeddings." not in found


def test_seeds_that_share_their_embeddings_are_a_limit(selection):
    found = [line.lead for line in limits(selection(), False, one_store=True)]
    assert "One optimisation of the embeddings." in found


def test_limits_are_not_said_where_they_are_not_true(selection):
    many = {arm: (seeds * 2)[:5] for arm, seeds in WINS.items()}
    found = " ".join(leads(selection(many)))
    for absent in ("seeds are few", "errs", "unjudged", "split", "whole", "Unequal", "One seed"):
        assert absent not in found
    assert "The judge is exact only here." in found


def test_what_the_controls_did_to_attack_success_is_told_with_numbers(selection):
    chosen = selection(WINS)
    (line,) = [line for line in limits(chosen, False) if line.lead == "Attack success alone is no evidence."]
    assert "on micro-llava from 1.00 to no-slot-SFT 0.15, blank-SFT 0.15" in line.text
