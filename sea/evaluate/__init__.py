"""Stage 4: a benchmark's items put to a model, with an adapter or without, its answers judged and counted.

From Python: `read` (benchmarks), `respond` (respond.py), `load_judge` and `verdicts` (judges), `measure` (metrics.py),
all free of files. As a command, with resume and progress: `python -m sea.evaluate` (stage.py). The names are fetched
when they are asked for, so that `--help` starts without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sea.components import lazily

if TYPE_CHECKING:
    from sea.evaluate.benchmarks import Attack, read
    from sea.evaluate.judges import Judge, load_judge, verdicts
    from sea.evaluate.metrics import measure
    from sea.evaluate.respond import respond

__all__ = ["Attack", "Judge", "load_judge", "measure", "read", "respond", "verdicts"]

__getattr__ = lazily(
    __name__,
    {
        "Attack": "benchmarks",
        "Judge": "judges",
        "load_judge": "judges",
        "measure": "metrics",
        "read": "benchmarks",
        "respond": "respond",
        "verdicts": "judges",
    },
)
