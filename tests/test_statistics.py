"""Intervals against published values."""

import pytest

from sea.statistics import holm, mcnemar_exact, newcombe, paired_t, rate, student_t_inside, student_t_quantile, wilson


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


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0),
    ],
)
def test_newcombe_agrees_with_his_table(first, second, low, high):
    """Newcombe, Statistics in Medicine 17 (1998) 873-890, table II, method 10."""
    assert newcombe(*first, *second) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))
    mirrored = newcombe(*second, *first)
    assert mirrored == (pytest.approx(-high, abs=1e-4), pytest.approx(-low, abs=1e-4))


def test_newcombe_of_nothing_says_nothing():
    assert newcombe(0, 0, 0, 0) == newcombe(5, 10, 0, 0) == newcombe(0, 0, 5, 10) == (-1.0, 1.0)


def test_mcnemar_exact_is_the_binomial_test():
    """R: binom.test(2, 10)$p.value = 0.109375; equal counts give 1."""
    assert mcnemar_exact(2, 8) == mcnemar_exact(8, 2) == 0.109375
    assert mcnemar_exact(0, 5) == 0.0625
    assert mcnemar_exact(4, 4) == mcnemar_exact(0, 0) == 1.0
    assert 0 <= mcnemar_exact(300, 2000) < 1e-300  # no overflow at the size of a whole benchmark


def test_holm_steps_down_and_keeps_the_order():
    """R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") = 0.03 0.06 0.06 0.02."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize(
    ("freedom", "t"),
    [(1, 12.70620474), (2, 4.30265273), (3, 3.18244631), (4, 2.77644511), (5, 2.57058184), (30, 2.04227246)],
)
def test_student_t_agrees_with_the_tables(freedom, t):
    """Two-sided 95 % quantiles, as in any table (R: qt(0.975, freedom))."""
    assert student_t_quantile(0.95, freedom) == pytest.approx(t, abs=1e-8)
    assert student_t_inside(t, freedom) == student_t_inside(-t, freedom) == pytest.approx(0.95, abs=1e-9)


def test_student_t_of_many_is_normal():
    assert student_t_quantile(0.95, 10_000) == pytest.approx(1.960201, abs=1e-6)


def test_paired_t_on_students_own_data():
    """Student, Biometrika 6 (1908): extra sleep under two drugs. R: t.test(paired = TRUE): 0.7001142, 2.4598858."""
    first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    found = paired_t([b - a for a, b in zip(first, second, strict=True)])
    assert found["n"] == 10 and found["value"] == pytest.approx(1.58)
    assert (found["low"], found["high"]) == (pytest.approx(0.7001142, abs=1e-6), pytest.approx(2.4598858, abs=1e-6))
    assert found["p"] == pytest.approx(0.00283289, abs=1e-7)


def test_paired_t_claims_nothing_from_too_few():
    assert paired_t([]) == {"value": None, "n": 0, "low": None, "high": None, "p": None}
    assert paired_t([0.25]) == {"value": 0.25, "n": 1, "low": None, "high": None, "p": None}
    same = paired_t([0.5, 0.5])
    assert (same["low"], same["high"], same["p"]) == (0.5, 0.5, 0.0)
    assert paired_t([0.0, 0.0])["p"] == 1.0
