"""What the command prints: the verdicts, and a table that fits a terminal."""

from __future__ import annotations

import textwrap

from sea.report.arms import Base
from sea.report.compare import ABILITY, QUANTITIES, SELECTIVITY, TEXT_ATTACKS, estimate
from sea.report.findings import interval, verdicts
from sea.report.study import Study

WIDTH = 116


def summary(study: Study) -> str:
    """The headline as plain text: verdicts, and a table of at most 120 characters a line."""
    lines = [
        textwrap.fill(f"{p.lead} {p.text}", WIDTH, subsequent_indent="  ", break_on_hyphens=False)
        for p in verdicts(study.selection)
    ]
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
    asked = {"harmful media": SELECTIVITY, "harmful texts": TEXT_ATTACKS, "ability items": ABILITY}
    found = {name: [one.n for arm in base.arms if (one := estimate(arm, of)) is not None] for name, of in asked.items()}
    items = ", ".join(f"{min(counts)} {name}" for name, counts in found.items() if counts)
    return [*lines, f"* benign twins refused; reads: says what harmful media hold. n: {items}"]
