"""The figures, as SVG texts that are the same bytes for the same numbers. matplotlib is imported when one is drawn.

Arms keep one colour, one marker and one place in all of them: colours are Paul Tol's `bright`, which people with any
colour vision tell apart, and no figure says anything by colour alone. SFT is filled, DPO hollow.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

from sea.records import Embedding
from sea.report.arms import Arm, Base
from sea.report.compare import BY_KEY, MEDIA_ATTACKS, SELECTIVITY, estimate

COLOURS = {
    "base": "#7f7f7f", "text": "#aa3377", "SEA": "#4477aa", "no-slot": "#ccbb44", "blank": "#66ccee",
    "random": "#ee6677", "shuffled": "#bb7722", "real": "#228833",
}  # fmt: skip
MARKERS = {
    "base": "X", "text": "s", "SEA": "o", "no-slot": "v", "blank": "^", "random": "<", "shuffled": ">", "real": "D",
}  # fmt: skip
LOOK = {
    "svg.fonttype": "path",  # letters as outlines: the same widths on every machine, and no font to ship
    "svg.hashsalt": "sea",
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e5e9ee",
    "axes.axisbelow": True,
}


def look(arm: Arm) -> dict[str, Any]:
    """Colour and marker of an arm."""
    kind = "SEA" if arm.is_sea else arm.kind
    colour = COLOURS.get(kind, "#333333")
    return {"color": colour, "marker": MARKERS.get(kind, "P"), "mfc": "white" if arm.trainer == "DPO" else colour}


def selectivity(base: Base) -> str | None:
    """Every arm's selectivity: a small point per seed, the mean with its interval."""
    found = [(arm, one) for arm in base.arms if (one := estimate(arm, SELECTIVITY)) is not None]
    if not found:
        return None
    with _drawing(8.6, 1.2 + 0.42 * len(found)) as (drawing, axes):
        for place, (arm, one) in enumerate(found):
            style = look(arm)
            if len(one.by_seed) > 1:  # spread so that equal seeds do not hide each other
                ys = [place + 0.26 * (i / (len(one.by_seed) - 1) - 0.5) for i in range(len(one.by_seed))]
                axes.plot(list(one.by_seed.values()), ys, ".", ms=6, alpha=0.45, color=style["color"])
            if one.low is not None and one.high is not None:
                axes.plot([one.low, one.high], [place, place], lw=2.4, color=style["color"], solid_capstyle="butt")
            axes.plot([one.value], [place], ms=9, mew=1.6, ls="", **style)
        axes.axvline(0, color="#333333", lw=0.8)
        axes.set(
            yticks=range(len(found)),
            yticklabels=[f"{arm.label} ({len(one.by_seed)})" for arm, one in found],
            ylim=(len(found) - 0.4, -0.6),
            xlabel="selectivity: share of harmful media refused minus share of benign twins refused",
        )
        axes.grid(axis="y", visible=False)
        return _svg(drawing)


def trade_off(base: Base) -> str | None:
    """Attack success through media against the refusal of benign twins: down and left is better."""
    pairs = [(arm, estimate(arm, MEDIA_ATTACKS), estimate(arm, BY_KEY["refusal_rate_benign"])) for arm in base.arms]
    found = [(arm, attack, refused) for arm, attack, refused in pairs if attack is not None and refused is not None]
    if not found:
        return None
    with _drawing(8.6, 4.6) as (drawing, axes):
        for arm, attack, refused in found:
            style = look(arm)
            common = [seed for seed in attack.by_seed if seed in refused.by_seed]
            if len(common) > 1:
                xs, ys = ([one.by_seed[seed] for seed in common] for one in (refused, attack))
                axes.plot(xs, ys, ".", ms=5, alpha=0.4, color=style["color"])
            axes.plot([refused.value], [attack.value], ms=10, mew=1.6, ls="", label=arm.label, **style)
        axes.set(
            xlim=(-0.03, 1.03),
            ylim=(-0.03, 1.03),
            xlabel="share of benign twins refused (less is better)",
            ylabel="attack success, media (less is better)",
        )
        axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
        return _svg(drawing)


def losses(curves: Sequence[tuple[Arm, list[tuple[float, float]]]]) -> str | None:
    """Training loss by step: one line an arm, a panel for each trainer.

    Args:
        curves: arm and (step, loss) points of one run each.
    """
    trainers = list(dict.fromkeys(arm.trainer for arm, points in curves if points))
    if not trainers:
        return None
    with _drawing(8.6, 3.8, len(trainers)) as (drawing, axes):
        for panel, trainer in zip([axes] if len(trainers) == 1 else list(axes), trainers, strict=True):
            runs: dict[str, tuple[Arm, list[list[tuple[float, float]]]]] = {}
            for arm, points in curves:
                if arm.trainer == trainer and points:
                    runs.setdefault(arm.label, (arm, []))[1].append(points)
            lowest = []
            for arm, several in runs.values():
                xs, ys = smoothed(several)
                lowest.append(min(ys))
                style = look(arm) | {"markevery": max(1, len(xs) // 5), "ms": 5, "lw": 1.3, "alpha": 0.9}
                panel.plot(xs, ys, label=f"{arm.label} ({len(several)})", **style)
            panel.set(title=trainer, xlabel="optimiser step", ylabel="training loss (nats)")
            if min(lowest) > 0:  # the first steps would hide the rest
                panel.set_yscale("log")
            panel.legend(frameon=False, fontsize=8)
        return _svg(drawing)


def smoothed(runs: Sequence[Sequence[tuple[float, float]]]) -> tuple[list[float], list[float]]:
    """Mean over runs at the steps that all of them logged, then over the last thirtieth of these: steps and losses."""
    by_step = [dict(points) for points in runs]
    steps = sorted(set.intersection(*(set(points) for points in by_step))) or sorted(by_step[0])
    means = [math.fsum(p[s] for p in by_step if s in p) / sum(s in p for p in by_step) for s in steps]
    window = max(1, len(steps) // 30)
    parts = [means[max(0, i + 1 - window) : i + 1] for i in range(len(means))]
    return steps, [math.fsum(part) / len(part) for part in parts]


def optimisation(embeddings: Sequence[Embedding], counts: dict[str, Any]) -> str | None:
    """Steps to the stop, and OSR and VSR with their intervals."""
    if not embeddings:
        return None
    with _drawing(8.6, 3.4, 2) as (drawing, (left, right)):
        steps = [e.steps for e in embeddings]
        width = 1 + (max(steps) - min(steps)) // 40  # whole steps a bar, or bars between them stay empty
        left.hist(steps, bins=range(min(steps), max(steps) + 2 * width, width), color="#4477aa")
        left.set(xlabel="steps to the stop", ylabel="embeddings")
        for axis in (left.xaxis, left.yaxis):
            axis.get_major_locator().set_params(integer=True)
        shown = {"OSR": "osr", "at the margin": "margin_reached", "verified": "verified", "audit VSR": "audit_vsr"}
        rates = [(name, counts[key]) for name, key in shown.items() if (counts.get(key) or {}).get("n")]
        for place, (_, share) in enumerate(rates):
            right.plot([share["low"], share["high"]], [place, place], lw=2.4, color="#4477aa", solid_capstyle="butt")
            right.plot([share["value"]], [place], "o", ms=8, color="#4477aa")
        right.set(
            yticks=range(len(rates)), yticklabels=[name for name, _ in rates], ylim=(len(rates) - 0.4, -0.6),
            xlim=(-0.02, 1.02), xlabel="share, with its 95 % interval",
        )  # fmt: skip
        right.grid(axis="y", visible=False)
        return _svg(drawing)


class _drawing:  # noqa: N801  (used as a function: `with _drawing(...) as (figure, axes)`)
    """A figure in the common look, closed afterwards."""

    def __init__(self, width: float, height: float, panels: int = 1) -> None:
        self.size, self.panels = (width, height), panels

    def __enter__(self) -> tuple[Any, Any]:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot

        self._look = matplotlib.rc_context(LOOK)
        self._look.__enter__()
        self._drawing, axes = pyplot.subplots(1, self.panels, figsize=self.size, layout="constrained")
        return self._drawing, axes

    def __exit__(self, *problem: Any) -> None:
        from matplotlib import pyplot

        pyplot.close(self._drawing)
        self._look.__exit__(*problem)


def _svg(drawing: Any) -> str:
    """The drawing as SVG, without date, maker or addresses in it."""
    buffer = io.StringIO()
    drawing.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return buffer.getvalue()
