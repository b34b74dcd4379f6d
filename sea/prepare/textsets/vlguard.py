"""VLGuard's questions and answers (its images: the mediaset of the same name); for SFT, as nothing is rejected."""

from __future__ import annotations

from collections.abc import Iterator

from sea import multimodal
from sea.prepare.textsets import RawRow, rows_of
from sea.tables import Table


def read(file: str | None = None) -> Iterator[RawRow]:
    """Two rows of each safe image, one of each unsafe image; `file` is its train.json.

    Raises:
        SeaError: the file cannot be read, or is no such set.
    """
    table = Table(file, "textset.args.file")
    return rows_of(table, multimodal.vlguard(table))
