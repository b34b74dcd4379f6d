"""The engine against the naive loop on one GPU, at the sizes of three 7B models with random weights.

    sh bench/gpu.sh                            # an H100 or the like; ends within its time budget
    python bench/gpu.py --device cpu --tiny    # to see that it runs

For each model: a step of the engine at several batch sizes, a step of the naive frozen loop, where the time of a step
goes, and the engine compiled. What does not fit into memory or into the budget is left out, and said.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import os
import signal
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from flops import count_ours
from gpu_report import MATRIX, OutOfTimeError, Report, machine, table
from naive import gradient as naive_gradient
from shapes import SHAPES, Shape, build, problems, settings
from steps import (
    MakeLoop,
    host_syncs,
    kernel_seconds,
    seconds_of_calls,
    seconds_of_steps,
)

from sea.models.load import Loaded
from sea.models.sizes import ShapesOnly
from sea.models.splice import Splice
from sea.models.wire import Encoded
from sea.optimize.loop import Loop
from sea.optimize.targets import Problem

MICRO_STEPS = 5.2  # mean steps a sample on micro-llava with the default settings: docs/performance.md
GIB = 2**30


def matrix_rate(device: torch.device) -> float:
    """FLOP a second of a bfloat16 product of two random square matrices: the median of 30, after a warm-up."""
    a, b = (torch.randn(MATRIX, MATRIX, device=device, dtype=torch.bfloat16) for _ in range(2))
    times = []
    for _ in range(40):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        begin.record()
        torch.mm(a, b)
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end) / 1e3)
    return float(2 * MATRIX**3 / statistics.median(times[10:]))


@dataclasses.dataclass
class Bench:
    """One model, and its rows.

    Attributes:
        flops: of one sample in one step of the engine, counted on the meta device. Padding, and what a compiled step
            computes beside them, are not credited.
    """

    report: Report
    shape: Shape
    loaded: Loaded
    start: Encoded
    samples: list[Problem]
    flops: int

    @property
    def tokens(self) -> int:
        """Of one sample's packed sequence: slot, questions and answers."""
        (problem, *_) = self.samples
        slot = problem.prefix.count(self.loaded.chat.token_id)
        return slot + sum(len(pair.suffix) + len(pair.answer) - 1 for pair in problem.pairs)

    @property
    def cuda(self) -> bool:
        """Whether a GPU is measured."""
        return self.loaded.device.type == "cuda"

    def loop(self, batch: int, compiled: bool) -> MakeLoop:
        """The engine on a batch of samples that never end."""
        optim = settings(
            self.shape,
            f"optim.batch_size={batch}",
            f"optim.compile={str(compiled).lower()}",
            "optim.max_steps=100000",
        ).optim
        return lambda observe: Loop(self.loaded, self.samples[:batch], self.start, optim, observe)

    def engine(self, batch: int, compiled: bool) -> None:
        """A row of the engine."""
        make = self.loop(batch, compiled)
        self._reset_peak()
        row = self._row("ours, compiled" if compiled else "ours", batch, seconds_of_steps(make, batch))
        self.report.rows.append(row)
        if self.cuda and not compiled:
            row["host_syncs"] = host_syncs(make, batch)

    def naive(self) -> None:
        """The row of the naive loop, without its update: for each pair of one sample a forward and backward."""
        emb_1___ = self.start.emb.to(self.loaded.device).float()[None]
        wait = torch.cuda.synchronize if self.cuda else lambda: None
        self._reset_peak()
        with Splice(self.loaded.model, self.loaded.family):
            seconds = seconds_of_calls(lambda: naive_gradient(self.loaded, self.samples[0], emb_1___, self.start), wait)
        self.report.rows.append(self._row("naive, frozen", 1, seconds))

    def profile(self, batch: int) -> None:
        """Where the time of a step of the engine goes."""
        seconds = kernel_seconds(self.loop(batch, compiled=False), batch)
        self.report.profiles.append({"shape": self.loaded.name, "batch": batch, **seconds})

    def best_batch(self) -> int | None:
        """The batch size with the most tokens a second; None: none was measured."""
        own = [row for row in self.report.rows if row["shape"] == self.loaded.name and row["loop"] == "ours"]
        return max(own, key=lambda row: float(row["tokens_a_second"]))["batch"] if own else None

    def _reset_peak(self) -> None:
        if self.cuda:
            torch.cuda.reset_peak_memory_stats()

    def _row(self, loop: str, batch: int, seconds: list[float]) -> dict[str, Any]:
        median = statistics.median(seconds)
        row = {
            "shape": self.loaded.name,
            "loop": loop,
            "batch": batch,
            "step_s": median,
            "steps_s": seconds,
            "tokens_a_second": batch * self.tokens / median,
            "flops_a_sample": self.flops,
            "projected_s": median / batch * self.report.machine["steps"],
        }
        if self.cuda:
            row["peak_gib"] = torch.cuda.max_memory_allocated() / GIB  # since _reset_peak, the weights in it
        if "matrix_rate" in self.report.machine:
            row["share_of_matrix_rate"] = batch * self.flops / median / self.report.machine["matrix_rate"]
        return row


def measure(report: Report, given: argparse.Namespace, device: torch.device) -> None:
    """All rows, as far as the time goes."""
    if device.type == "cuda":
        report.attempt("matrix rate", 20, lambda: report.machine.update(matrix_rate=matrix_rate(device)))
    chosen = [SHAPES[name] for name in given.shape or SHAPES]
    for compiled in (False, True) if given.compile else (False,):  # compilation last: it may take all the time there is
        for shape in chosen:
            report.attempt(
                f"{shape.title}{', compiled' if compiled else ''}, model and all",
                60,
                functools.partial(_measure_shape, report, given, device, shape, compiled),
            )


def _measure_shape(
    report: Report, given: argparse.Namespace, device: torch.device, shape: Shape, compiled: bool
) -> None:
    """The rows of one model, either as it is or compiled."""
    most = max(given.batch)
    empty = build(shape, tiny=given.tiny)
    with ShapesOnly():  # type: ignore[no-untyped-call]
        nothing = empty.blank()
        count = count_ours(empty, problems(empty, shape, nothing, given.question, given.answer), nothing)
    loaded = build(shape, str(device), given.tiny)
    start = loaded.blank()
    samples = problems(loaded, shape, start, given.question, given.answer, most)
    bench = Bench(report, shape, loaded, start, samples, count)
    if compiled:
        if (batch := bench.best_batch()) is not None:
            run = functools.partial(bench.engine, batch, compiled=True)
            report.attempt(f"{loaded.name}, ours, compiled, {batch}", 60, run)
        torch._dynamo.reset()  # what it compiled holds the model
        return
    report.attempt(f"{loaded.name}, naive", 20, bench.naive)
    for size in given.batch:
        report.attempt(f"{loaded.name}, ours, {size}", 20, functools.partial(bench.engine, size, compiled=False))
    if bench.cuda and (batch := bench.best_batch()) is not None:
        report.attempt(f"{loaded.name}, profile", 20, functools.partial(bench.profile, batch))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="The engine against the naive loop on one GPU, at 7B shapes.")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--tiny", action="store_true", help="the families' tiny models, to see that it runs")
    parser.add_argument("--shape", choices=SHAPES, action="append", help="only this one; may be repeated")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 2, 4, 8, 16], help="samples side by side")
    parser.add_argument("--question", type=int, default=20, help="tokens between slot and answer, of each pair")
    parser.add_argument("--answer", type=int, default=80, help="tokens of the target, of each pair")
    parser.add_argument("--steps", type=float, default=MICRO_STEPS, help="steps a sample, for the projection")
    parser.add_argument(
        "--compile", action=argparse.BooleanOptionalAction, default=True, help="measure it compiled too"
    )
    parser.add_argument("--seconds", type=float, default=440, help="time budget of the whole run")
    parser.add_argument("--json", type=Path, help="where to write everything; by default $OUT/gpu.json, if OUT is set")
    given = parser.parse_args()
    if given.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no GPU here; --device cpu --tiny shows that it runs")
    out = given.json or (Path(os.environ["OUT"]) / "gpu.json" if os.environ.get("OUT") else None)
    device = torch.device(given.device)
    report = Report(out, time.monotonic() + given.seconds, machine(device, given.steps))

    def time_is_up(*_: object) -> None:
        raise OutOfTimeError

    for number in (signal.SIGALRM, signal.SIGTERM):  # the budget's own, and what gpu.sh sends at the very end
        signal.signal(number, time_is_up)
    signal.setitimer(signal.ITIMER_REAL, given.seconds)
    try:
        measure(report, given, device)
    except OutOfTimeError:
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    found = report.machine
    rate = (
        f"; bf16 matrix rate {found['matrix_rate'] / 1e12:.0f} TFLOP/s ({MATRIX}^3)" if "matrix_rate" in found else ""
    )
    print(f"\n{found['device']}, torch {found['torch']}, transformers {found['transformers']}{rate}\n")
    print(table(report))


if __name__ == "__main__":
    main()
