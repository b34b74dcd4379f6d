"""SPA-VL's questions with their chosen and rejected answers (its images: the mediaset of the same name)."""

from __future__ import annotations

from collections.abc import Iterator

from sea import multimodal
from sea.prepare.textsets import RawRow, rows_of
from sea.tables import Table


def read(file: str | None = None, harmful: bool | str | None = None) -> Iterator[RawRow]:
    """A row of each question; `file` is its Parquet file or the folder of them.

    Raises:
        SeaError: the file cannot be read, or is no such set.
    """
    table = Table(file, "textset.args.file")
    return rows_of(table, multimodal.spa_vl(table, harmful))
