"""Expected values: compared with the means, refused only when the file cannot be understood."""

import json

import pytest

from sea.report.expected import held_against, read_expected
from tests.report.conftest import refusal


def written(tmp_path, **parts):
    path = tmp_path / "expected.json"
    path.write_text(json.dumps({"model": "micro-llava", "made_by": "a test", "arms": {}} | parts))
    return path


def test_values_are_within_or_named(selection, tmp_path):
    arms = {
        "SEA-SFT": {"selectivity": {"low": 0.5, "high": 0.6}, "attack_success_rate/text": {"low": 0.3, "high": 1}},
        "gone-SFT": {"ability": {"low": 0, "high": 1}},
        "base": {"selectivity": {"low": 0, "high": 0}},
    }
    found = held_against(read_expected(written(tmp_path, arms=arms)), selection())
    assert (found.within, found.total) == (2, 4)
    assert [(arm, key) for arm, key, _, _ in found.outside] == [
        ("SEA-SFT", "attack_success_rate/text"),
        ("gone-SFT", "ability"),
    ]
    assert found.outside[0][3] == pytest.approx(0.2)
    assert found.outside[1][3] is None


def test_another_model_has_no_value_within(selection, tmp_path):
    arms = {"SEA-SFT": {"selectivity": {"low": -1, "high": 1}}}
    found = held_against(read_expected(written(tmp_path, model="other", arms=arms)), selection())
    assert (found.within, found.total) == (0, 1)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"arms": {"a": {"speed": {"low": 0, "high": 1}}}}, "unknown quantity 'speed'; valid: ability"),
        ({"arms": {"a": {"ability": {"low": 1, "high": 0}}}}, "with x <= y"),
        ({"arms": {"a": {"ability": {"low": 0}}}}, "a, ability must be"),
        ({"arms": {"a": {"ability": {"low": "0", "high": True}}}}, "a, ability must be"),
        ({"arms": {"a": 3}}, "arms must be objects"),
        ({"model": 3}, "model and made_by must be texts"),
        ({"extra": 3}, "is no file of expected values"),
    ],
)
def test_a_malformed_file_is_refused(tmp_path, parts, said):
    assert said in refusal(lambda: read_expected(written(tmp_path, **parts)))


def test_a_file_that_is_not_there_is_refused(tmp_path):
    assert "cannot read" in refusal(lambda: read_expected(tmp_path / "none.json"))
