"""What a step of a loop takes: seconds, memory, waits of the host for the GPU, and the kernels that it runs.

A loop is looked at from outside, through what it calls after every step; that call comes after the loop has read the
step's results, so the GPU has finished the step and a clock read there is true.
"""

from __future__ import annotations

import itertools
import re
import time
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import torch

from sea.optimize.loop import Loop, StepReport

WARM_UP = 3  # steps that are not looked at: kernels are chosen, compiled and loaded in them
TIMED = 10
LONGEST_S = 20.0  # after so long fewer timed steps must do, but three
SEEN = 2  # steps whose kernels are looked at

# What a kernel is, by its name; the first that fits. Attention first: its kernels are matrix products too.
GROUPS = {
    "attention": r"flash|fmha|sdpa|attention",
    "matrix products": r"gemm|nvjet|cutlass|cublas|xmma|wgmma|splitk|triton_tem",
    "copies": r"memcpy|memset|copy_kernel|copy_device|catarray|fillfunctor",
    "elementwise and sums": r"elementwise|reduce|softmax|index|gather|scatter|norm|nll|triton_",
}
OTHER = "other"

MakeLoop = Callable[[Callable[[StepReport], None]], Loop]  # a loop that calls what it is given after every step


class EnoughError(Exception):
    """What was to be seen has been seen."""


class DoesNotFitError(Exception):
    """The loop went on with fewer samples than it was to be measured with."""


def watch(make: MakeLoop, batch: int, after_step: Callable[[int], None]) -> None:
    """Run a loop until `after_step` raises `EnoughError`.

    Args:
        batch: samples that must be side by side.
        after_step: called with the number of steps done.

    Raises:
        DoesNotFitError: memory ran out, and the loop went on with fewer.
    """

    def observe(report: StepReport) -> None:
        if report.active < batch:
            raise DoesNotFitError
        after_step(report.step)

    try:
        for outcome in make(observe):
            raise RuntimeError(f"a sample ended while it was measured: {outcome.failure or 'it is solved'}")
    except EnoughError:
        return


def enough(stamps: list[float]) -> bool:
    """Whether there are all timed steps, or some and no time for more."""
    timed = len(stamps) - WARM_UP
    return timed >= TIMED or (timed >= 3 and stamps[-1] - stamps[WARM_UP - 1] > LONGEST_S)


def seconds_of_steps(make: MakeLoop, batch: int) -> list[float]:
    """Seconds of each timed step of a loop: forward, backward, what has ended, update."""
    stamps: list[float] = []

    def after_step(_: int) -> None:
        stamps.append(time.perf_counter())
        if enough(stamps):
            raise EnoughError

    watch(make, batch, after_step)
    return _differences(stamps)


def seconds_of_calls(call: Callable[[], Any], wait: Callable[[], None]) -> list[float]:
    """Seconds of each timed call, of which `wait` waits for the end."""
    stamps: list[float] = []
    while not (len(stamps) > WARM_UP and enough(stamps)):
        call()
        wait()
        stamps.append(time.perf_counter())
    return _differences(stamps)


def _differences(stamps: list[float]) -> list[float]:
    timed = stamps[WARM_UP - 1 :]
    return [after - before for before, after in itertools.pairwise(timed)]


def host_syncs(make: MakeLoop, batch: int) -> int:
    """How often the host waits for the GPU in a step, as far as torch knows of it (`set_sync_debug_mode`)."""
    counts: list[int] = []
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")

        def after_step(_: int) -> None:
            counts.append(sum("synchroniz" in str(warning.message) for warning in seen))
            if len(counts) > WARM_UP:
                raise EnoughError

        torch.cuda.set_sync_debug_mode("warn")
        try:
            watch(make, batch, after_step)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return counts[-1] - counts[-2]


def kernel_seconds(make: MakeLoop, batch: int) -> dict[str, float]:
    """Seconds that the GPU spends in a step by group of kernels (`GROUPS`), and `wall`, the step's own."""
    profiler = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA])
    wall = 0.0

    def after_step(step: int) -> None:
        nonlocal wall
        if step == WARM_UP:
            torch.cuda.synchronize()
            profiler.start()
            wall = time.perf_counter()
        elif step == WARM_UP + SEEN:
            torch.cuda.synchronize()
            wall = (time.perf_counter() - wall) / SEEN
            profiler.stop()
            raise EnoughError

    watch(make, batch, after_step)
    kernels = [
        (event.key, event.self_device_time_total / 1e6 / SEEN)
        for event in profiler.key_averages()
        if event.device_type.name == "CUDA" and not event.is_user_annotation
    ]
    return {**grouped(kernels), "wall": wall}


def grouped(kernels: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Seconds of kernels, given by name, summed over `GROUPS`."""
    seconds = dict.fromkeys([*GROUPS, OTHER], 0.0)
    for name, spent in kernels:
        group = next((group for group, marks in GROUPS.items() if re.search(marks, name, re.IGNORECASE)), OTHER)
        seconds[group] += spent
    return seconds
