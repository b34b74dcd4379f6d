"""What bench/gpu.py has found: parts attempted one by one within a time budget, written as they come, and a table."""

from __future__ import annotations

import dataclasses
import gc
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from steps import GROUPS, OTHER, DoesNotFitError

MATRIX = 8192  # rows and columns of the matrices whose product gives the device's rate


class OutOfTimeError(Exception):
    """The budget is spent."""


@dataclasses.dataclass
class Report:
    """What has been found so far; written after every part, for a machine may be taken back at any time.

    Attributes:
        json: where to; None: nowhere.
        machine: the device, the versions, the measured matrix rate (FLOP a second), how many steps a sample is taken to
            need.
        rows: one for each model, loop and batch size.
        profiles: for each model, seconds of a step by group of kernels.
        skipped: what was left out, and why.
    """

    json: Path | None
    deadline: float
    machine: dict[str, Any]
    rows: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    profiles: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    skipped: list[str] = dataclasses.field(default_factory=list)

    def attempt(self, what: str, needs_s: float, work: Callable[[], None]) -> None:
        """Do a part if there is time for it. A part that fails is noted, and the next has its turn.

        Raises:
            OutOfTimeError: the budget was spent before it was done.
        """
        started = time.monotonic()
        if self.deadline - started < needs_s:
            self.skipped.append(f"{what}: no time left")
            return
        try:
            work()
        except (torch.OutOfMemoryError, DoesNotFitError):
            self.skipped.append(f"{what}: does not fit into memory")
        except OutOfTimeError:
            self.skipped.append(f"{what}: the time was up")
            raise
        except Exception as error:  # a kernel that a compiler cannot build must not cost the rest of the table
            self.skipped.append(f"{what}: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
        finally:
            _free()
            print(f"[{time.monotonic() - started:6.1f} s] {what}", flush=True)
            if self.json is not None:
                kept = {key: getattr(self, key) for key in ("machine", "rows", "profiles", "skipped")}
                self.json.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def _free() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def machine(device: torch.device, steps: float) -> dict[str, Any]:
    """What the figures were taken on."""
    import transformers

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    return {"device": name, "torch": torch.__version__, "transformers": transformers.__version__, "steps": steps}


def table(report: Report) -> str:
    """What was found, in Markdown."""
    cuda = any("peak_gib" in row for row in report.rows)
    steps = f"{report.machine['steps']:g}"
    columns = ["model", "loop", "side by side", "a step, ms (least - most)", "tokens a second", "times naive"]
    columns += ["peak memory, GiB", "of the matrix rate", "host syncs"] if cuda else []
    columns += [f"projected s a sample (x {steps} steps)"]
    lines = [_line(columns), "|---|---|" + "---:|" * (len(columns) - 2)]
    naive = {row["shape"]: row["step_s"] for row in report.rows if row["loop"].startswith("naive")}
    for row in report.rows:
        a_sample = row["step_s"] / row["batch"]
        times = f"{naive[row['shape']] / a_sample:.2f}" if row["shape"] in naive else ""
        spread = f"{min(row['steps_s']) * 1e3:.1f} - {max(row['steps_s']) * 1e3:.1f}"
        cells = [row["shape"], row["loop"], str(row["batch"]), f"{row['step_s'] * 1e3:.1f} ({spread})"]
        cells += [f"{row['tokens_a_second']:,.0f}", times]
        if cuda:
            share = row.get("share_of_matrix_rate")
            cells += [f"{row['peak_gib']:.1f}", "" if share is None else f"{share:.1%}", str(row.get("host_syncs", ""))]
        lines.append(_line([*cells, f"{row['projected_s']:.2f}"]))
    if report.profiles:
        groups = [*GROUPS, OTHER]
        lines += ["", _line(["where a step's time goes", "side by side", "a step, ms", *groups, "GPU idle"])]
        lines.append("|---|" + "---:|" * (len(groups) + 3))
        for profile in report.profiles:
            shares = [profile[group] / profile["wall"] for group in groups]
            cells = [profile["shape"], str(profile["batch"]), f"{profile['wall'] * 1e3:.1f}"]
            lines.append(_line([*cells, *(f"{share:.1%}" for share in [*shares, 1 - sum(shares)])]))
    lines += [""] + [f"Left out: {what}" for what in report.skipped]
    return "\n".join(lines).rstrip()


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
