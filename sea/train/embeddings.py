"""The stored tensors that the rows of a dataset point to, each checked against its row before training starts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from sea.console import Progress, SeaError, names, rank, world_size
from sea.models.load import Loaded
from sea.models.wire import Encoded, refuse_foreign, size, slot_text
from sea.records import Row
from sea.store import tensor_sha256

IN_MEMORY_BYTES = 2**30  # up to this size the embeddings are read once, above it they stay in the memory-mapped shards


class Embeddings:
    """E and its companions of each row that has a slot.

    Args:
        folder: the dataset run's folder; `Row.store` is relative to it.
        rows: the rows to be trained on; those without a slot are left out.
        loaded: the model that is to read them.

    Raises:
        SeaError: a shard is missing or unreadable, or holds other tensors than those that the row was made with, or
            tensors that the model does not read.
    """

    def __init__(self, folder: Path, rows: Sequence[Row], loaded: Loaded) -> None:
        self.folder = folder
        self.sizes: set[object] = set()  # of media: more than one cannot lie in a batch of every family
        self._shards: dict[Path, Any] = {}
        self._kept: dict[str, dict[str, Tensor]] = {}  # per embedding: its companions, and E itself when all are small
        self._slots: dict[str, str] = {}
        with_slot = sorted((row for row in rows if row.store is not None), key=lambda row: (self._path(row), row.id))
        missing = sorted({path for row in with_slot if not (path := self._path(row)).is_file()})
        if missing:
            raise SeaError(
                f"{len(missing)} shards that the dataset points to are not there: {names(missing[:3])}. Were the "
                "embeddings moved or removed? Put them back beside the dataset as they were, or make the dataset anew"
            )
        self.bytes = sum(path.stat().st_size for path in {self._path(row) for row in with_slot})
        self._read_all(with_slot, loaded)

    def _read_all(self, rows: Sequence[Row], loaded: Loaded) -> None:
        """Check every embedding once; processes share the checking out, since one that fails ends the launch."""
        progress = Progress("check embeddings", len(rows))
        in_memory = self.bytes <= IN_MEMORY_BYTES
        like = loaded.blank() if rows else None
        for done, row in enumerate(rows):
            if _name(row) in self._kept:
                continue
            tensors = self._read(row)
            if done % world_size() == rank() and tensor_sha256(tensors) != row.embedding_sha256:
                raise SeaError(
                    f"{self._path(row)}: the tensors of {row.key} are not those that the dataset was made with "
                    f"(row {row.id}, sha256 differs): the shard is damaged or was made anew. Restore it, or make the "
                    "dataset again: python -m sea.dataset ..."
                )
            if like is not None:
                what = f"the embedding {row.key} (row {row.id}) in {self._path(row)}"
                item = Encoded.of(tensors)
                refuse_foreign(loaded.spec, item, like, what)
                self.sizes.add(size(loaded.spec, item))
            companions = {name: tensors[name] for name in row.companions}
            self._slots[_name(row)] = slot_text(companions)
            self._kept[_name(row)] = tensors if in_memory else companions
            if not in_memory:
                progress.update(done + 1)
        progress.close()

    def _path(self, row: Row) -> Path:
        return self.folder / str(row.store) / str(row.shard)

    def _read(self, row: Row) -> dict[str, Tensor]:
        from safetensors import safe_open

        path = self._path(row)
        try:
            if path not in self._shards:
                self._shards[path] = safe_open(path, framework="pt")
            shard = self._shards[path]
            return {name: shard.get_tensor(f"{row.key}/{name}") for name in ["embedding", *row.companions]}
        except Exception as error:  # safetensors raises its own type for every damage
            raise SeaError(
                f"cannot read {row.key} (row {row.id}) from {path}: {error}. The shard is damaged"
            ) from error

    def slot(self, row: Row) -> str | None:
        """What stands for the row's E in its prompt; None for a row without one."""
        return self._slots[_name(row)] if row.store is not None else None

    def tensors(self, row: Row) -> dict[str, Tensor]:
        """`embedding` and the companions of a row with a slot, on CPU."""
        kept = self._kept[_name(row)]
        return kept if "embedding" in kept else self._read(row)


def _name(row: Row) -> str:
    """What identifies an embedding over all stores: rows may share one."""
    return f"{row.store}/{row.shard}/{row.key}"
