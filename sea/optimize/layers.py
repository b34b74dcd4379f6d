"""How the layers of the frozen model are run during a step: as they are, recomputed in the backward pass, or compiled.

The layers' `forward` is wrapped inside a `with` block and put back after it: between steps the caller may use the model
for anything. Belongs here: what changes memory or speed, never a result.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from sea.console import SeaError
from sea.models.splice import core

BACKEND = "inductor"  # of torch.compile


def layers(model: nn.Module) -> list[nn.Module]:
    """The repeated blocks of a model, those of its encoders among them (which no step runs)."""
    return [module for module in core(model).modules() if isinstance(module, GradientCheckpointingLayer)]


@contextlib.contextmanager
def wrapped(model: nn.Module, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Iterator[None]:
    """Run every layer through `wrap(its forward)` inside the block."""
    before = [(layer, layer.__dict__.get("forward")) for layer in layers(model)]
    for layer, _ in before:
        layer.forward = wrap(layer.forward)
    try:
        yield
    finally:
        for layer, own in before:
            if own is None:
                del layer.forward
            else:  # hooks of accelerate live there
                layer.forward = own


def recomputed(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Gradient checkpointing: the layer's activations are computed again in the backward pass (arXiv 1604.06174).

    A third more arithmetic, a fraction of the memory. Not with a key-value cache: the layer would write into it twice.
    """
    return functools.partial(checkpoint, forward, use_reentrant=False, preserve_rng_state=False)


class Compiled:
    """`torch.compile` of every layer; layers of one kind share their compiled code."""

    def __init__(self) -> None:
        self._made: dict[int, Callable[..., Any]] = {}

    def __call__(self, forward: Callable[..., Any]) -> Callable[..., Any]:
        """The compiled forward of a layer, made once."""
        owner = id(getattr(forward, "__self__", forward))
        if owner not in self._made:
            self._made[owner] = torch.compile(forward, backend=BACKEND)
        return self._made[owner]


def refuse_compilation(error: RuntimeError) -> None:
    """Say what to do if a step failed since nothing can be compiled here.

    Raises:
        SeaError: the compiler's own error.
    """
    if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):  # not imported where not in use
        return
    reason = " ".join(str(error).split("\n\n")[0].split())[:200] or type(error).__name__
    raise SeaError(
        f"the layers cannot be compiled here ({reason}): type optim.compile=false, or give torch.compile what it needs "
        "(a C++ compiler on a CPU, triton on a GPU)"
    ) from error
