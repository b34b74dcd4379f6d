"""What a process has done so far, as a person follows it: the progress line, and the same numbers as charts."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from sea.console import Progress, rank, world_size
from sea.optimize.cost import peak_memory
from sea.optimize.loop import StepReport
from sea.records import Embedding
from sea.tracking import Tracker


class Watch:
    """Counts what was written and shows it, after every write and every step.

    The charts go along by sample-steps (one sample in one step), which mean the same at every batch size and go on
    after a resume: work that was lost in a kill is drawn over once more.

    Args:
        total: samples that this process is to do.
        tracker: where charts go.
        device: whose memory is shown.
        sample_steps: those of the samples that earlier launches finished.
    """

    def __init__(self, total: int, tracker: Tracker, device: torch.device, sample_steps: int) -> None:
        self.progress = Progress(f"optimize ({rank() + 1} of {world_size()})", total)
        self.tracker, self.device, self.sample_steps = tracker, device, sample_steps
        self.done = self.hits = self.verified = self.active = 0

    def written(self, embeddings: Sequence[Embedding], set_aside: int) -> None:
        """Samples are in the store, or listed as set aside."""
        self.done += len(embeddings) + set_aside
        self.hits += sum(e.hit for e in embeddings)
        self.verified += sum(e.verified for e in embeddings)
        self._show({})

    def step(self, report: StepReport) -> None:
        """The loop has done a step."""
        self.active = report.active
        self.sample_steps += report.active
        self._show({"loss": report.mean_loss, "hit_share": report.hit_share})

    def _show(self, of_step: dict[str, float]) -> None:
        memory, in_words = peak_memory(self.device)
        rates = {"hit_rate": self.hits / self.done, "verified_rate": self.verified / self.done} if self.done else {}
        shares = [f"hit {rates['hit_rate']:.0%}, verified {rates['verified_rate']:.0%}"] if rates else []
        active = min(self.active, self.progress.total - self.done)  # the last step's are written by and by
        self.progress.update(self.done, " | ".join([*shares, f"{active} active", in_words]))
        left = self.progress.seconds_left
        numbers = {
            "done": self.done,
            "active": active,
            "samples_per_second": self.progress.rate,
            "memory_gib": memory,
            **rates,
            **({} if left is None else {"seconds_left": left}),
            **of_step,
        }
        self.tracker.log({f"optimize/{key}": float(value) for key, value in numbers.items()}, self.sample_steps)

    def close(self) -> None:
        """End the progress line."""
        self.progress.close()
