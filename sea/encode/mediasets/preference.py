"""The media of any set in TRL's formats: the column `images`, `videos`, `audios`, or one of them alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sea import multimodal
from sea.encode.mediasets import OfItems, refuse_unused
from sea.media import MODALITIES, Form
from sea.records import Reject, Sample
from sea.sources import media_column


class Reader(OfItems):
    """`file` and `column` as for the text set; `frames`, `rate` and `seconds` in place of the model's own."""

    modalities = MODALITIES

    def __init__(
        self,
        file: str | None = None,
        column: str | None = None,
        frames: int | None = None,
        rate: int | None = None,
        seconds: int | float | None = None,
    ) -> None:
        self.frames, self.rate, self.seconds = frames, rate, seconds
        super().__init__(
            file,
            lambda table, modality: media_column(table, column, modality),
            # Which questions are harmful is the text set's to say: no id depends on it.
            lambda table, found: multimodal.preference(table, harmful=False, column=found),
        )

    def wanted(self, samples: Sequence[Sample], modality: str) -> list[Sample]:
        """As of any set; a setting that says nothing about the modality is refused."""
        refuse_unused(modality, frames=self.frames, rate=self.rate, seconds=self.seconds)
        return super().wanted(samples, modality)

    def read(self, samples: Sequence[Sample], seed: int, form: Form) -> Iterator[tuple[str, Any] | Reject]:
        """The media in the order of the set's rows; nothing is random."""
        return super().read(samples, seed, form.but(self.frames, self.rate, self.seconds))
