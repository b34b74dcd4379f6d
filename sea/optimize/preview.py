"""What a run will take, said before the long part: samples, disk, FLOPs and a projection of the time."""

from __future__ import annotations

import dataclasses
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sea.config import OptimConfig, OptimizeConfig
from sea.console import SeaError, duration, rank, say, world_size
from sea.models.load import Loaded
from sea.models.wire import Encoded
from sea.optimize.cost import StepCost, forget_peak, measure
from sea.optimize.embed import problems_of
from sea.optimize.optimizers import RULES
from sea.records import Manifest, Sample
from sea.runs import newest

LOOKED_AT = 512  # samples, spread over all: enough to find a batch of middle length among them


def shaping_optim(settings: OptimConfig) -> dict[str, Any]:
    """The optimisation settings that shape an embedding, without those that shape the work alone."""
    shaping = dataclasses.asdict(settings)
    idle = () if RULES[settings.optimizer].decays else ("weight_decay",)
    for work in ("batch_size", "compile", *idle):
        del shaping[work]
    return shaping


def preview(
    settings: OptimizeConfig, loaded: Loaded, folder: Path, mine: Sequence[Sample], waiting: int, total: int, text: int
) -> None:
    """Say what is about to happen.

    Args:
        folder: the run's.
        mine: what this process will do.
        waiting: samples that are left for all processes and parts: all of them go to the same disk.
        total: samples with a phrase, those that are done included.
        text: samples without a phrase.

    Raises:
        SeaError: the embeddings would not fit on the disk.
    """
    start = loaded.blank()
    per_sample = sum(tensor.numel() * tensor.itemsize for tensor in start.tensors.values())
    frozen = sum(parameter.numel() for parameter in loaded.model.parameters())
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    say(
        f"frozen: {frozen:,} parameters of {loaded.name} ({loaded.dtype}, {loaded.device}); "
        f"optimised: one embedding {tuple(start.emb.shape)} a sample"
    )
    say(
        f"to do: {len(mine)} of {total} samples here{_whose(settings.part)}, {waiting} in all, "
        f"{waiting * per_sample / 2**20:.1f} MiB ({free / 2**30:.1f} GiB free); "
        f"{text} samples have no phrase and stay text"
    )
    if rank() == 0 and mine:
        say(_time(settings, loaded, start, mine))
    say(f"output: {folder}")
    if waiting * per_sample > free:
        raise SeaError(
            f"{waiting * per_sample / 2**30:.1f} GiB are needed and {free / 2**30:.1f} GiB are free in "
            f"{folder}: make room, set runs=... to another disk, or limit=..."
        )


def _whose(part: str | None) -> str:
    """Which share `here` is, if the work is shared."""
    shares = [f"part {part}"] if part is not None else []
    if world_size() > 1:
        shares.append(f"process {rank() + 1} of {world_size()}")
    return f" ({', '.join(shares)})" if shares else ""


def _time(settings: OptimizeConfig, loaded: Loaded, start: Encoded, mine: Sequence[Sample]) -> str:
    """Cost and projection, in two lines."""
    some = mine[:: math.ceil(len(mine) / max(LOOKED_AT, settings.optim.batch_size))]
    problems, _ = problems_of(loaded, some, settings, start.slot)
    if not problems:
        return "cost: not known, since no sample can be used as it is"
    cost = measure(loaded, problems, start, settings.optim.batch_size)
    forget_peak(loaded.device)  # the run's own is to be shown
    if cost is None:
        return "cost: not known, since a sample takes more memory than there is; gradient checkpointing will be tried"
    how = f"measured with {cost.samples} side by side" if cost.samples > 1 else "measured on one sample"
    if settings.optim.compile:
        how += " without compilation"
    if cost.too_many:
        how += f", since {cost.too_many} side by side ran out of memory"
    line = f"cost: {_flops(cost.flops)} and {duration(cost.seconds)} a sample and step, {how}"
    return f"{line}\n{_projection(settings, cost, len(mine))}"


def _projection(settings: OptimizeConfig, cost: StepCost, samples: int) -> str:
    """How long this process will take, by the steps that samples took in an earlier run, or for any number of steps."""

    def at(steps: float) -> str:
        evaluations = (steps + 1) * samples  # the last one finds that the sample is done
        return f"{duration(evaluations * cost.seconds)} ({_flops(evaluations * cost.flops)})"

    earlier = newest("optimize", settings.runs, lambda manifest: _alike(manifest, settings))
    if earlier is not None:
        steps = earlier.counts["mean_steps"]
        text = f"{at(steps)} for {samples} samples at {steps} steps each, as in {earlier.name}"
    else:
        most = settings.optim.max_steps
        some = min(10, most)
        text = (
            f"{at(some)} for {samples} samples per {some} steps, at most {at(most)} at optim.max_steps={most}: "
            "no finished run of these settings tells how many they take"
        )
    return f"projected: {text}; the held-out questions come on top"


def _alike(manifest: Manifest, settings: OptimizeConfig) -> bool:
    """Whether a run tells how many steps to expect: the same model, optimised in the same way."""
    try:
        optim = OptimConfig(**manifest.config["optim"])
    except (TypeError, KeyError, SeaError):  # of another version
        return False
    found = manifest.config.get("model") or {}
    same_model = (found.get("id"), found.get("modality")) == (settings.model.id, settings.model.modality)
    same_start = manifest.config.get("start_store") == settings.start_store
    return (
        same_model
        and same_start
        and shaping_optim(optim) == shaping_optim(settings.optim)
        and manifest.counts["embeddings"] > 0
    )


def _flops(count: float) -> str:
    """`12.3 TFLOP`."""
    thousands = min(int(math.log10(max(count, 1))) // 3, 6)
    return f"{count / 1000**thousands:.4g} {' kMGTPE'[thousands].strip()}FLOP"
