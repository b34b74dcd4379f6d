"""Any multimodal set in TRL's formats, plain or conversational (its media: the mediaset of the same name)."""

from __future__ import annotations

from collections.abc import Iterator

from sea import multimodal
from sea.prepare.textsets import RawRow, rows_of
from sea.tables import Table


def read(
    file: str | None = None,
    harmful: bool | str | None = None,
    category: str | None = None,
    column: str | None = None,
) -> Iterator[RawRow]:
    """A row of each question; the args are those of `sea.multimodal.preference`.

    Raises:
        SeaError: the file cannot be read, or is no such set.
    """
    table = Table(file, "textset.args.file")
    return rows_of(table, multimodal.preference(table, harmful, category, column))
