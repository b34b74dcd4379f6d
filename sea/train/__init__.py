"""Stage 3, training: LoRA adapters by TRL's trainers, on rows whose media are embeddings.

From Python: `from sea.train import build, train` (fit.py): a loaded model and encoded rows in, a trainer with the
trained adapter out. As a command, with resume, progress and a checked adapter: `python -m sea.train` (stage.py). The
names are fetched when they are asked for, so that `--help` starts without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sea.components import lazily

if TYPE_CHECKING:
    from sea.train.fit import build, train

__all__ = ["build", "train"]

__getattr__ = lazily(__name__, {"build": "fit", "train": "fit"})
