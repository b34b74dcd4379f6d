"""Stage 4: a benchmark's items put to a model, with an adapter or without, its answers judged and counted.

From Python: `read` (benchmarks), `respond` (respond.py), `load_judge` and `verdicts` (judges), `measure` (metrics.py),
all free of files. As a command, with resume and progress: `python -m sea.evaluate` (stage.py). The names are fetched
when they are asked for, so that `--help` starts without torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sea.evaluate.benchmarks import Attack, read
    from sea.evaluate.judges import Judge, load_judge, verdicts
    from sea.evaluate.metrics import measure
    from sea.evaluate.respond import respond

__all__ = ["Attack", "Judge", "load_judge", "measure", "read", "respond", "verdicts"]

_HOMES = {"Attack": "benchmarks", "read": "benchmarks", "measure": "metrics", "respond": "respond"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES.get(name, 'judges')}"), name)
