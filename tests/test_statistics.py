"""Intervals against published values."""

import pytest

from sea.statistics import rate, wilson


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_agrees_with_newcombes_table(successes, n, low, high):
    """Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3."""
    found = wilson(successes, n)
    assert found == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_edges():
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(5, 5)[1] == 1.0
    assert rate(0, 0)["value"] is None
    assert rate(1, 3) == {
        "value": 0.333333,
        "n": 3,
        "low": pytest.approx(0.0615, abs=1e-3),
        "high": pytest.approx(0.7923, abs=1e-3),
    }
