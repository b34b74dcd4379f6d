"""How the embeddings of several media become one model argument, and how M's output is taken apart again.

E of one medium is a tensor of its own: (N, D) for most, (tiles, N, D) or (frames, N, D) where M sees several pictures.
Belongs here: shapes. What the tensors mean is in the family files.

Shape suffixes: B media, N rows of E, D its width; `emb_B___` stands for embeddings of one shape, whatever it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from sea.console import SeaError, names
from sea.models.spec import SLOT_TEXT, Modality


@dataclass(frozen=True)
class Encoded:
    """One medium as the model reads it: E, and what is stored beside it (the companions and `SLOT_TEXT`)."""

    emb: Tensor
    companions: Mapping[str, Tensor]

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> Encoded:
        """From the tensors of a store."""
        return cls(tensors["embedding"], {name: value for name, value in tensors.items() if name != "embedding"})

    @property
    def tensors(self) -> dict[str, Tensor]:
        """As a store keeps it."""
        return {"embedding": self.emb, **self.companions}

    @property
    def slot(self) -> str:
        """What stands for it in a prompt."""
        return slot_text(self.companions)


def slot_text(companions: Mapping[str, Tensor]) -> str:
    """What stands for a medium in a prompt, from what is stored beside its embedding."""
    return companions[SLOT_TEXT].numpy().tobytes().decode()


def as_slot_text(text: str) -> Tensor:
    """The tensor that a store keeps of it."""
    return torch.tensor(list(text.encode()), dtype=torch.uint8)


def refuse_foreign(spec: Modality, item: Encoded, like: Encoded, what: str) -> None:
    """Refuse what this model could not have encoded, before it is given to it.

    Args:
        like: what the model made of a medium of its own.
        what: names the embedding in the message.

    Raises:
        SeaError: other companions, another number of dimensions or width, no floating-point numbers, or not finite.
    """
    if set(item.companions) != set(like.companions):
        raise SeaError(f"{what} comes with {names(item.companions)}; this model needs {names(like.companions)}")
    wanted, found = list(like.emb.shape), list(item.emb.shape)
    if len(found) != len(wanted) or found[-1] != wanted[-1]:
        raise SeaError(
            f"{what} has shape {found}; this model reads {len(wanted)} dimensions of which the last is {wanted[-1]}, "
            f"e.g. {wanted}: it was made with another model"
        )
    for name in spec.companions:
        if item.companions[name].ndim != like.companions[name].ndim:
            raise SeaError(
                f"{what}: {name} has shape {list(item.companions[name].shape)}, this model takes e.g. "
                f"{list(like.companions[name].shape)}"
            )
    if not item.emb.dtype.is_floating_point:
        raise SeaError(f"{what} holds {item.emb.dtype}; an embedding is of floating-point numbers")
    if not bool(item.emb.isfinite().all()):
        raise SeaError(f"{what} holds numbers that are not finite")


def argument(spec: Modality, emb_B___: Tensor, companions: Mapping[str, Tensor]) -> Tensor:
    """The media argument of a batch of embeddings of one shape, (B, *shape of E); gradients pass.

    Args:
        companions: those of any one of the media.
    """
    if spec.rows is not None:
        emb_B___ = F.pad(emb_B___, (0, 0, 0, max(0, spec.rows(companions) - emb_B___.shape[-2])))
    if "DN" in spec.wire:
        emb_B___ = emb_B___.mT
    shape = iter(emb_B___.shape[1:])
    block = [1 if letter == "1" else next(shape) for letter in spec.wire]
    return emb_B___.reshape(emb_B___.shape[0], *block).flatten(0, 1)


def spread(spec: Modality, companions: Mapping[str, Tensor], count: int) -> dict[str, Tensor]:
    """The companions of one medium as the model inputs of `count` media of the same shape."""
    return {name: _together(spec, name, [companions[name]] * count) for name in spec.companions}


def join(spec: Modality, items: Sequence[Encoded]) -> dict[str, Tensor]:
    """The media argument and the companions of some media, in their order.

    Raises:
        SeaError: they differ in size and this model takes only media of one size in a batch.
    """
    if len(groups(spec, items)) > 1:
        shapes = sorted({tuple(item.emb.shape) for item in items})
        raise SeaError(
            f"this model takes media of one size in a batch, and here are several (embeddings of shape "
            f"{', '.join(str(list(shape)) for shape in shapes)}): use a batch size of 1, or bring the media to "
            "one size (number of frames, length) before they are encoded"
        )
    embeddings = [item.emb for item in items]
    if spec.padded:
        embeddings = _filled_up(embeddings)
    if len({e.shape for e in embeddings}) == 1:
        joined = argument(spec, torch.stack(embeddings), items[0].companions)
    else:
        joined = torch.cat([argument(spec, emb[None], items[0].companions) for emb in embeddings])
    companions = {name: [item.companions[name] for item in items] for name in spec.companions}
    if spec.padded:
        companions = {name: _filled_up(values) for name, values in companions.items()}
    return {spec.argument: joined, **{name: _together(spec, name, values) for name, values in companions.items()}}


def _together(spec: Modality, name: str, values: Sequence[Tensor]) -> Tensor:
    """One companion of several media as the model takes it."""
    return torch.cat(list(values)) if name in spec.listed else torch.stack(list(values))


def mixes(spec: Modality) -> bool:
    """Whether media of different sizes may lie in one batch."""
    return spec.padded or not spec.wire.startswith("1")


def groups(spec: Modality, items: Sequence[Encoded]) -> list[list[int]]:
    """Places of the media that may lie in one batch: all together, or those of one shape."""
    if mixes(spec):
        return [list(range(len(items)))]
    by_size: dict[object, list[int]] = {}
    for place, item in enumerate(items):
        by_size.setdefault(size(spec, item), []).append(place)
    return list(by_size.values())


def size(spec: Modality, item: Encoded) -> object:
    """What must be alike of media in one batch, for families that do not mix: shapes of E and of its companions."""
    return tuple(item.emb.shape), tuple(tuple(item.companions[name].shape) for name in spec.companions)


def _filled_up(tensors: Sequence[Tensor]) -> list[Tensor]:
    """All to the largest size in every dimension, with zeros at the ends."""
    if len({tensor.shape for tensor in tensors}) == 1:
        return list(tensors)
    size = [max(sizes) for sizes in zip(*(tensor.shape for tensor in tensors), strict=True)]
    filled = []
    for tensor in tensors:
        missing = [want - have for want, have in zip(size, tensor.shape, strict=True)]
        filled.append(F.pad(tensor, [part for gap in reversed(missing) for part in (0, gap)]))
    return filled


def split(spec: Modality, output: Tensor, count: int) -> list[Tensor]:
    """E of each of `count` media of one size from M's output for all of them.

    Raises:
        SeaError: the output does not divide: the family file's `wire` does not describe this encoder.
    """
    letters = spec.wire.replace("1", "")
    parts = output.shape[0] // count
    own_dimension = len(letters) == output.ndim  # E's first dimension is the one that M's batch lies along
    if parts * count != output.shape[0] or (not own_dimension and (parts != 1 or len(letters) != output.ndim - 1)):
        raise SeaError(
            f"the encoder gave {list(output.shape)} for {count} media, which wire={spec.wire!r} does not describe: "
            "correct the family file"
        )
    return list(torch.split(output, parts)) if own_dimension else list(output)
