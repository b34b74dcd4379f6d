"""The embedding store: safetensors shards and one index per writer, written so that a kill leaves nothing half-trusted.

A shard is complete before the index names it, so what the index lists is there; a shard that no index names is left
over from a kill and removed by its writer. Belongs here: bytes on disk. Does not belong here: how an embedding is made.
torch is imported inside the functions, so that stages without it can list a store.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sea.console import SeaError, names
from sea.records import AppendFile, Embedding, Reject, json_line, read_jsonl, sha256, write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

SHARDS = "shards"


def tensor_sha256(tensors: Mapping[str, Tensor]) -> str:
    """Digest of an embedding's tensors: names, dtypes, shapes and bytes, in the order of their names."""
    import torch

    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)  # no copy: other threads go on meanwhile
    return digest.hexdigest()


def content_hash(embeddings: Mapping[str, Embedding]) -> str:
    """Digest of a whole store's content: every record with its tensors' hash, whatever the shards and the seconds."""
    same = (replace(embeddings[key], shard="", seconds=0.0) for key in sorted(embeddings))
    return sha256("".join(map(json_line, same)).encode())


def unoptimised(key: str, source: str, modality: str, seed: int, model: str, revision: str) -> Embedding:
    """The record of an embedding that was not optimised: nothing was asked about it, so it claims nothing.

    Shard, key, hash, shape and dtype are the store's to fill in.
    """
    return Embedding(
        id=key,
        shard="",
        key="",
        sha256="",
        shape=[],
        dtype="",
        companions=[],
        modality=modality,
        source=source,
        losses={},
        steps=0,
        seconds=0.0,
        hit=False,
        margin_reached=False,
        verified=False,
        answers=[],
        seed=seed,
        model=model,
        revision=revision,
    )


def evenly(embeddings: Mapping[str, Embedding], rows: int) -> list[Embedding]:
    """`rows` embeddings spread over the sorted ids, so that no kind of sample is favoured."""
    ids = sorted(embeddings)
    count = min(rows, len(ids))
    return [embeddings[ids[index * len(ids) // count]] for index in range(count)]


class Writer:
    """Adds embeddings to a store under one writer's name; ranks and parts each have their own, so none waits.

    Args:
        folder: the store's folder, shared by all writers.
        writer: this writer's name, e.g. `p1of1-r0`; letters, digits and dashes.
    """

    def __init__(self, folder: Path, writer: str) -> None:
        self.folder, self.writer = folder, writer
        self.index = AppendFile(folder / f"index.{writer}.jsonl")
        self.rejects = AppendFile(folder / f"rejects.{writer}.jsonl")
        self._remove_unlisted()

    def _remove_unlisted(self) -> None:
        """Delete this writer's shards that no index line names: a kill fell between the shard and its line."""
        listed = {e.shard for e in _read_index(self.index.path)} if self.index.path.exists() else set()
        mine = sorted((self.folder / SHARDS).glob(f"{self.writer}-*.safetensors"))
        for path in mine:
            if f"{SHARDS}/{path.name}" not in listed:
                path.unlink()
        for path in (self.folder / SHARDS).glob(f".{self.writer}-*.tmp"):
            path.unlink()
        numbers = [re.fullmatch(rf"{SHARDS}/{re.escape(self.writer)}-(\d+)\.safetensors", shard) for shard in listed]
        self._next = 1 + max((int(number[1]) for number in numbers if number), default=-1)

    def add(self, batch: list[tuple[Embedding, dict[str, Tensor]]]) -> list[Embedding]:
        """Write one shard and list it; returns the records as listed, with shard, key, hash, shape and dtype filled in.

        Args:
            batch: records with their tensors; `embedding` is E, every other name is a companion.

        Raises:
            SeaError: the disk refused (full, read-only): nothing of the batch is listed, all earlier batches are.
        """
        if not batch:
            return []
        from safetensors.torch import save_file

        shard = f"{SHARDS}/{self.writer}-{self._next:05d}.safetensors"
        tensors: dict[str, Tensor] = {}
        records = []
        for record, own in batch:
            # Cloned: samples may share what goes beside E, and safetensors writes no tensor twice.
            stored = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in own.items()}
            records.append(
                replace(
                    record,
                    shard=shard,
                    key=record.id,
                    sha256=tensor_sha256(stored),
                    shape=list(stored["embedding"].shape),
                    dtype=str(stored["embedding"].dtype).removeprefix("torch."),
                    companions=sorted(set(stored) - {"embedding"}),
                )
            )
            tensors.update({f"{record.id}/{name}": tensor for name, tensor in stored.items()})
        try:
            write_atomically(self.folder / shard, lambda path: save_file(tensors, path))
        except SeaError:
            raise
        except Exception as error:  # safetensors reports a full disk as its own error type
            raise SeaError(
                f"cannot write {self.folder / shard}: {error}. Nothing that was finished is lost: make room, "
                "then run the same command again to continue"
            ) from error
        self._next += 1
        self.index.append(records)
        return records

    def reject(self, rejects: list[Reject]) -> None:
        """List samples that were set aside, with the reason."""
        if rejects:
            self.rejects.append(rejects)

    def close(self) -> None:
        """Close the files."""
        self.index.close()
        self.rejects.close()


def _read_index(path: Path) -> list[Embedding]:
    return read_jsonl(path, Embedding, torn_end=True)


class Store:
    """A store to read: what is listed, and each embedding by its id.

    Two launches that overlap may both make a sample, since another number of processes shares the ids out in another
    way. Both are valid and agree within the stated tolerance: the first one counts, in the order of the writers' names.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.embeddings: dict[str, Embedding] = {}
        for path in sorted(folder.glob("index.*.jsonl")):
            for record in _read_index(path):
                self.embeddings.setdefault(record.id, record)
        self.rejects: dict[str, Reject] = {}
        for path in sorted(folder.glob("rejects.*.jsonl")):
            self.rejects.update({r.id: r for r in read_jsonl(path, Reject, torn_end=True)})

    def read(self, key: str, check: bool = True) -> dict[str, Tensor]:
        """The tensors of one sample: `embedding` and its companions, on CPU, in the stored dtype.

        Raises:
            SeaError: the id is not listed, or the shard is missing, unreadable, or not what the index describes.
        """
        from safetensors import safe_open

        if key not in self.embeddings:
            raise SeaError(f"{self.folder} has no embedding {key}; it holds {len(self.embeddings)}")
        record = self.embeddings[key]
        path = self.folder / record.shard
        wanted = ["embedding", *record.companions]
        try:
            with safe_open(path, framework="pt") as shard:
                tensors = {name: shard.get_tensor(f"{record.key}/{name}") for name in wanted}
        except Exception as error:  # safetensors raises its own type for every damage
            raise SeaError(f"cannot read {record.id} from {path}: {error}. The shard is lost or damaged") from error
        if check and tensor_sha256(tensors) != record.sha256:
            raise SeaError(
                f"{path}: the tensors of {record.id} are not those that the index describes (sha256 differs): the "
                "shard is damaged. Remove its lines from the index and the run's manifest.json, then run the "
                "command that made it again"
            )
        return tensors

    def check_manifest(self, recorded: str | None) -> None:
        """Compare the index with the hash in the run's manifest.

        Raises:
            SeaError: lines were added, removed or changed since the run was completed.
        """
        if content_hash(self.embeddings) != recorded:
            raise SeaError(
                f"the index of {self.folder} is not the one that its manifest describes: it was changed after the run "
                "was completed. Restore it, or remove manifest.json and run the command that made it again"
            )

    def verify(self) -> None:
        """Read every embedding and compare it with the index.

        Raises:
            SeaError: damaged ids, all of them named.
        """
        damaged = []
        for key in self.embeddings:
            try:
                self.read(key)
            except SeaError:
                damaged.append(key)
        if damaged:
            raise SeaError(f"{self.folder}: {len(damaged)} embeddings are damaged or lost: {names(damaged)}")
