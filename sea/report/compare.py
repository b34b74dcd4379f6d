"""The numbers of the report: estimates over seeds, paired differences, exact tests. Reads no file, writes no word.

A difference between two arms is taken seed by seed and its interval is Student's t over seeds, because seeds, not
items, are what a claim about a method generalises over. Within one seed the arms answer the same items, so their
attacks are compared by McNemar's exact test.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from sea.records import Metric
from sea.report.arms import CONTROLS, Arm, Base, Evaluated
from sea.statistics import holm, mcnemar_exact, paired_t


@dataclass(frozen=True)
class Quantity:
    """One column of the result table: a metric, and the tasks that it is read from, in the order of preference."""

    key: str
    title: str
    metric: str
    tasks: tuple[str, ...]


QUANTITIES = (
    Quantity("selectivity", "selectivity", "selectivity", ("media",)),
    Quantity("attack_success_rate/text", "attack success, text", "attack_success_rate", ("text",)),
    Quantity("attack_success_rate/media", "attack success, media", "attack_success_rate", ("media",)),
    Quantity("refusal_rate_benign", "benign twins refused", "refusal_rate_benign", ("media",)),
    Quantity("benign_success", "benign twins done right", "benign_success", ("media",)),
    Quantity("ability", "ability", "ability", ("all", "media")),
    Quantity("understanding", "understanding", "understanding", ("media", "all")),
    Quantity(
        "attack_success_rate_understood",
        "attack success, understood media",
        "attack_success_rate_understood",
        ("media", "all"),
    ),
)
BY_KEY = {quantity.key: quantity for quantity in QUANTITIES}
SELECTIVITY, TEXT_ATTACKS, MEDIA_ATTACKS = (BY_KEY[k] for k in list(BY_KEY)[:3])
BENIGN_SUCCESS, ABILITY = BY_KEY["benign_success"], BY_KEY["ability"]
OTHERS = ("text", *CONTROLS, "real")  # what SEA is compared with
COSTS = (TEXT_ATTACKS, BENIGN_SUCCESS, ABILITY)  # where better selectivity may have been paid for

SCENARIOS = ("held-out", "unseen-combination", "unseen-category")  # from near to far from the safety data
ROUNDING = 1e-6  # metrics are written with six digits: what is nearer to zero is zero


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval: Student's t over seeds, or the run's own when there is one seed."""

    value: float
    low: float | None
    high: float | None
    n: int  # items of one run, the smallest
    by_seed: dict[int | None, float]


@dataclass(frozen=True)
class Difference:
    """First arm minus second arm, over the seeds that both have."""

    first: Arm
    second: Arm
    quantity: Quantity
    by_seed: dict[int | None, float]
    value: float
    low: float | None  # None: one seed, which shows nothing about seeds
    high: float | None
    p: float | None
    unpaired: list[int]  # seeds that only one of the two has

    @property
    def above(self) -> bool:
        """Whether the whole interval lies above zero."""
        return self.low is not None and self.low > ROUNDING

    @property
    def below(self) -> bool:
        """Whether the whole interval lies below zero."""
        return self.high is not None and self.high < -ROUNDING

    @property
    def shown(self) -> bool:
        """Whether it is shown that the first arm is above: an interval without width is no evidence of a win."""
        return self.above and not self.flat

    @property
    def flat(self) -> bool:
        """Whether several seeds agree so closely that the interval has no width: no certainty, and p means nothing."""
        return self.low is not None and self.high is not None and self.high - self.low < ROUNDING


def metric_of(run: Evaluated, quantity: Quantity, scenario: str = "all", task: str | None = None) -> Metric | None:
    """A run's metric; None when it was not measured on any item."""
    for name in (task,) if task is not None else quantity.tasks:
        found = run.metrics.get((scenario, name, quantity.metric))
        if found is not None and found.n > 0 and math.isfinite(found.value):
            return found
    return None


def estimate(arm: Arm, quantity: Quantity, scenario: str = "all", task: str | None = None) -> Estimate | None:
    """An arm's number over its seeds; None when no run measured it."""
    measured = {seed: metric_of(run, quantity, scenario, task) for seed, run in arm.runs.items()}
    found = {seed: metric for seed, metric in measured.items() if metric is not None}
    if not found:
        return None
    by_seed = {seed: metric.value for seed, metric in found.items()}
    n = min(metric.n for metric in found.values())
    if len(found) == 1:
        (only,) = found.values()
        return Estimate(only.value, only.low, only.high, n, by_seed)
    mean = paired_t(list(by_seed.values()))
    return Estimate(mean["value"], mean["low"], mean["high"], n, by_seed)


def difference(first: Arm, second: Arm, quantity: Quantity, scenario: str = "all") -> Difference | None:
    """First minus second, paired by seed; None when no seed is common to both."""
    one, other = estimate(first, quantity, scenario), estimate(second, quantity, scenario)
    if one is None or other is None:
        return None
    common = [seed for seed in one.by_seed if seed in other.by_seed]
    if not common:
        return None
    by_seed = {seed: one.by_seed[seed] - other.by_seed[seed] for seed in common}
    found = paired_t(list(by_seed.values()))
    unpaired = sorted(seed for seed in set(one.by_seed) ^ set(other.by_seed) if seed is not None)
    return Difference(
        first, second, quantity, by_seed, found["value"], found["low"], found["high"], found["p"], unpaired
    )


def partner(base: Base, arm: Arm, kind: str) -> Arm | None:
    """The arm of another kind that `arm` is compared with: of the same trainer, and the same defense or none.

    A variant is compared with its own control if there is one: `SEA (harmless real)` with `blank (harmless real)`,
    else with `blank`. Where several groups of settings remain, the one of the same recipe, then the one with the most
    seeds in common, then the newest: the report's equality checks name what else differs.
    """

    def closeness(other: Arm) -> tuple[bool, bool, int, str, str]:
        common = arm.runs.keys() & other.runs.keys()
        newest = max(run.manifest.created for run in other.runs.values())
        return other.variant == arm.variant, other.recipe == arm.recipe, len(common), newest, other.label

    alike = [other for other in base.of_kind(kind, arm.trainer) if other.defense == arm.defense]
    return max((other for other in alike if other.variant in ("", arm.variant)), key=closeness, default=None)


def against(base: Base, arm: Arm, kind: str, quantity: Quantity, scenario: str = "all") -> Difference | None:
    """An arm minus its partner of a kind; None when there is none, or no seed in common."""
    other = partner(base, arm, kind)
    return difference(arm, other, quantity, scenario) if other is not None else None


def scenarios_of(base: Base) -> list[str]:
    """The scenarios of a base model's runs, from near to far where that is known; without their sum."""
    found = {scenario for arm in base.arms for run in arm.runs.values() for scenario, _, _ in run.metrics} - {"all"}
    return [name for name in SCENARIOS if name in found] + sorted(found - set(SCENARIOS))


def sea_comparisons(base: Base) -> Iterator[tuple[Arm, str, Difference | None]]:
    """Every comparison of selectivity that the claim rests on: each SEA arm against text-only and each control.

    Yields:
        The SEA arm, the other's kind, and the difference: None when the two have no seed in common.
    """
    for arm in base.arms:
        if not arm.is_sea:
            continue
        for kind in ("text", *CONTROLS):
            if (other := partner(base, arm, kind)) is not None:
                yield arm, kind, difference(arm, other, SELECTIVITY)


@dataclass(frozen=True)
class Reach:
    """How far SEA comes towards real media, over the seeds that both have."""

    sea: Arm
    real: Arm
    share: float | None  # of real media's selectivity; None when the interval of that is not above zero
    gain: float | None  # of the gain of real media over text-only; None when the interval of that is not above zero
    seeds: int


def reach(base: Base, arm: Arm) -> Reach | None:
    """Share of real media's selectivity, and of its gain over text-only, that a SEA arm reaches."""
    real, text = partner(base, arm, "real"), partner(base, arm, "text")
    if real is None:
        return None
    values = [found.by_seed if (found := estimate(a, SELECTIVITY)) else {} for a in (arm, real)]
    common = [seed for seed in values[0] if seed in values[1]]
    if not common:
        return None
    sea_mean, real_mean = (math.fsum(by_seed[s] for s in common) / len(common) for by_seed in values)
    bound = estimate(real, SELECTIVITY)
    share = sea_mean / real_mean if real_mean > 0 and bound is not None and (bound.low or 0) > 0 else None
    gain, gained = None, difference(real, text, SELECTIVITY) if text is not None else None
    found = estimate(text, SELECTIVITY) if text is not None else None
    if gained is not None and found is not None and all(seed in found.by_seed for seed in common):
        text_mean = math.fsum(found.by_seed[s] for s in common) / len(common)
        gain = (sea_mean - text_mean) / (real_mean - text_mean) if gained.above else None
    return Reach(arm, real, share, gain, len(common))


@dataclass(frozen=True)
class PairedTest:
    """McNemar's exact test of one run's media attacks against the baseline's of the same seed."""

    arm: Arm
    baseline: Arm
    seed: int | None
    n: int  # attacks that both runs have a verdict for
    only_arm: int  # attacks that succeeded against this arm alone
    only_baseline: int
    p: float
    adjusted: float  # by Holm, over the arms of this base model and seed


def paired_tests(base: Base, baseline: str | None) -> list[PairedTest]:
    """Every run against the baseline's run of the same seed; the base model's one run stands against every seed.

    Args:
        baseline: the arm's name; None: text-only of each arm's own trainer (for the base model: each text-only arm).
    """
    pairs: dict[int | None, list[tuple[Arm, Arm, Evaluated, Evaluated]]] = {}
    for arm in base.arms:
        for other in baselines(base, arm, baseline):
            for seed in sorted({*arm.runs, *other.runs} - {None}, key=lambda s: s or 0) or [None]:
                mine, run = (one.runs.get(None, one.runs.get(seed)) for one in (arm, other))
                if mine is not None and run is not None:
                    pairs.setdefault(seed, []).append((arm, other, mine, run))
    tests = []
    for seed in sorted(pairs, key=lambda s: (s is not None, s or 0)):
        counted = [(arm, other, *_discordant(mine, run)) for arm, other, mine, run in pairs[seed]]
        p_values = [mcnemar_exact(only_arm, only_baseline) for *_, only_arm, only_baseline in counted]
        for (arm, other, n, only_arm, only_baseline), p, adjusted in zip(
            counted, p_values, holm(p_values), strict=True
        ):
            tests.append(PairedTest(arm, other, seed, n, only_arm, only_baseline, p, adjusted))
    return tests


def baselines(base: Base, arm: Arm, baseline: str | None) -> list[Arm]:
    """What an arm is tested against; none for a baseline itself."""
    if baseline is not None:
        found = [other for other in base.arms if baseline in (other.name, other.label)]
    elif arm.kind == "base":
        found = [other for other in base.arms if other.kind == "text"]
    else:
        other = partner(base, arm, "text")
        found = [other] if other is not None and arm.kind != "text" else []
    return [] if arm in found else found


def _discordant(mine: Evaluated, other: Evaluated) -> tuple[int, int, int]:
    common = mine.attacks.keys() & other.attacks.keys()
    only_mine = sum(mine.attacks[i] and not other.attacks[i] for i in common)
    only_other = sum(other.attacks[i] and not mine.attacks[i] for i in common)
    return len(common), only_mine, only_other
