"""The stage as a function, free of files: media in, their embeddings out."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from sea.console import SeaError
from sea.models.load import Loaded
from sea.records import Embedding, Reject
from sea.store import unoptimised


@dataclass
class Results:
    """Media that were read since the last report: embeddings with their tensors, and those set aside."""

    embeddings: list[tuple[Embedding, dict[str, Tensor]]] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)


def encode(
    loaded: Loaded, media: Iterable[tuple[str, Any] | Reject], seed: int, batch_size: int, flush_every: int
) -> Iterator[Results]:
    """E = M(medium) of each medium, as the model itself encodes it.

    Args:
        loaded: a model from `sea.models.load.load`.
        media: (id, medium as the processor takes it), or why there is none.
        seed: written into the records; the media were drawn by it.
        batch_size: media encoded side by side; a batch that memory is too small for is halved.
        flush_every: media of one report, about.

    Yields:
        Results in the order of the media. Their tensors are `embedding` (in the model's dtype) and the companions.

    Raises:
        SeaError: not even one medium fits into memory.
    """
    results, waiting = Results(), list[tuple[str, Any]]()
    for found in media:
        if isinstance(found, Reject):
            results.rejects.append(found)
        else:
            waiting.append(found)
        if len(waiting) >= batch_size:
            _encode(loaded, waiting, seed, results)
            waiting = []
        if len(results.embeddings) + len(results.rejects) >= flush_every:
            yield results
            results = Results()
    _encode(loaded, waiting, seed, results)
    if results.embeddings or results.rejects:
        yield results


def _encode(loaded: Loaded, batch: list[tuple[str, Any]], seed: int, results: Results) -> None:
    """Encode a batch into `results`; one that fails is halved until the medium at fault is alone."""
    if not batch:
        return
    started, failure = time.perf_counter(), None
    try:
        encoded = loaded.encode([medium for _, medium in batch])
    except SeaError:
        raise
    except Exception as error:  # processors refuse a medium by any type: too narrow, no channels, ...
        failure = error.with_traceback(None)  # its frames hold the tensors that took the memory
    if failure is not None and len(batch) > 1:
        _encode(loaded, batch[: len(batch) // 2], seed, results)
        _encode(loaded, batch[len(batch) // 2 :], seed, results)
    elif isinstance(failure, torch.OutOfMemoryError):
        raise SeaError(f"out of memory on a single medium ({str(failure).splitlines()[0]})") from failure
    elif failure is not None:
        why = " ".join([f"{type(failure).__name__}:", *str(failure).split()])[:200]
        results.rejects.append(Reject(batch[0][0], f"its medium cannot be encoded ({why})"))
    else:
        seconds = round((time.perf_counter() - started) / len(batch), 4)
        for (key, _), item in zip(batch, encoded, strict=True):
            if bool(item.emb.isfinite().all()):
                record = unoptimised(
                    key, "real", loaded.modality, seed, loaded.checkpoint.id, loaded.checkpoint.revision
                )
                results.embeddings.append((replace(record, seconds=seconds), item.tensors))
            else:
                results.rejects.append(Reject(key, "its embedding is not finite"))
