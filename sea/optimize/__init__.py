"""Stage 2: one embedding per text sample, optimised until the frozen model reads the phrase in it.

From Python: `from sea.optimize import optimize` (embed.py), free of files. As a command, with store, resume and
progress: `python -m sea.optimize` (stage.py). The names are fetched when they are asked for, so that `--help` starts
without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sea.components import lazily

if TYPE_CHECKING:
    from sea.optimize.embed import Results, optimize

__all__ = ["Results", "optimize"]

__getattr__ = lazily(__name__, {"Results": "embed", "optimize": "embed"})
