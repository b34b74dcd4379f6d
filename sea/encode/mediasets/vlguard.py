"""VLGuard's images, by the path that its train.json names; each safe one serves two questions."""

from __future__ import annotations

from sea import multimodal
from sea.encode.mediasets import OfItems


class Reader(OfItems):
    """`file` is train.json; the folder of images that it names lies beside it."""

    modalities = ("image",)

    def __init__(self, file: str | None = None) -> None:
        super().__init__(file, lambda table, modality: "image", lambda table, column: multimodal.vlguard(table))
