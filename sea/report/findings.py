"""What was found and what it is not, in plain words, generated from the numbers: no win is claimed that is not there.

Belongs here: sentences, each decided by an interval or a count. What SEA does not reach is said before what it does.
"""

from __future__ import annotations

from collections.abc import Iterable

from sea.console import names
from sea.report.collect import Arm, Base, Selection
from sea.report.compare import (
    MEDIA_ATTACKS,
    QUANTITIES,
    SELECTIVITY,
    TEXT_ATTACKS,
    Difference,
    Estimate,
    difference,
    estimate,
    partner,
    reach,
    sea_comparisons,
)
from sea.report.page import Paragraph

FEW_SEEDS = 5


def signed(value: float) -> str:
    """A difference with its sign."""
    return f"{round(value, 3) + 0.0:+.3f}"  # + 0.0: no -0.000


def interval(low: float | None, high: float | None, sign: bool = False) -> str:
    """An interval in brackets; a dash when there is none."""
    if low is None or high is None:
        return "-"
    low, high = round(low, 3) + 0.0, round(high, 3) + 0.0  # + 0.0: no -0.000
    return f"[{low:+.3f}, {high:+.3f}]" if sign else f"[{low:.3f}, {high:.3f}]"


def seeds_text(count: int) -> str:
    """`1 seed`, `5 seeds`."""
    return f"{count} seed" + ("" if count == 1 else "s")


# ------------------------------------------------------------------------------------------------ what was found


def verdicts(selection: Selection) -> list[Paragraph]:
    """One sentence for each SEA arm: what it does not win against first, and arms that do not win before others."""
    told: list[tuple[int, Paragraph]] = []
    for base in selection.bases:
        for arm in base.arms:
            if arm.is_sea:
                told.append(_verdict(base, arm))
    told.sort(key=lambda pair: pair[0])  # stable: the tables' order within
    if not told:
        return [Paragraph("No SEA arm is among these runs: they show nothing about SEA.", "Nothing about SEA.")]
    return [paragraph for _, paragraph in told]


def _verdict(base: Base, arm: Arm) -> tuple[int, Paragraph]:
    """How an arm fares against text-only and the controls; 0: it does not win everywhere, 1: it does."""
    where = f"On {base.name}, {arm.label}"
    compared = [(kind, found) for of, kind, found in sea_comparisons(base) if of is arm]
    known = [found for _, found in compared if found is not None]
    without = [kind for kind, found in compared if found is None]
    lost = [d for d in known if not d.above]
    won = [d for d in known if d.above]
    worse = _text_worse(base, arm)
    missing = _missing(base, arm, without) + worse
    if not known:
        return 0, Paragraph(f"{where} cannot be compared with anything.{missing}", "No comparison.")
    if len(known[0].by_seed) == 1 and all(len(d.by_seed) == 1 for d in known):
        lower = [d for d in known if d.value <= 0]
        higher = [d for d in known if d.value > 0]
        lead = "One seed only."
        text = f"{where} has" + _one_seed(lower, "a selectivity that is not higher than that of")
        text += (" and" if lower and higher else "") + _one_seed(higher, "a higher selectivity than")
        return 0, Paragraph(f"{text} on this one seed. One seed shows nothing about other seeds.{missing}", lead)
    if lost:
        low = [d for d in lost if d.below]
        unclear = [d for d in lost if not d.below]
        parts = []
        if low:
            parts.append(f"is less selective than {_labels(low)}")
        if unclear:
            parts.append(f"is not shown to be more selective than {_labels(unclear)}")
        text = f"{where} {' and '.join(parts)}"
        text += f"; it is more selective than {_labels(won)}." if won else "."
        return 0, Paragraph(text + missing, "SEA does not win here." if not won else "SEA does not win everywhere.")
    lead = "SEA wins." if not missing else "SEA does not win everywhere." if worse else "SEA wins against what is here."
    return 0 if worse else 1, Paragraph(f"{where} is more selective than {_labels(won)}.{missing}", lead)


def _text_worse(base: Base, arm: Arm) -> str:
    """Whether better selectivity was bought with text attacks: that belongs into the first lines too."""
    other = partner(base, arm, "text")
    found = difference(arm, other, TEXT_ATTACKS) if other is not None else None
    if other is None or found is None or not found.above:
        return ""
    return f" Through text it is attacked with more success than {other.label}."


def _one_seed(found: list[Difference], words: str) -> str:
    return f" {words} {_labels(found)}" if found else ""


def _labels(found: Iterable[Difference]) -> str:
    labels = [d.second.label for d in found]
    return labels[0] if len(labels) == 1 else f"{', '.join(labels[:-1])} and {labels[-1]}"


def _missing(base: Base, arm: Arm, without: list[str]) -> str:
    """What the comparison lacks, as a sentence with a space before it."""
    text = ""
    if without:
        text += f" No seed is common with {names(f'{kind}-{arm.trainer}' for kind in without)}."
    if not base.of_kind("text", arm.trainer):
        text += f" There is no text-{arm.trainer} among the runs: nothing says what text data alone would have done."
    if not any(other.is_control and other.trainer == arm.trainer for other in base.arms):
        text += (
            f" There is no content-free {arm.trainer} control: nothing says that the content of the embeddings matters."
        )
    return text


def comparisons(base: Base) -> list[Difference]:
    """The paired differences that are reported, in order: selectivity of SEA and of real media, then text attacks."""
    rows = [found for _, _, found in sea_comparisons(base) if found is not None]
    for quantity, kind, reverse in ((SELECTIVITY, "real", True), (TEXT_ATTACKS, "text", False)):
        for arm in base.arms:
            other = partner(base, arm, kind) if arm.is_sea else None
            if other is not None:
                found = difference(other, arm, quantity) if reverse else difference(arm, other, quantity)
                rows += [found] if found is not None else []
    return rows


def details(base: Base) -> list[Paragraph]:
    """The numbers behind the verdicts, a line each; comparisons that SEA does not win come first."""
    found = [d for d in comparisons(base) if d.quantity is SELECTIVITY and d.first.is_sea]
    lines = [_line(base, d) for d in sorted(found, key=lambda d: d.above)]
    lines += [_text_line(base, d) for d in comparisons(base) if d.quantity is TEXT_ATTACKS]
    for arm in base.arms:
        if arm.is_sea and (far := reach(base, arm)) is not None:
            text = f"{base.name}: {arm.label} reaches "
            text += (
                f"{far.share:.0%} of the selectivity of {far.real.label}"
                if far.share is not None
                else (f"no share of {far.real.label}, whose own selectivity is not above zero")
            )
            if far.gain is not None:
                text += f", and {far.gain:.0%} of what real media gain over text-only"
            lines.append(Paragraph(f"{text} (means over {seeds_text(far.seeds)})."))
    return lines


def _line(base: Base, found: Difference) -> Paragraph:
    names_of = f"{base.name}: selectivity of {found.first.label} minus {found.second.label}"
    if found.low is None:
        sides = " against ".join(_own(estimate(arm, SELECTIVITY), found) for arm in (found.first, found.second))
        return Paragraph(f"{names_of} is {signed(found.value)} on one seed ({sides}, Newcombe intervals of one run).")
    outcome = "above zero" if found.above else "below zero: SEA is worse" if found.below else "zero is not excluded"
    return Paragraph(f"{names_of} is {_numbers(found)}: {outcome}.{_flat(found)}")


def _own(found: Estimate | None, of: Difference) -> str:
    """An arm's own value; its interval only when it is of the one run that is compared."""
    if found is None or len(found.by_seed) > 1:
        return "-" if found is None else f"{found.by_seed[next(iter(of.by_seed))]:.3f}"
    return f"{found.value:.3f} {interval(found.low, found.high)}"


def _text_line(base: Base, found: Difference) -> Paragraph:
    text = f"{base.name}: attack success through text of {found.first.label} minus {found.second.label} is "
    if found.low is None:
        side = "higher" if found.value > 0 else "not higher"
        return Paragraph(f"{text}{signed(found.value)} on one seed: {side} there.")
    if found.below:
        outcome = "SEA resists text attacks better than text-only"
    elif found.above:
        outcome = "SEA resists text attacks worse than text-only"
    else:
        outcome = "neither better nor worse is shown"
    return Paragraph(f"{text}{_numbers(found)}: {outcome}.{_flat(found)}")


def _numbers(found: Difference) -> str:
    return (
        f"{signed(found.value)}, 95 % interval {interval(found.low, found.high, sign=True)} "
        f"over {seeds_text(len(found.by_seed))}"
    )


def _flat(found: Difference) -> str:
    return " The seeds agree to the last digit: an interval without width is no certainty." if found.flat else ""


# ------------------------------------------------------------------------------------------------ limits


def limits(selection: Selection, unequal: bool) -> list[Paragraph]:
    """What the numbers do not show, each sentence only where it is true of these runs.

    Args:
        unequal: compared arms were trained on unequal rows or steps.
    """
    lines: list[tuple[str, str]] = []
    if selection.benchmark == "micro":
        lines.append(
            (
                "The micro world is not a real model.",
                "A language of a few hundred words, invented concepts and a model of a million parameters show that "
                "the method's mechanics work and how arms compare there; how large an effect is elsewhere they do not.",
            )
        )
    lines += _about_seeds(selection)
    lines += _about_attacks(selection)
    if selection.judge == "micro":
        lines.append(("The judge is exact only here.", "It decides by rule, which the micro world's language allows."))
    else:
        lines.append(
            ("The judge errs.", f"Verdicts are those of {selection.judge}; its errors are in no interval on this page.")
        )
    unjudged, answers = sum(r.unjudged for r in selection.runs), sum(r.responses for r in selection.runs)
    if unjudged:
        lines.append((f"{unjudged} of {answers} responses are unjudged.", "They count neither as safe nor as unsafe."))
    if selection.split != "test":
        lines.append((f"This is the {selection.split} split.", "Settings may have been chosen on it: numbers flatter."))
    if selection.settings["limit"] is not None:
        lines.append(("Not the whole benchmark.", f"limit={selection.settings['limit']} items of every task."))
    if unequal:
        lines.append(("Unequal training.", "Some compared arms saw unequal rows or steps: see Provenance."))
    compared = sum(len(comparisons(base)) for base in selection.bases)
    if compared > 1:
        lines.append(
            (
                "Many comparisons.",
                f"Each of the {compared} paired differences has its own 95 % interval; they are not widened for their "
                "number. The exact tests are corrected by Holm.",
            )
        )
    return [Paragraph(text, lead) for lead, text in lines]


def _about_seeds(selection: Selection) -> list[tuple[str, str]]:
    lines = []
    counts = sorted({len(arm.runs) for base in selection.bases for arm in base.arms if arm.kind != "base"})
    if counts and counts[0] == 1:
        some = "Some arms have" if len(counts) > 1 else "There is"
        lines.append(
            (
                "One seed shows nothing about seeds.",
                f"{some} one training run: its interval is about the items alone, and another seed may turn the order.",
            )
        )
    elif counts and counts[0] < FEW_SEEDS:
        lines.append((f"{counts[0]} seeds are few.", "Student's interval over so few rests on their being normal."))
    if len(selection.bases) == 1:
        lines.append(("One base model.", "Seeds vary the order of the rows and the adapter, not the model beneath."))
    return lines


def _about_attacks(selection: Selection) -> list[tuple[str, str]]:
    """Why attack success alone is no evidence, with what the controls of these very runs did to it."""
    told = []
    for base in selection.bases:
        start = next((found for a in base.arms if a.kind == "base" and (found := estimate(a, MEDIA_ATTACKS))), None)
        for arm in base.arms:
            found = estimate(arm, MEDIA_ATTACKS) if arm.is_control else None
            if start is not None and found is not None and found.value < start.value:
                told.append(f"{arm.label} from {start.value:.2f} to {found.value:.2f}")
    lead = "Attack success alone is no evidence."
    if told:
        return [(lead, f"Controls without the content lowered it through media too: {'; '.join(told)}.")]
    if any(estimate(arm, quantity) for base in selection.bases for arm in base.arms for quantity in QUANTITIES[1:3]):
        return [(lead, "A model that refuses everything has none: read it beside the refusal of benign twins.")]
    return []
