"""What a step costs, counted and measured on the samples themselves: FLOPs, seconds here and now, memory.

A sample-step is one sample in one step: a forward and a backward pass over its packed sequence.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop_count, sdpa_flop_count

from sea.models.load import Loaded
from sea.models.splice import Splice
from sea.models.wire import Encoded
from sea.optimize.objective import gradient
from sea.optimize.packing import Packer
from sea.optimize.targets import Problem

aten = torch.ops.aten
WORTH_BATCHING_S = 0.25  # a sample-step that takes this long fills the device: a batch would take as much for each


class FlopCount(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the FLOPs of what runs inside it, by torch's own formulas: matrix products, convolutions, attention.

    A multiplication and its addition are two. What is elementwise (norms, softmax, update rules) is not counted, and
    attention is counted in full whatever its mask hides, as is usual. Unlike torch's FlopCounterMode it follows no
    modules, so `torch.autograd.grad` works inside it, and it knows the fused attention of the CPU. Tensors on the meta
    device count alike, also beside other modes.

    Attributes:
        total: FLOPs so far; goes on when the mode is entered again.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """One operation: run, and counted if it is one of those that have a formula."""
        kwargs = kwargs or {}
        formula = FORMULAS.get(func._overloadpacket)
        if formula is None and torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"):
            with self:  # inference mode hands over what autograd would have taken apart: linear, matmul
                return func.decompose(*args, **kwargs)
        out = func(*args, **kwargs)
        if formula is not None:
            self.total += formula(*args, **kwargs, out_val=out)
        return out


def _attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(*_by_query_head(query, key, value)))  # type: ignore[no-untyped-call]


def _attention_backward(grad_out: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    shapes = _by_query_head(query, key, value)
    return int(sdpa_backward_flop_count(grad_out.shape, *shapes))  # type: ignore[no-untyped-call]


def _by_query_head(query: Any, key: Any, value: Any) -> list[tuple[int, ...]]:
    """The shapes with keys and values repeated for every head that reads them; torch 2.11 has no other formula."""
    return [(*tensor.shape[:1], query.shape[1], *tensor.shape[2:]) for tensor in (query, key, value)]


FUSED = ("flash_attention", "efficient_attention", "cudnn_attention", "flash_attention_for_cpu")
FORMULAS: dict[Any, Any] = {
    **flop_registry,
    **{getattr(aten, f"_scaled_dot_product_{kernel}"): _attention for kernel in FUSED},
    **{getattr(aten, f"_scaled_dot_product_{kernel}_backward"): _attention_backward for kernel in FUSED},
}


@dataclass(frozen=True)
class StepCost:
    """What one sample-step costs.

    Attributes:
        flops: of the sample of middle length, alone.
        seconds: of the same, or a whole batch's time divided among its samples.
        samples: how many samples went side by side when it was timed.
        too_many: how many were tried before, and did not fit into memory; 0: none.
    """

    flops: int
    seconds: float
    samples: int
    too_many: int = 0


def measure(loaded: Loaded, problems: Sequence[Problem], start: Encoded, batch_size: int) -> StepCost | None:
    """Run a step of the sample of middle length, and if that is fast, of a whole batch of such.

    Args:
        problems: sorted by length, at least one.
        start: the encoding of the blank medium.
        batch_size: how many samples are to go side by side.

    Returns:
        None: not even one sample fits into memory as it is.
    """
    pack, middle = Packer(loaded, start), len(problems) // 2
    with FlopCount() as count:
        _seconds(loaded, pack, problems[middle : middle + 1], start)  # a first run also warms up
    seconds = _seconds(loaded, pack, problems[middle : middle + 1], start)
    if seconds is None:
        return None
    size = min(batch_size, len(problems))
    if seconds >= WORTH_BATCHING_S or size == 1:
        return StepCost(count.total, seconds, 1)
    from_place = min(max(middle - size // 2, 0), len(problems) - size)
    batch = problems[from_place : from_place + size]
    _seconds(loaded, pack, batch, start)
    together = _seconds(loaded, pack, batch, start)
    if together is None:
        return StepCost(count.total, seconds, 1, too_many=size)
    return StepCost(count.total, together / size, size)


def _seconds(loaded: Loaded, pack: Packer, problems: Sequence[Problem], start: Encoded) -> float | None:
    """Time of one step, without packing, which is done once and then serves for many; None: out of memory."""
    emb_B___ = start.emb.to(loaded.device).float().expand(len(problems), *start.emb.shape)
    try:
        packed = pack(problems)
        with Splice(loaded.model, loaded.family):
            _synchronize(loaded.device)
            began = time.perf_counter()
            gradient(loaded, packed, emb_B___, start)
            _synchronize(loaded.device)
            return time.perf_counter() - began
    except torch.OutOfMemoryError:
        pass  # handled below: the exception's frames hold the tensors that took the memory
    torch.cuda.empty_cache()
    return None


def _synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def forget_peak(device: torch.device) -> None:
    """Count the most memory anew; only a GPU can."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> tuple[float, str]:
    """The most memory that this process has held so far, in GiB, and in words.

    On a GPU what its tensors took of it, elsewhere what was resident.
    """
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated(device) / 2**30
        return peak, f"{peak:.1f} of {torch.cuda.get_device_properties(device).total_memory / 2**30:.1f} GiB"
    unit = 1 if sys.platform == "darwin" else 2**10  # of ru_maxrss
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
    return peak, f"{peak:.1f} GiB"
