"""Stage 3, rows: text samples and their embeddings become training rows that point into the stores.

From Python: `from sea.dataset import build` (rows.py). As a command: `python -m sea.dataset` (stage.py). The names are
fetched when they are asked for, so that `--help` starts without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sea.components import lazily

if TYPE_CHECKING:
    from sea.dataset.rows import Built, build

__all__ = ["Built", "build"]

__getattr__ = lazily(__name__, {"Built": "rows", "build": "rows"})
