"""Seconds a sample by batch size, and by number of processes, on micro-llava.

    python bench/optimize.py scale

Every process has one thread on a core of its own, loads and warms up before anything is timed, and only runs the loop
(no held-out questions). What is compared is measured in turns.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import torch
from wall import WARM_UP, in_words, machine, problems, with_engine

from sea.config import OptimizeConfig, compose
from sea.console import SeaError
from sea.models.load import load
from sea.optimize.targets import Problem

SIZES = [1, 4, 16, 64, 256]
LONGEST_S = 600.0  # a process that answers nothing for so long is given up


@dataclasses.dataclass(frozen=True)
class Job:
    """A share of the samples, at a batch size.

    Attributes:
        part: takes every `parts`-th sample from this one on; all parts begin together.
    """

    batch_size: int
    part: int = 0
    parts: int = 1


def repeated(found: Sequence[Problem], count: int) -> list[Problem]:
    """`count` problems: those there are, then the same under other ids."""
    rounds = itertools.count()
    named = (
        dataclasses.replace(problem, sample=dataclasses.replace(problem.sample, id=f"{problem.sample.id}-{number}"))
        for number in rounds
        for problem in found
    )
    return sorted(itertools.islice(named, count), key=lambda problem: problem.length)


def worker(pipe: Connection, barrier: Barrier, core: int, settings: OptimizeConfig, count: int) -> None:
    """A process: does each job that it is sent, and answers with the seconds of the loop and the samples' steps."""
    os.sched_setaffinity(0, [core])
    torch.set_num_threads(1)
    loaded = load(settings.model)
    start = loaded.blank()
    todo = repeated(problems(settings, loaded, start), count)
    with_engine(loaded, todo[:WARM_UP], start, settings)
    pipe.send(None)
    while (job := pipe.recv()) is not None:
        own = dataclasses.replace(settings, optim=dataclasses.replace(settings.optim, batch_size=job.batch_size))
        mine = todo[job.part :: job.parts]
        if job.parts > 1:
            barrier.wait(LONGEST_S)
        began = time.perf_counter()
        ends = with_engine(loaded, mine, start, own)
        seconds = time.perf_counter() - began
        pipe.send((seconds, {key: steps for key, (steps, _) in ends.items()}))


@contextlib.contextmanager
def workers(cores: Sequence[int], settings: OptimizeConfig, count: int) -> Iterator[list[Connection]]:
    """One process on each core, ready."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(len(cores))
    pipes, processes = [], []
    for core in cores:
        ours, theirs = context.Pipe()
        process = context.Process(target=worker, args=(theirs, barrier, core, settings, count), daemon=True)
        process.start()
        theirs.close()  # here; so that the end of the process is the end of the pipe
        pipes.append(ours)
        processes.append(process)
    try:
        for pipe in pipes:
            _answer(pipe)
        yield pipes
        for pipe in pipes:
            pipe.send(None)
        for process in processes:
            process.join(LONGEST_S)
    finally:
        for process in processes:
            process.terminate()  # those that are still there


def _answer(pipe: Connection) -> Any:
    try:
        if pipe.poll(LONGEST_S):
            return pipe.recv()
    except EOFError:
        raise SeaError("a process of the bench died; what it said stands above") from None
    raise SeaError(f"a process of the bench did not answer within {LONGEST_S:.0f} s")


def run(pipes: Sequence[Connection], jobs: Sequence[Job]) -> tuple[float, dict[str, int]]:
    """One job for each pipe, at the same time: seconds until the last is done, and the steps of all samples."""
    for pipe, job in zip(pipes, jobs, strict=True):
        pipe.send(job)
    answers = [_answer(pipe) for pipe in pipes]
    return max(seconds for seconds, _ in answers), {key: n for _, steps in answers for key, n in steps.items()}


def measure(settings: OptimizeConfig, count: int, sizes: Sequence[int], repeats: int) -> dict[str, Any]:
    """All that the tables say.

    Raises:
        SeaError: there are not two cores.
    """
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        raise SeaError(
            "two processes need two cores, and this process may use one: start it without taskset, or with two"
        )
    by_size: dict[int, list[float]] = {size: [] for size in sizes}
    by_processes: dict[int, list[float]] = {1: [], 2: []}
    steps: list[dict[str, int]] = []
    with workers(cores, settings, count) as pipes:
        for repeat in range(repeats):
            for size in sizes:
                seconds, own = run(pipes[:1], [Job(size)])
                by_size[size].append(seconds)
                steps.append(own)
                print(
                    f"{repeat + 1} of {repeats}: batch size {size}: {seconds / count * 1e3:.2f} ms a sample", flush=True
                )
            size = settings.optim.batch_size
            one, own = run([pipes[repeat % 2]], [Job(size)])  # on either core in turn: they need not be equally fast
            two, both = run(pipes, [Job(size, part, 2) for part in range(2)])
            by_processes[1].append(one)
            by_processes[2].append(two)
            steps += [own, both]
            print(f"{repeat + 1} of {repeats}: 2 processes: {one / two:.3f} x the throughput of 1", flush=True)
    return {
        "machine": machine(),
        "cores": cores,
        "samples": count,
        "optim": vars(settings.optim),
        "by_size": by_size,
        "by_processes": by_processes,
        "ratios": [one / two for one, two in zip(by_processes[1], by_processes[2], strict=True)],
        "mean_steps": statistics.fmean(steps[0].values()),
        "other_steps": max(sum(own[key] != steps[0][key] for key in own) for own in steps),
    }


def _spread(values: Sequence[float], digits: int) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} - {max(values):.{digits}f})"


def table(found: dict[str, Any]) -> str:
    """What was found, in Markdown."""
    count, repeats = found["samples"], len(found["ratios"])
    first = statistics.median(next(iter(found["by_size"].values())))
    lines = ["| batch size | ms a sample, median (least - most) | of that at the first size |", "|---:|---:|---:|"]
    for size, seconds in found["by_size"].items():
        each = [value / count * 1e3 for value in seconds]
        lines.append(f"| {size} | {_spread(each, 2)} | {statistics.median(seconds) / first:.3f} |")
    lines += ["", "| processes | samples a second, median (least - most) | times one process |", "|---:|---:|---:|"]
    for processes, seconds in found["by_processes"].items():
        times = "" if processes == 1 else _spread(found["ratios"], 3)
        lines.append(f"| {processes} | {_spread([count / value for value in seconds], 2)} | {times} |")
    optim = ", ".join(f"{key}={value}" for key, value in found["optim"].items() if key != "batch_size")
    one, two = found["cores"]
    lines += [
        "",
        f"{count} samples, {found['mean_steps']:.3f} steps each, {repeats} repetitions in turns. One thread "
        f"a process, on core {one}; two processes: half of the samples each, on cores {one} and {two}, batch size "
        f"{found['optim']['batch_size']}. {in_words(found['machine'])}.",
        f"{optim}. At most {found['other_steps']} samples stopped at another step than at the first size.",
    ]
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="optimize.py scale",
        description="Seconds a sample by batch size and by number of processes, on micro-llava.",
    )
    parser.add_argument("--samples", type=int, default=512, help="those of the set, and again under other ids")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="N", help="batch sizes")
    parser.add_argument("--repeats", type=int, default=3, help="times that everything is measured")
    parser.add_argument("--set", nargs="*", default=[], metavar="optim.KEY=VALUE", help="settings, as for sea.optimize")
    parser.add_argument("--json", type=Path, help="write everything here as well")
    given = parser.parse_args(arguments)
    settings = compose("optimize", OptimizeConfig, "+model=micro-llava", "samples=builtin:micro", *given.set)
    found = measure(settings, given.samples, given.sizes, given.repeats)
    print(table(found))
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
