"""Which way of optimising finds embeddings in the fewest steps, and what kind of embeddings: one row an option.

    python bench/optimize.py options screen            # every option below, one seed, the shipped micro-llava
    python bench/optimize.py options confirm NAME NAME NAME --models DIR DIR DIR DIR DIR

Options run as the stage runs them, under runs/bench/: what is complete is not run again. A seed of `confirm` is another
base model, trained from its own seed by `python -m sea.micro modality=image seed=K out=DIR`, and `seed=K` of the stage.

Shape suffixes: N samples, R rows of E, D its width.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sea.config import OptimizeConfig, compose
from sea.models.load import load
from sea.optimize.cost import measure
from sea.optimize.embed import problems_of
from sea.records import read_json
from sea.samples import take_up
from sea.statistics import paired_t
from sea.store import Store

RUNS = Path("runs/bench")
REAL, OTHER_REAL = "real", "other-real"  # encoded pictures of all samples, drawn by two seeds
BASE = "default"  # also the earlier store of the start at a mean
SHRUNK = 0.05  # share of the covariance that is replaced by its own mean variance, so that it can be inverted

GRIDS = {
    "normalized": (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    "sign": (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    "adam": (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    "adamw": (0.05, 0.1, 0.2),
}
MARGINS = (0.05, 0.02, 0.005, 0.001, 0.0002)
SCHEDULES = ("linear", "cosine", "inverse_sqrt")

OPTIONS: dict[str, list[str]] = {
    BASE: [],
    "paper": ["optim=paper"],
    **{
        f"{rule}-{size}": [f"optim.optimizer={rule}", f"optim.step_size={size}"]
        for rule, sizes in GRIDS.items()
        for size in sizes
    },
    **{f"margin-{margin}": [f"optim.margin={margin}"] for margin in MARGINS},
    **{f"{schedule}-0.1": [f"optim.schedule={schedule}", "optim.step_size=0.1"] for schedule in SCHEDULES},
    "adamw-decay-1": ["optim.optimizer=adamw", "optim.step_size=0.1", "optim.weight_decay=1"],
    "mean": ["optim=mean", f"start_store={BASE}"],
    "media": ["optim=media", f"start_store={REAL}"],
    "media-0.1": ["optim=media", f"start_store={REAL}", "optim.step_size=0.1"],
    "media-adam-0.1": ["optim=media", f"start_store={REAL}", "optim.optimizer=adam", "optim.step_size=0.1"],
}


@dataclass(frozen=True)
class Row:
    """What an option gave; rates with their 95 % Wilson interval."""

    option: str
    seed: int
    n: int
    steps: float  # a sample, mean
    gflop: float  # a sample: (steps + 1) evaluations
    osr: dict[str, Any]
    margin: dict[str, Any]
    vsr: dict[str, Any]  # audit wordings
    distance: float  # from real encoder outputs, see `Real`
    cosine: float  # between samples, mean over pairs


class Real:
    """Statistics of what the encoder makes of real pictures: the rows of E of the harmless samples' pictures.

    Distance: mean over rows of (row - mean)^T C^-1 (row - mean) / D, with C shrunk towards its mean variance; about 1
    for real pictures. Cosine: between two samples' E, flattened, after the mean row is taken off.
    """

    def __init__(self, store: Store, harmless: set[str]) -> None:
        rows_RD = torch.cat(
            [store.read(key)["embedding"].double() for key in sorted(store.embeddings) if key in harmless]
        )
        self.mean_D = rows_RD.mean(0)
        covariance_DD = (rows_RD - self.mean_D).T @ (rows_RD - self.mean_D) / (len(rows_RD) - 1)
        width = len(self.mean_D)
        flat_DD = torch.eye(width, dtype=torch.float64) * covariance_DD.trace() / width
        self.inverse_DD = torch.linalg.inv((1 - SHRUNK) * covariance_DD + SHRUNK * flat_DD)

    def distance(self, emb_NRD: Tensor) -> float:
        """Mean squared Mahalanobis distance of the rows, per dimension."""
        off_NRD = emb_NRD.double() - self.mean_D
        return float(torch.einsum("nrd,de,nre->nr", off_NRD, self.inverse_DD, off_NRD).mean() / len(self.mean_D))

    def cosine(self, emb_NRD: Tensor) -> float:
        """Mean pairwise cosine."""
        flat = torch.nn.functional.normalize((emb_NRD.double() - self.mean_D).flatten(1), dim=1)
        count = len(flat)
        return float(((flat @ flat.T).sum() - count) / (count * (count - 1)))


def embeddings(store: Store) -> Tensor:
    """Every embedding of a store, (N, R, D)."""
    return torch.stack([store.read(key)["embedding"] for key in sorted(store.embeddings)])


@dataclass(frozen=True)
class Bench:
    """One base model's runs.

    Attributes:
        model: what goes to `model.id`; None: the shipped one.
        limit: the first so many samples.
    """

    seed: int
    model: str | None
    limit: int

    @property
    def runs(self) -> Path:
        """Where they lie."""
        return RUNS / ("shipped" if self.model is None else Path(self.model).resolve().name)

    @property
    def common(self) -> list[str]:
        """Settings of every command."""
        model = [] if self.model is None else [f"model.id={Path(self.model).resolve()}"]
        return ["+model=micro-llava", *model, f"runs={self.runs}", f"limit={self.limit}", f"seed={self.seed}"]

    def command(self, stage: str, name: str, overrides: list[str]) -> None:
        """Run a stage in a process of its own, on one thread."""
        typed = [sys.executable, "-m", f"sea.{stage}", *self.common, *overrides, f"name={name}"]
        done = subprocess.run(
            typed, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        )
        if done.returncode:
            sys.exit(f"{name}: {done.stderr.strip().splitlines()[-1]}")
        print(f"{self.runs.name}: {name} done", file=sys.stderr, flush=True)

    def run(self, chosen: list[str], jobs: int) -> list[Row]:
        """The rows of some options, and of what they are held against."""
        for name, seed in ((REAL, self.seed + 1000), (OTHER_REAL, self.seed + 2000)):
            self.command("encode", name, ["mediaset=micro", f"seed={seed}"])
        self.command("optimize", BASE, OPTIONS[BASE])
        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(lambda name: self.command("optimize", name, OPTIONS[name]), chosen))
        return self._rows([BASE, *(name for name in chosen if name != BASE)])

    def _rows(self, chosen: list[str]) -> list[Row]:
        settings = compose("optimize", OptimizeConfig, *self.common)
        loaded = load(settings.model)
        blank = loaded.blank()
        samples = [
            s for s in take_up(settings.model, None, str(self.runs)).samples[: self.limit] if s.phrase is not None
        ]
        problems, _ = problems_of(loaded, samples, settings, blank.slot)
        cost = measure(loaded, problems, blank, 1)
        assert cost is not None
        real = Real(Store(self.runs / "encode" / REAL), {sample.id for sample in samples if not sample.harmful})
        nothing = {"value": None}
        others = {
            "real pictures (another draw)": embeddings(Store(self.runs / "encode" / OTHER_REAL)),
            "blank": blank.emb[None].repeat(2, 1, 1),
        }
        rows = [
            Row(name, self.seed, len(emb), 0, 0, nothing, nothing, nothing, real.distance(emb), real.cosine(emb))
            for name, emb in others.items()
        ]
        for name in chosen:
            folder = self.runs / "optimize" / name
            counts, emb_NRD = read_json(folder / "manifest.json")["counts"], embeddings(Store(folder))
            rows.append(
                Row(
                    name,
                    self.seed,
                    counts["attempted"],
                    counts["mean_steps"],
                    (counts["mean_steps"] + 1) * cost.flops / 1e9,
                    counts["osr"],
                    counts["margin_reached"],
                    counts["audit_vsr"],
                    real.distance(emb_NRD),
                    real.cosine(emb_NRD),
                )
            )
        return rows


def _rate(rate: dict[str, Any]) -> str:
    if rate["value"] is None:
        return "-"
    return f"{rate['value']:.3f} [{rate['low']:.3f}, {rate['high']:.3f}]"


def table(rows: list[Row]) -> str:
    """One row an option, those of one seed."""
    lines = [
        "| option | steps | GFLOP a sample | OSR | at the margin | audit VSR | distance from real | cosine |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        work = f"{row.steps:.1f} | {row.gflop:.2f}" if row.osr["value"] is not None else "- | -"
        rates = " | ".join(map(_rate, (row.osr, row.margin, row.vsr)))
        lines.append(f"| {row.option} | {work} | {rates} | {row.distance:.2f} | {row.cosine:.2f} |")
    return "\n".join(lines)


def over_seeds(rows: list[Row]) -> str:
    """Mean over seeds, and the paired difference to the base option, with Student's 95 % interval over the seeds."""
    seeds = sorted({row.seed for row in rows})
    of = {(row.option, row.seed): row for row in rows}
    options = [
        name for name in dict.fromkeys(row.option for row in rows) if of[name, seeds[0]].osr["value"] is not None
    ]
    lines = [
        f"| option | steps | OSR | at the margin | audit VSR | by seed ({', '.join(map(str, seeds))}) | "
        f"VSR less {BASE}'s | distance from real | cosine |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in options:
        own = [of[name, seed] for seed in seeds]
        less = [row.vsr["value"] - of[BASE, row.seed].vsr["value"] for row in own]
        paired = paired_t(less)
        spread = "-" if name == BASE else f"{paired['value']:+.3f} [{paired['low']:+.3f}, {paired['high']:+.3f}]"
        mean = {key: statistics.mean(getattr(row, key)["value"] for row in own) for key in ("osr", "margin", "vsr")}
        by_seed = ", ".join(f"{row.vsr['value']:.3f}" for row in own)
        lines.append(
            f"| {name} | {statistics.mean(row.steps for row in own):.1f} | {mean['osr']:.3f} | {mean['margin']:.3f} | "
            f"{mean['vsr']:.3f} | {by_seed} | {spread} | "
            f"{statistics.mean(row.distance for row in own):.2f} | {statistics.mean(row.cosine for row in own):.2f} |"
        )
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    """`screen` or `confirm`."""
    parser = argparse.ArgumentParser(prog="bench/optimize.py options", description=__doc__)
    parser.add_argument("what", choices=("screen", "confirm"))
    parser.add_argument("names", nargs="*", help=f"options: {', '.join(OPTIONS)}; none: all of them")
    parser.add_argument("--models", nargs="+", help="folders of base models, one a seed (confirm)")
    parser.add_argument("--limit", type=int, default=300, help="samples")
    parser.add_argument("--jobs", type=int, default=1, help="processes side by side")
    parser.add_argument("--json", type=Path, help="write the rows there as well")
    typed = parser.parse_args(arguments)
    if unknown := sorted(set(typed.names) - set(OPTIONS)):
        parser.error(f"unknown: {', '.join(unknown)}; options: {', '.join(OPTIONS)}")
    if typed.what == "confirm" and not (typed.names and len(typed.models or []) > 1):
        parser.error("confirm needs the names of options, and --models with a folder for each of two or more seeds")
    models = typed.models if typed.what == "confirm" else [None]
    rows = []
    for seed, model in enumerate(models):
        rows += Bench(seed, model, typed.limit).run(typed.names or list(OPTIONS), typed.jobs)
    if typed.json is not None:
        typed.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    print(table(rows) if typed.what == "screen" else over_seeds(rows))
