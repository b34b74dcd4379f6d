"""Intervals and tests that results are reported with. Pure numbers: nothing here knows a benchmark or a stage."""

from __future__ import annotations

import math
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
