"""A file of expected values, such as a recipe ships, held against what the runs gave.

A value outside its range is reported, never an error: seeds, machines and versions differ, and that is what one looks
for. Only a file that cannot be understood is refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sea.console import SeaError, names
from sea.records import read_json
from sea.report.arms import Selection
from sea.report.compare import BY_KEY, estimate


@dataclass(frozen=True)
class Expected:
    """A file of expected values: for a base model, by arm and quantity, the range (low, high)."""

    model: str
    made_by: str
    ranges: dict[tuple[str, str], tuple[float, float]]


@dataclass(frozen=True)
class Comparison:
    """How many expected values were found in their range, and which were not."""

    within: int
    total: int
    outside: list[
        tuple[str, str, tuple[float, float], float | None]
    ]  # arm, quantity, range, value (None: not measured)


def read_expected(path: Path) -> Expected:
    """Read a file of expected values.

    Raises:
        SeaError: it is no such file, or names a quantity that no report has.
    """
    values = read_json(path)
    form = '{"model": NAME, "made_by": TEXT, "arms": {ARM: {QUANTITY: {"low": x, "high": y}}}}'
    if not isinstance(values, dict) or set(values) != {"model", "made_by", "arms"}:
        raise SeaError(f"{path} is no file of expected values; it must be {form}")
    if not isinstance(values["model"], str) or not isinstance(values["made_by"], str):
        raise SeaError(f"{path}: model and made_by must be texts; the file must be {form}")
    if not isinstance(values["arms"], dict) or not all(isinstance(arm, dict) for arm in values["arms"].values()):
        raise SeaError(f"{path}: arms must be objects; the file must be {form}")
    ranges = {}
    for arm, quantities in values["arms"].items():
        for key, bounds in quantities.items():
            if key not in BY_KEY:
                raise SeaError(f"{path}: {arm} has the unknown quantity {key!r}; valid: {names(BY_KEY)}")
            ranges[arm, key] = _range(path, f"{arm}, {key}", bounds)
    return Expected(values["model"], values["made_by"], ranges)


def _range(path: Path, what: str, bounds: Any) -> tuple[float, float]:
    if isinstance(bounds, dict) and set(bounds) == {"low", "high"}:
        low, high = bounds["low"], bounds["high"]
        numbers = all(isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x) for x in (low, high))
        if numbers and low <= high:
            return float(low), float(high)
    raise SeaError(f'{path}: {what} must be {{"low": x, "high": y}} with x <= y, found {bounds!r}')


def held_against(expected: Expected, selection: Selection) -> Comparison:
    """Compare the means over seeds; what no run measured counts as outside."""
    bases = [base for base in selection.bases if expected.model in (base.name, base.id)]
    outside = []
    for (arm_name, key), (low, high) in expected.ranges.items():
        arms = [arm for base in bases for arm in base.arms if arm_name in (arm.name, arm.label)]
        found = estimate(arms[0], BY_KEY[key]) if len(arms) == 1 else None
        if found is None or not low <= found.value <= high:
            outside.append((arm_name, key, (low, high), None if found is None else found.value))
    return Comparison(len(expected.ranges) - len(outside), len(expected.ranges), outside)
