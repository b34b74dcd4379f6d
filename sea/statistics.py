"""Intervals and tests that results are reported with. Pure numbers: nothing here knows a benchmark or a stage."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

Z95 = 1.959963984540054  # two-sided 95 % normal quantile


def wilson(successes: int, n: int, z: float = Z95) -> tuple[float, float]:
    """Wilson score interval of a share (Wilson 1927); (0, 1) when nothing was tried."""
    if n == 0:
        return 0.0, 1.0
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def rate(successes: int, n: int) -> dict[str, Any]:
    """A share with its count and its 95 % Wilson interval, as it stands in manifests; value None when n is 0."""
    low, high = wilson(successes, n)
    value = round(successes / n, 6) if n else None
    return {"value": value, "n": n, "low": round(low, 6), "high": round(high, 6)}


def rate_text(share: dict[str, Any]) -> str:
    """A `rate` in words: value [95 % interval] (n)."""
    if not share["n"]:
        return "- (n = 0)"
    return f"{share['value']:.3f} [{share['low']:.3f}, {share['high']:.3f}] (n = {share['n']})"


def newcombe(successes_1: int, n_1: int, successes_2: int, n_2: int) -> tuple[float, float]:
    """95 % interval of the difference share_1 - share_2 of two samples.

    Newcombe, Statistics in Medicine 17 (1998) 873-890, method 10: hybrid of the two Wilson intervals, for unpaired
    samples. For pairs it is wider than need be as a rule, never a claim of more than was seen. (-1, 1) when
    nothing was tried in one of them.
    """
    if not n_1 or not n_2:
        return -1.0, 1.0
    share_1, share_2 = successes_1 / n_1, successes_2 / n_2
    (low_1, high_1), (low_2, high_2) = wilson(successes_1, n_1), wilson(successes_2, n_2)
    difference = share_1 - share_2
    low = difference - math.hypot(share_1 - low_1, high_2 - share_2)
    high = difference + math.hypot(high_1 - share_1, share_2 - low_2)
    return max(-1.0, low), min(1.0, high)


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """Two-sided exact p-value of McNemar's test: twice the smaller binomial(1/2) tail of the discordant pairs.

    Args:
        only_first: pairs in which the event happened to the first alone.
        only_second: pairs in which it happened to the second alone.
    """
    n, smaller = only_first + only_second, min(only_first, only_second)
    tail = sum(math.comb(n, k) for k in range(smaller + 1))
    return min(1.0, 2 * tail / (1 << n))  # integers up to the division: exact for any n that a benchmark has


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) step-down adjusted p-values, in the order given: under 0.05 means rejected at family level 0.05."""
    adjusted, running = [0.0] * len(p_values), 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        running = max(running, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = running
    return adjusted


def student_t_inside(t: float, freedom: int) -> float:
    """P(|T| <= t) of Student's t with `freedom` degrees: the finite series of Abramowitz & Stegun 26.7.3 and 26.7.4."""
    angle = math.atan2(abs(t), math.sqrt(freedom))
    sine, cosine_squared = math.sin(angle), math.cos(angle) ** 2
    odd = freedom % 2
    term, total = (math.cos(angle) if odd else 1.0), 0.0
    for k in range(1 + odd, freedom, 2):  # k: 2, 4, ... when odd; 1, 3, ... when even
        total += term
        term *= cosine_squared * k / (k + 1)
    return 2 / math.pi * (angle + sine * total) if odd else sine * total


def student_t_quantile(inside: float, freedom: int) -> float:
    """The t with P(|T| <= t) = `inside` (0.95: the factor of a 95 % interval), by bisection to the last bit."""
    low, high = 0.0, 1.0
    while student_t_inside(high, freedom) < inside:
        high *= 2
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (middle, high) if student_t_inside(middle, freedom) < inside else (low, middle)
    return middle


def paired_t(differences: Sequence[float]) -> dict[str, Any]:
    """Mean of paired differences (one a seed) with its 95 % Student-t interval and two-sided p-value.

    Returns:
        value, n, low, high, p, shaped as `rate`; what cannot be known from so few is None (all from none, the interval
        and p from one). Equal differences give an interval of no width: say so beside it, it is no certainty.
    """
    n = len(differences)
    mean = math.fsum(differences) / n if n else None
    low = high = p = None
    if mean is not None and n > 1:
        error = math.sqrt(math.fsum((d - mean) ** 2 for d in differences) / (n - 1) / n)
        half = student_t_quantile(0.95, n - 1) * error
        low, high = mean - half, mean + half
        p = 1 - student_t_inside(mean / error, n - 1) if error else float(mean == 0)
    return {"value": mean, "n": n, "low": low, "high": high, "p": p}
