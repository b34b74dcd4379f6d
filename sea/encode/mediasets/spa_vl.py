"""SPA-VL's images, which lie in its Parquet files beside the questions."""

from __future__ import annotations

from sea import multimodal
from sea.encode.mediasets import OfItems


class Reader(OfItems):
    """`file` is a Parquet file or the folder of them, the same as for the text set."""

    modalities = ("image",)

    def __init__(self, file: str | None = None) -> None:
        # Which questions are harmful is the text set's to say: no id depends on it.
        super().__init__(file, lambda table, modality: "image", lambda table, column: multimodal.spa_vl(table, False))
