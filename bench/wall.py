"""Wall-clock to the same stop on micro-llava: the careful naive loop (naive.py) against the engine, in turns.

    python bench/optimize.py wall
    python bench/optimize.py wall --samples 32 --repeats 1 --set optim.step_size=0.05

Both optimise the same samples; only the loops are timed, without loading and without the held-out questions. They
alternate, so that what else the machine does meets both alike. The naive loop's tensors are small, and a second thread
may cost it more than it brings: it runs with all threads and with one, and what is compared is the faster.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from naive import optimise
from torch import Tensor

from sea.config import OptimizeConfig, compose
from sea.console import SeaError
from sea.models.load import Loaded, load
from sea.models.wire import Encoded
from sea.optimize.embed import problems_of
from sea.optimize.loop import Loop
from sea.optimize.targets import Problem
from sea.samples import take_up

WARM_UP = 4  # samples of each loop before anything is timed

Ends = dict[str, tuple[int, Tensor]]  # id -> the step that the sample stopped at, and E there


def pin(cores: int) -> list[int]:
    """Hold this process to its first `cores` allowed cores, with as many threads.

    Raises:
        SeaError: there are fewer.
    """
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < cores:
        raise SeaError(
            f"{cores} cores are asked for and this process may use {len(allowed)}: type --threads {len(allowed)}"
        )
    os.sched_setaffinity(0, allowed[:cores])
    torch.set_num_threads(cores)
    return allowed[:cores]


def machine() -> dict[str, Any]:
    """Processor and versions, for a table's foot."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = {line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")}
    versions = {name: importlib.metadata.version(name) for name in ("torch", "transformers", "sea-align")}
    return {"cpu": ", ".join(sorted(models)), "python": platform.python_version(), **versions}


def in_words(of: dict[str, Any]) -> str:
    """`machine()` in one line."""
    versions = ", ".join(f"{name} {version}" for name, version in of.items() if name != "cpu")
    return f"{of['cpu']}; {versions}"


def problems(settings: OptimizeConfig, loaded: Loaded, start: Encoded, count: int | None = None) -> list[Problem]:
    """Micro samples as the engine would take them, spread over the set; None: all.

    Raises:
        SeaError: the bench's loops have only the blank start, or there are not so many samples.
    """
    if settings.optim.start != "blank":
        raise SeaError(
            f"optim.start={settings.optim.start} is not for this bench: its samples start at the blank input"
        )
    samples = take_up(settings.model, settings.samples, settings.runs).samples[: settings.limit]
    found, unusable = problems_of(loaded, samples, settings, start.slot)
    if unusable:
        raise SeaError(f"{len(unusable)} samples cannot be used, e.g. {unusable[0].id}: {unusable[0].reason}")
    count = len(found) if count is None else count
    if not 1 <= count <= len(found):
        raise SeaError(f"--samples {count} is not between 1 and the {len(found)} that there are")
    return [found[place * len(found) // count] for place in range(count)]


def with_naive(loaded: Loaded, todo: list[Problem], start: Encoded, settings: OptimizeConfig) -> Ends:
    """One sample after the other."""
    solutions = [optimise(loaded, problem, start, settings.optim) for problem in todo]
    return {solution.problem.sample.id: (solution.steps, solution.emb) for solution in solutions}


def with_engine(loaded: Loaded, todo: list[Problem], start: Encoded, settings: OptimizeConfig) -> Ends:
    """Side by side, as `sea.optimize` does.

    Raises:
        SeaError: a sample could not be optimised.
    """
    outcomes = list(Loop(loaded, todo, start, settings.optim))
    if failed := [outcome.failure for outcome in outcomes if outcome.failure is not None]:
        raise SeaError(f"{len(failed)} samples failed, e.g. {failed[0]}")
    return {outcome.problem.sample.id: (outcome.steps, outcome.emb) for outcome in outcomes}


def agreement(first: Ends, second: Ends) -> dict[str, Any]:
    """How far two loops ended at the same place: samples with the same stop step, and E there."""
    same = [key for key in first if first[key][0] == second[key][0]]
    apart = [
        float(
            (first[key][1] - second[key][1]).float().square().mean().sqrt()
            / first[key][1].float().square().mean().sqrt()
        )
        for key in same
    ]
    return {
        "samples": len(first),
        "same_step": len(same),
        "farthest_step": max(abs(first[key][0] - second[key][0]) for key in first),
        "farthest_emb": max(apart, default=None),  # of those with the same step: RMS of the difference over that of E
        "mean_steps": [statistics.fmean(steps for steps, _ in ends.values()) for ends in (first, second)],
    }


def measure(settings: OptimizeConfig, count: int, repeats: int, threads: int) -> dict[str, Any]:
    """All that the table says."""
    cores = pin(threads)
    loaded = load(settings.model)
    start = loaded.blank()
    todo = problems(settings, loaded, start, count)
    loops = {
        **{f"naive, threads: {n}": (with_naive, n) for n in sorted({threads, 1}, reverse=True)},
        "ours": (with_engine, threads),
    }
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    ends: dict[str, Ends] = {}
    for repeat in range(repeats):
        for name, (loop, own_threads) in loops.items():
            torch.set_num_threads(own_threads)
            loop(loaded, todo[:WARM_UP], start, settings)
            began = time.perf_counter()
            ends[name] = loop(loaded, todo, start, settings)
            seconds[name].append(time.perf_counter() - began)
            print(f"{repeat + 1} of {repeats}: {name}: {seconds[name][-1]:.2f} s", flush=True)
    *naive, ours = loops
    faster = min(naive, key=lambda name: statistics.median(seconds[name]))
    return {
        "machine": machine(),
        "model": loaded.checkpoint.id,
        "revision": loaded.checkpoint.revision,
        "cores": cores,
        "threads": threads,
        "optim": vars(settings.optim),
        "seed": settings.seed,
        "seconds": seconds,
        "compared_with": faster,
        "ratios": [slow / fast for slow, fast in zip(seconds[faster], seconds[ours], strict=True)],
        "agreement": agreement(ends[faster], ends[ours]),
    }


def table(found: dict[str, Any]) -> str:
    """What was found, in Markdown."""
    count, ratios, same = found["agreement"]["samples"], found["ratios"], found["agreement"]
    lines = [
        "| loop | s a sample, median (least - most) | times the faster naive loop, median (least - most) |",
        "|---|---:|---:|",
    ]
    for name, seconds in found["seconds"].items():
        each = [value / count for value in seconds]
        spread = f"{statistics.median(each):.4f} ({min(each):.4f} - {max(each):.4f})"
        times = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} - {max(ratios):.2f})" if name == "ours" else ""
        lines.append(f"| {name} | {spread} | {times} |")
    optim = ", ".join(f"{key}={value}" for key, value in found["optim"].items())
    emb = "" if same["farthest_emb"] is None else f", E there within {same['farthest_emb']:.1e} of its RMS"
    lines += [
        "",
        f"{count} samples, {len(ratios)} repetitions in turns; {found['threads']} threads on cores "
        f"{', '.join(map(str, found['cores']))}. {in_words(found['machine'])}.",
        f"{found['model']} ({found['revision']}), seed {found['seed']}, {optim}.",
        f"Mean steps {same['mean_steps'][0]:.3f} and {same['mean_steps'][1]:.3f}; the same stop step for "
        f"{same['same_step']} of {count} samples (the others within {same['farthest_step']}){emb}.",
    ]
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="optimize.py wall", description="Seconds to the same stop on micro-llava, against the naive loop."
    )
    parser.add_argument("--samples", type=int, default=128, help="spread over the set")
    parser.add_argument("--repeats", type=int, default=5, help="times that each loop does all of them")
    parser.add_argument("--threads", type=int, default=2, help="threads, each on a core of its own")
    parser.add_argument("--json", type=Path, help="write everything here as well")
    parser.add_argument("--set", nargs="*", default=[], metavar="optim.KEY=VALUE", help="settings, as for sea.optimize")
    given = parser.parse_args(arguments)
    settings = compose("optimize", OptimizeConfig, "+model=micro-llava", "samples=builtin:micro", *given.set)
    found = measure(settings, given.samples, given.repeats, given.threads)
    print(table(found))
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
