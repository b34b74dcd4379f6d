"""The sentences: no win is claimed that the numbers do not show, and what is lost comes first."""

import pytest

from sea.report.findings import details, limits, verdicts
from tests.report.conftest import ARMS

WINS = {
    "text-SFT": [(6, 0, 4), (12, 0, 6), (9, 0, 2)],
    "SEA-SFT": [(48, 3, 4), (51, 3, 5), (54, 3, 3)],
    "blank-SFT": [(48, 30, 4), (51, 33, 4), (54, 30, 4)],
}


def first(selection):
    paragraph = verdicts(selection)[0]
    return f"{paragraph.lead} {paragraph.text}"


def test_a_win_is_a_win(selection):
    assert first(selection(WINS)) == "SEA wins. On micro-llava, SEA-SFT is more selective than text-SFT and blank-SFT."


def test_an_interval_that_includes_zero_is_said_first(selection):
    text = first(selection())
    assert text.startswith(
        "SEA does not win everywhere. On micro-llava, SEA-SFT is not shown to be more selective than"
    )
    assert "than blank-SFT; it is more selective than text-SFT and shuffled-SFT." in text


def test_a_loss_is_said_first_and_called_one(selection):
    arms = WINS | {"SEA-SFT": WINS["text-SFT"], "text-SFT": WINS["SEA-SFT"]}
    chosen = selection(arms)
    text = first(chosen)
    assert text.startswith("SEA does not win here. On micro-llava, SEA-SFT is less selective than text-SFT")
    assert "wins." not in text
    assert any("below zero: SEA is worse" in line.text for line in details(chosen.bases[0]))


def test_the_arm_that_does_not_win_is_told_first(selection):
    lost = {arm.replace("SFT", "DPO"): seeds for arm, seeds in (WINS | {"SEA-SFT": WINS["text-SFT"]}).items()}
    found = verdicts(selection(WINS | lost))
    assert "SEA-DPO" in found[0].text
    assert found[0].lead == "SEA does not win here."
    assert found[1].lead == "SEA wins."


def test_one_seed_shows_nothing_about_seeds(selection):
    chosen = selection({arm: seeds[:1] for arm, seeds in WINS.items()})
    text = first(chosen)
    assert "One seed shows nothing about other seeds." in text
    assert "SEA wins" not in text
    assert any(line.lead == "One seed shows nothing about seeds." for line in limits(chosen, False))
    line = details(chosen.bases[0])[0].text
    assert "is +0.650 on one seed (0.750 [0.6" in line
    assert "against 0.100 [" in line
    assert "Newcombe" in line


def test_better_selectivity_bought_with_text_attacks_is_no_clean_win(selection):
    arms = WINS | {"SEA-SFT": [(48, 3, 14), (51, 3, 16), (54, 3, 12)]}
    text = first(selection(arms))
    assert text.startswith("SEA does not win everywhere.")
    assert "Through text it is attacked with more success than text-SFT." in text


@pytest.mark.parametrize(
    ("gone", "said"), [("text-SFT", "no text-SFT among"), ("blank-SFT", "no content-free SFT control")]
)
def test_a_missing_comparison_is_said(selection, gone, said):
    text = first(selection({arm: seeds for arm, seeds in WINS.items() if arm != gone}))
    assert said in text
    assert text.startswith("SEA wins against what is here.")


def test_no_sea_arm_and_nothing_to_compare_with(selection):
    assert first(selection({"text-SFT": [(6, 0, 4)]})).startswith("Nothing about SEA.")


def test_a_lone_sea_arm_is_compared_with_nothing(selection):
    assert first(selection({"SEA-SFT": [(6, 0, 4)]})).startswith("No comparison.")


def test_details_give_the_difference_its_interval_and_what_was_lost_first(selection):
    lines = [line.text for line in details(selection().bases[0])]
    assert "minus blank-SFT is +0.000, 95 % interval [-0.124, +0.124] over 3 seeds: zero is not excluded" in lines[0]
    assert "minus text-SFT is +0.350, 95 % interval [+0.226, +0.474] over 3 seeds: above zero" in lines[1]
    assert any("attack success through text of SEA-SFT minus text-SFT is +0.000" in line for line in lines)
    assert any(
        "SEA-SFT reaches 65% of the selectivity of real-SFT, and 54% of what real media gain" in i for i in lines
    )


def leads(selection, unequal=False):
    return [line.lead for line in limits(selection, unequal)]


def test_limits_are_said_where_they_are_true(selection):
    chosen = selection(ARMS, unjudged=2, split="dev", limit=7, judge="rule")
    runs = len(chosen.runs)
    found = leads(chosen, unequal=True)
    assert {"The micro world is not a real model.", "3 seeds are few.", "One base model.", "The judge errs."} < set(
        found
    )
    assert {f"{2 * runs} of {120 * runs} responses are unjudged.", "This is the dev split."} < set(found)
    assert {"Not the whole benchmark.", "Unequal training.", "Many comparisons."} < set(found)


def test_limits_are_not_said_where_they_are_not_true(selection):
    many = {arm: (seeds * 2)[:5] for arm, seeds in WINS.items()}
    found = " ".join(leads(selection(many)))
    for absent in ("few", "errs", "unjudged", "split", "whole", "Unequal", "One seed"):
        assert absent not in found
    assert "The judge is exact only here." in found


def test_what_the_controls_did_to_attack_success_is_told_with_numbers(selection):
    chosen = selection(WINS)
    (line,) = [line for line in limits(chosen, False) if line.lead == "Attack success alone is no evidence."]
    assert "blank-SFT from 1.00 to 0.15" in line.text
