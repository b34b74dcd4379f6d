"""Media on disk: a JSONL file of {"id": a sample's id, "path": below the file's folder}, or a table with both columns.

A table (Parquet, Arrow, a folder of either) may hold the media themselves, in a column named by their modality.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sea.console import SeaError, names
from sea.encode.mediasets import medium_or_reject, refuse_unused
from sea.media import MODALITIES, Form
from sea.records import Reject, Sample, read_jsonl
from sea.sources import media_column, sources, within
from sea.tables import Table


@dataclass(frozen=True)
class Medium:
    """One line of a JSONL file."""

    id: str
    path: str  # relative to the file's folder


class Reader:
    """Media by the id of their sample; lines about other samples are passed over.

    Args:
        file: the list, or the table.
        frames: of a clip; None: as many as the model's blank clip has.
        rate: samples a second of a sound; None: as the model's blank sound has.
        seconds: the longest sound that is taken; None: as long as the model's blank sound.

    Raises:
        SeaError: the file cannot be read, names an id twice, or names something outside its folder.
    """

    modalities = MODALITIES

    def __init__(
        self,
        file: str | None = None,
        frames: int | None = None,
        rate: int | None = None,
        seconds: int | float | None = None,
    ) -> None:
        self.frames, self.rate, self.seconds = frames, rate, seconds
        if file is not None and file.endswith(".jsonl"):
            read_jsonl(Path(file), Medium)  # strictly: a list by hand has mistakes by hand
        self.table = Table(file, "mediaset.args.file")
        self.table.need("id")
        ids = [str(row["id"]) for row in self.table.rows(["id"])]
        if twice := [key for key, count in Counter(ids).items() if count > 1]:
            raise SeaError(f"{file} names ids twice: {names(twice[:5])}. A sample has one medium: remove a line")
        self._places = {key: place for place, key in enumerate(ids)}
        if "path" in self.table.columns:
            for row in self.table.rows(["id", "path"]):
                try:
                    within(self.table.folder, str(row["path"]))
                except SeaError as error:
                    raise SeaError(f"{file}, id {row['id']}: {error}") from error

    def fingerprint(self) -> str:
        """Digest of the file: another choice of media is another media set. Media that it names are not read for it."""
        return self.table.digest

    def wanted(self, samples: Sequence[Sample], modality: str) -> list[Sample]:
        """Those with a phrase to be shown, and those whose own medium the file names."""
        refuse_unused(modality, frames=self.frames, rate=self.rate, seconds=self.seconds)
        return [sample for sample in samples if sample.phrase is not None or sample.id in self._places]

    def read(self, samples: Sequence[Sample], seed: int, form: Form) -> Iterator[tuple[str, Any] | Reject]:
        """The media in the order of the file; nothing is random."""
        form = form.but(self.frames, self.rate, self.seconds)
        column = "path" if "path" in self.table.columns else media_column(self.table, None, form.modality)
        keys = {self._places[sample.id]: sample.id for sample in samples if sample.id in self._places}
        for place, found in sources(self.table, column, list(keys)):
            yield medium_or_reject(keys[place], form, found)
