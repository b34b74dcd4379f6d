"""How large a model's embeddings are, without its weights: shapes by the model's own code, at the checkpoint's sizes.

Where the checkpoint is on disk its configuration and processor are read; else `families/published.json` says what takes
the place of the family's tiny sizes. The language model stays tiny then, and encoders have few layers: no shape of E
depends on either.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from sea.config import ModelConfig
from sea.console import SeaError
from sea.models.families import REFUSED
from sea.models.load import Checkpoint, Loaded, assemble, configuration, guarded, locate
from sea.models.spec import available, family_module, modality
from sea.models.wire import Encoded
from sea.records import read_json

PUBLISHED = Path(__file__).parent / "families" / "published.json"


@dataclass(frozen=True)
class Size:
    """What an embedding of a model takes.

    Attributes:
        status: "ready" (on this disk), "not on disk", or why the model cannot be used.
        shape: of E of the blank medium; None: not known here.
        bytes: of one sample in a store, with its companions, E in bfloat16.
    """

    status: str
    shape: tuple[int, ...] | None = None
    bytes: int | None = None


def size(config: ModelConfig) -> Size:
    """The size of E at the blank medium of a model's settings."""
    if config.family_path is None and config.family not in available():
        return Size(f"refused: {REFUSED[config.family]}" if config.family in REFUSED else "family missing")
    try:
        checkpoint, status = locate(config.id, config.revision, download=False), "ready"
    except SeaError:
        checkpoint, status = None, "not on disk"
    try:
        blank = guarded(lambda: _blank(config, checkpoint), config.id)
    except SeaError as error:  # a damaged folder must not keep the other models from being listed
        return Size(str(error))
    if blank is None:
        return Size(status)
    stored = sum(tensor.numel() * tensor.itemsize for tensor in blank.tensors.values())
    return Size(status, tuple(blank.emb.shape), stored)


def _blank(config: ModelConfig, checkpoint: Checkpoint | None) -> Encoded | None:
    loaded = _from_published(config) if checkpoint is None else _from_disk(config, checkpoint)
    return None if loaded is None else encode_blank(loaded)


def encode_blank(loaded: Loaded) -> Encoded:
    """The encoding of the blank medium by a model whose weights are on the meta device: E is a shape, the rest real."""
    with ShapesOnly():  # type: ignore[no-untyped-call]
        return loaded.blank()


class ShapesOnly(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Lets a model run whose weights have no numbers (meta device).

    What the weights touch has a shape alone. Everything else keeps its numbers, so that the code around M may ask
    for them: grids, masks, positions, pixels up to the first layer. Plain meta tensors fail there.
    """

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """One operation: on the meta device if any of its tensors is there, else on the CPU, whatever was asked for."""
        kwargs = dict(kwargs or {})
        if any(isinstance(leaf, torch.Tensor) and leaf.is_meta for leaf in tree_leaves((args, kwargs))):
            if func is torch.ops.aten.index.Tensor:
                args = (args[0], [place for index in args[1] for place in _places(index)])
            args, kwargs = tree_map_only(torch.Tensor, lambda tensor: tensor.to("meta"), (args, kwargs))
            device = "meta"
        else:
            device = "cpu"
        if kwargs.get("device") is not None:
            kwargs["device"] = torch.device(device)
        return func(*args, **kwargs)


def _places(index: torch.Tensor | None) -> list[torch.Tensor | None]:
    """An index with its length in its shape: how many a mask picks is in its numbers."""
    if index is None or index.is_meta or index.dtype != torch.bool:
        return [index]
    return list(index.nonzero(as_tuple=True))


def _from_disk(config: ModelConfig, checkpoint: Checkpoint) -> Loaded:
    from transformers import AutoModelForMultimodalLM

    from sea.models.frames import load_processor

    own, family = configuration(config, checkpoint)
    model = weightless(lambda: AutoModelForMultimodalLM.from_config(own, dtype=torch.bfloat16))
    processor = load_processor(checkpoint.path)
    spec = modality(family, config.modality)
    return assemble(config.name, checkpoint, model, processor, family, config.modality, spec, config.blank)


def _from_published(config: ModelConfig) -> Loaded | None:
    """The family's tiny model with the encoder and processor of a checkpoint; None: its sizes are not written down."""
    module = family_module(str(config.family), config.family_path)
    published = read_json(PUBLISHED).get(config.id)
    if published is None:
        return None
    model, processor = module.tiny()
    settings = copy.deepcopy(model.config)
    resize(settings, published["config"])
    resize(processor, published["processor"])
    full = weightless(lambda: type(model)(settings))
    spec = modality(module.FAMILY, config.modality)
    nowhere = Checkpoint(config.id, PUBLISHED, "")
    return assemble(config.name, nowhere, full, processor, module.FAMILY, config.modality, spec, config.blank)


def resize(what: Any, sizes: dict[str, Any]) -> None:
    """Set what is plain; make parts anew, by their own classes, from what is published of them."""
    for name, value in sizes.items():
        if not isinstance(value, dict):
            setattr(what, name, value)
            continue
        part = getattr(what, name)
        setattr(what, name, type(part)(**value))
        if hasattr(part, "do_sample_frames"):
            getattr(what, name).do_sample_frames = part.do_sample_frames


def weightless(make: Callable[[], Any]) -> Any:
    """A model with its weights on the meta device and its buffers on the CPU, in bfloat16."""
    from accelerate import init_empty_weights

    with init_empty_weights(include_buffers=False), _dtype(torch.bfloat16):
        return make()


@contextlib.contextmanager
def _dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
