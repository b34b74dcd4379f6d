"""Beside stage 2: real media through the modality encoder M, into the same kind of store as the optimised embeddings.

From Python: `from sea.encode import encode` (embed.py), free of files. As a command, with store, resume and progress:
`python -m sea.encode` (stage.py). Where media come from: `mediasets/`. The names are fetched when they are asked for,
so that `--help` starts without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sea.components import lazily

if TYPE_CHECKING:
    from sea.encode.embed import Results, encode

__all__ = ["Results", "encode"]

__getattr__ = lazily(__name__, {"Results": "embed", "encode": "embed"})
