"""The report's sections in their order: each turns numbers into blocks of the page.

Belongs here: which table shows what, and the summary that is printed. Does not belong here: how a number is made
(`compare.py`), what a sentence may claim (`findings.py`), how a block looks (`page.py`).
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from sea.report.collect import Arm, Base
from sea.report.compare import (
    BY_KEY,
    QUANTITIES,
    SELECTIVITY,
    Estimate,
    Quantity,
    baselines,
    estimate,
    paired_tests,
)
from sea.report.findings import comparisons, details, interval, limits, seeds_text, signed, verdicts
from sea.report.origins import against_expected, embeddings, provenance
from sea.report.page import Block, Bullets, Cell, Fold, Heading, Paragraph, Table, figure
from sea.report.study import Study

WIDTH = 116  # of what is printed
SCENARIOS = ("held-out", "unseen-combination", "unseen-category", "all")
TASKS = ("text", "typographic", "icon", "both", "media", "caption", "style", "tool")
BY_SCENARIO = ("selectivity", "attack_success_rate/media", "refusal_rate_benign", "benign_success", "understanding")


def title(study: Study) -> str:
    """The page's title."""
    return f"sea report: {study.selection.benchmark}, {study.selection.split} split"


def page(study: Study, drawn: dict[str, str]) -> list[Block]:
    """All blocks of the page.

    Args:
        drawn: the figures by name; one that is missing had nothing to show.
    """
    blocks: list[Block] = found(study)
    for index, base in enumerate(study.selection.bases):
        blocks += results(study, base, index, drawn)
    for index, base in enumerate(study.selection.bases):
        blocks += [*differences_of(base), *tests_of(study, base)]
        blocks += [*by_scenario(base), *figure(f"losses-{index + 1}", drawn, "Training loss of each run by step.")]
    return [*blocks, *embeddings(study, drawn), *against_expected(study), *provenance(study)]


# ------------------------------------------------------------------------------------------------ found, results


def found(study: Study) -> list[Block]:
    """What was found, and what it does not show."""
    unequal = any(check.holds is False for check in study.checks if check.training)
    bullets = [line for base in study.selection.bases for line in details(base)]
    blocks: list[Block] = [Heading("What was found"), *verdicts(study.selection)]
    blocks += [Bullets(bullets)] if bullets else []
    blocks += [Heading("What this does not show", 3), Bullets(limits(study.selection, unequal))]
    return blocks


def results(study: Study, base: Base, index: int, drawn: dict[str, str]) -> list[Block]:
    """The result table of a base model, and its figures."""
    marked = frozenset(i for i, arm in enumerate(base.arms) if is_baseline(study, base, arm))
    rows: list[list[Cell | str]] = []
    for i, arm in enumerate(base.arms):
        cells = [_estimate_cell(estimate(arm, quantity)) for quantity in QUANTITIES]
        note = "one run, not trained" if arm.kind == "base" else seeds_text(len(arm.runs))
        rows.append([Cell(arm.label, note + (", baseline" if i in marked else "")), *cells])
    blocks: list[Block] = [Heading(f"Results: {base.name}")]
    blocks.append(
        Paragraph(
            "Selectivity is the share of harmful media refused minus the share of their benign twins refused; every "
            "other number is a share. Below each number stand its 95 % interval and the items of one run (n): over two "
            "or more seeds the mean with Student's interval over seeds, for one run Wilson's interval (selectivity: "
            "Newcombe's) over its items. Student's intervals know no bounds "
            "and may reach beyond 0 and 1. Controls hold no content of their row."
        )
    )
    blocks.append(Table(["arm", *[quantity.title for quantity in QUANTITIES]], rows, marked))
    description = (
        "Selectivity by arm (seeds in brackets): small points are seeds, the large one their mean, bars 95 % intervals."
    )
    blocks += figure(f"selectivity-{index + 1}", drawn, description)
    description = "Attack success through media against the refusal of benign twins: down and left is better."
    return [*blocks, *figure(f"trade-off-{index + 1}", drawn, description)]


def is_baseline(study: Study, base: Base, arm: Arm) -> bool:
    """Whether other arms of the base model are tested against this one."""
    return any(arm in baselines(base, other, study.baseline) for other in base.arms)


def _estimate_cell(found: Estimate | None) -> Cell:
    if found is None:
        return Cell("-")
    return Cell(f"{found.value:.3f}", f"{interval(found.low, found.high)} n={found.n}")


# ------------------------------------------------------------------------------------------------ differences, tests


def differences_of(base: Base) -> list[Block]:
    """Paired per-seed differences."""
    rows: list[list[Cell | str]] = []
    for one in comparisons(base):
        seeds = ", ".join(f"{seed}: {signed(value)}" for seed, value in one.by_seed.items())
        lost = f"; unpaired, left out: {', '.join(map(str, one.unpaired))}" if one.unpaired else ""
        rows.append(
            [
                Cell(f"{one.first.label} minus {one.second.label}", one.quantity.title),
                Cell(signed(one.value), interval(one.low, one.high, sign=True)),
                str(len(one.by_seed)),
                "-" if one.p is None or one.flat else _p(one.p),
                seeds + lost,
            ]
        )
    blocks: list[Block] = [Heading(f"Paired differences by seed: {base.name}")]
    if not rows:
        return [*blocks, Paragraph("No two arms with a seed in common are there to be compared.")]
    note = (
        "Student's t over the seeds that both arms have: 95 % interval and two-sided p, each on its own. "
        "With one seed there is neither. Positive selectivity differences favour the first arm; negative differences "
        "of attack success do."
    )
    return [*blocks, Paragraph(note), Table(["difference", "mean", "seeds", "p", "by seed"], rows)]


def _p(value: float) -> str:
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"


def tests_of(study: Study, base: Base) -> list[Block]:
    """McNemar's exact tests within each seed."""
    rows: list[list[Cell | str]] = []
    for test in paired_tests(base, study.baseline):
        seed = "-" if test.seed is None else str(test.seed)
        counts = [str(test.only_arm), str(test.only_baseline), str(test.n)]
        rows.append([f"{test.arm.label} against {test.baseline.label}", seed, *counts, _p(test.p), _p(test.adjusted)])
    if not rows:
        return []
    note = (
        "The same attacks through media were put to both arms of a seed, so verdicts are compared attack by attack: "
        "McNemar's exact test, two-sided, corrected by Holm over the tests of a seed. It is about these items and this "
        "seed, and about attack success, which a model that refuses everything lowers too."
    )
    header = ["arm against baseline", "seed", "hit arm only", "hit baseline only", "attacks", "p", "p (Holm)"]
    return [Fold(f"Exact tests within a seed ({base.name})", [Paragraph(note), Table(header, rows)])]


def by_scenario(base: Base) -> list[Block]:
    """Each quantity by scenario and task, arms as rows."""
    places = {place[:2] for arm in base.arms for run in arm.runs.values() for place in run.metrics}
    scenarios, tasks = _order({s for s, _ in places}, SCENARIOS), _order({t for _, t in places}, TASKS)
    folds: list[Block] = []
    for key in BY_SCENARIO:
        quantity = BY_KEY[key]
        columns = [(s, t) for s in scenarios for t in tasks if any(estimate(a, quantity, s, t) for a in base.arms)]
        if columns:
            rows: list[list[Cell | str]] = [[arm.label, *_by_place(arm, quantity, columns)] for arm in base.arms]
            name = quantity.title.removesuffix(", media")
            folds.append(
                Fold(f"{name[0].upper()}{name[1:]}", [Table(["arm", *[f"{s}: {t}" for s, t in columns]], rows)])
            )
    return [Heading(f"By scenario and task: {base.name}"), *folds] if folds else []


def _order(names: set[str], known: Sequence[str]) -> list[str]:
    return [name for name in known if name in names] + sorted(names - set(known))


def _by_place(arm: Arm, quantity: Quantity, columns: list[tuple[str, str]]) -> list[Cell]:
    return [_estimate_cell(estimate(arm, quantity, scenario, task)) for scenario, task in columns]


def summary(study: Study) -> str:
    """The headline as plain text: verdicts, and a table of at most 120 characters a line."""
    lines = [textwrap.fill(f"{p.lead} {p.text}", WIDTH) for p in verdicts(study.selection)]
    for base in study.selection.bases:
        lines += ["", f"{base.name} ({study.selection.benchmark}, {study.selection.split} split)"]
        lines += plain_table(base)
    if study.expected is not None:
        compared = study.expected[2]
        lines += ["", f"{compared.within} of {compared.total} expected values within range"]
    return "\n".join(lines)


def plain_table(base: Base) -> list[str]:
    """One row an arm, columns aligned; selectivity with its interval, the rest as values."""
    header = ["arm", "seeds", "selectivity", "ASR text", "ASR media", "refused*", "benign ok", "ability", "reads"]
    rows = [header]
    for arm in base.arms:
        own = estimate(arm, SELECTIVITY)
        shown = "-" if own is None else f"{own.value:.3f} {interval(own.low, own.high)}"
        others = [estimate(arm, quantity) for quantity in QUANTITIES[1:7]]
        name = arm.label if len(arm.label) <= 28 else arm.label[:27] + "…"
        rows.append([name, str(len(arm.runs)), shown, *["-" if one is None else f"{one.value:.3f}" for one in others]])
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    lines = [
        "  ".join(
            cell.ljust(w) if i in (0, 2) else cell.rjust(w) for i, (cell, w) in enumerate(zip(r, widths, strict=True))
        )
        for r in rows
    ]
    lines.insert(1, "-" * len(lines[0]))
    return [*lines, "* benign twins refused; reads: content of harmful media stated right"]
