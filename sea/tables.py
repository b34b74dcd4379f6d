"""Rows of data files as people publish them: JSON, JSONL, Parquet, Arrow; one file, or a folder of them.

Belongs here: which rows a file holds and how to reach one without reading all. Does not belong here: what a row means.
Read lazily but for JSON: a Parquet set of many gigabytes of pictures is walked through by the columns asked for.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sea.console import SeaError, names
from sea.records import read_json, sha256_file

SUFFIXES = (".json", ".jsonl", ".parquet", ".arrow")
BATCH = 256  # rows of text held at once


class Table:
    """The rows of a file, or of all files of one kind in a folder, in the order of their names.

    Args:
        path: the file or folder.
        setting: the setting that holds `path`, for messages.

    Raises:
        SeaError: nothing is there, it is of a kind that is not read, or it is damaged.
    """

    def __init__(self, path: str | None, setting: str) -> None:
        if path is None:
            raise SeaError(f"no file is named: type {setting}=/path/to/file (docs/data-formats.md, Real media)")
        self.path = Path(path)
        self.files = _files(self.path, setting)
        self.folder = (self.path if self.path.is_dir() else self.path.parent).resolve()
        self.columns = _columns(self.files[0])

    @property
    def digest(self) -> str:
        """Digest of the files' bytes, in their order."""
        return hashlib.sha256("".join(map(sha256_file, self.files)).encode()).hexdigest()

    def need(self, *columns: str) -> None:
        """Refuse a table without some columns.

        Raises:
            SeaError: with the columns that it has.
        """
        if missing := [name for name in columns if name not in self.columns]:
            raise SeaError(f"{self.path} has no column {names(missing)}; it has {names(self.columns)}")

    def rows(self, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Every row, in order, as its values of `columns` (None where a row of JSON lacks one).

        Of media that lie in a Parquet file ({"bytes", "path"}) the bytes are left out: `pick` reads them.
        """
        for file in self.files:
            with _damage(file):
                yield from _rows(file, columns)

    def pick(self, places: Sequence[int], column: str) -> Iterator[tuple[int, Any]]:
        """(place, value of `column`) of some rows, by increasing place; what lies between is not decoded.

        Args:
            places: numbers of rows, from 0 over all files.
        """
        wanted, first = deque(sorted(places)), 0
        for file in self.files:
            with _damage(file):
                for count, values in _blocks(file, column):
                    if wanted and wanted[0] < first + count:
                        block = values()
                        while wanted and wanted[0] < first + count:
                            place = wanted.popleft()
                            value = block[place - first]
                            yield place, value.as_py() if hasattr(value, "as_py") else value
                    first += count


def _files(path: Path, setting: str) -> list[Path]:
    if path.is_dir():
        for suffix in (".parquet", ".arrow", ".jsonl"):  # a saved dataset has small .json files beside its data
            if found := sorted(path.glob(f"*{suffix}")):
                return found
        raise SeaError(f"{setting}={path}: the folder holds no .parquet, .arrow or .jsonl file")
    if not path.is_file():
        raise SeaError(f"{setting}={path}: there is no such file or folder")
    if path.suffix not in SUFFIXES:
        raise SeaError(f"{setting}={path}: a file of this kind is not read; valid: {names(SUFFIXES)}")
    return [path]


@contextlib.contextmanager
def _damage(file: Path) -> Iterator[None]:
    """One line for what pyarrow says of a damaged file, or of one whose columns are not those of the first."""
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowException, OSError, KeyError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise SeaError(f"cannot read {file}: {lines[0]}. Is it damaged, or cut off? Fetch it anew") from error


def _columns(file: Path) -> list[str]:
    with _damage(file):
        if file.suffix == ".parquet":
            return list(_parquet(file).schema_arrow.names)
        if file.suffix == ".arrow":
            return list(_arrow(file).schema.names)
    return sorted({name for row in _json(file) for name in row})


def _parquet(file: Path) -> Any:
    from pyarrow.parquet import ParquetFile

    return ParquetFile(file)


def _arrow(file: Path) -> Any:
    """A reader of an Arrow stream (what `datasets` writes) or file, mapped into memory."""
    import pyarrow

    mapped = pyarrow.memory_map(str(file))
    try:
        return pyarrow.ipc.open_stream(mapped)
    except pyarrow.ArrowInvalid:
        return pyarrow.ipc.open_file(mapped)


def _batches(file: Path) -> Iterator[Any]:
    """The record batches of an Arrow stream or file; their columns are not copied."""
    reader = _arrow(file)
    if hasattr(reader, "get_batch"):
        yield from (reader.get_batch(place) for place in range(reader.num_record_batches))
    else:
        yield from reader


def _json(file: Path) -> Iterator[dict[str, Any]]:
    """The rows of a JSON list, or of JSONL."""
    found = read_json(file) if file.suffix == ".json" else _lines(file)
    if isinstance(found, dict) or not hasattr(found, "__iter__"):
        raise SeaError(f"{file} must hold a list of rows, found {type(found).__name__}")
    for number, row in enumerate(found, 1):
        if not isinstance(row, dict):
            raise SeaError(f"{file}, row {number} must be a JSON object, found {type(row).__name__}")
        yield row


def _lines(file: Path) -> Iterator[Any]:
    with file.open("rb") as opened:
        for number, line in enumerate(opened, 1):
            if line.strip():
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise SeaError(f"{file}, line {number}: no JSON ({error})") from error


def _rows(file: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    if file.suffix == ".parquet":
        opened = _parquet(file)
        for batch in opened.iter_batches(BATCH, columns=_light(opened, columns)):
            yield from batch.to_pylist()
    elif file.suffix == ".arrow":
        for batch in _batches(file):
            yield from batch.select(list(columns)).to_pylist()
    else:
        yield from ({name: row.get(name) for name in columns} for row in _json(file))


def _light(opened: Any, columns: Sequence[str]) -> list[str]:
    """The leaves of some columns (image.path, images.list.element.path, ...) without `bytes` where there are others."""
    schema = opened.schema
    leaves = [schema.column(place).path for place in range(len(schema.names))]
    light = []
    for column in columns:
        own = [leaf for leaf in leaves if leaf == column or leaf.startswith(f"{column}.")]
        light += [leaf for leaf in own if not leaf.endswith(".bytes")] or own
        if not own:
            raise KeyError(f"no column {column}")
    return light


def _blocks(file: Path, column: str) -> Iterator[tuple[int, Callable[[], Sequence[Any]]]]:
    """(number of rows, what gives their values of `column`), block after block."""
    if file.suffix == ".parquet":
        opened = _parquet(file)
        for group in range(opened.num_row_groups):
            yield opened.metadata.row_group(group).num_rows, functools.partial(_group, opened, group, column)
    elif file.suffix == ".arrow":
        for batch in _batches(file):
            yield batch.num_rows, functools.partial(batch.column, column)
    else:
        rows = [row.get(column) for row in _json(file)]
        yield len(rows), lambda: rows


def _group(opened: Any, group: int, column: str) -> Any:
    return opened.read_row_group(group, [column]).column(0)
