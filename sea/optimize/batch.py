"""The samples that go side by side: their state, row by row, and how many there may be.

Shape suffixes: B samples; `emb_B___` is E of each sample, whatever its shape.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sea.optimize.optimizers import State
from sea.optimize.targets import Problem

PATIENCE = 16  # steps without running out of memory before the batch grows again


@dataclass
class Group:
    """Samples under way with their state; rows of the tensors go with the list."""

    problems: list[Problem]
    emb_B___: Tensor
    state: State
    step_B: Tensor
    length_B: Tensor  # RMS of the start, which step sizes are relative to
    seconds_B: Tensor  # on the CPU

    def rows(self, kept: list[int]) -> Group:
        """The group of some of its samples."""
        index = torch.tensor(kept, device=self.emb_B___.device, dtype=torch.long)
        return Group(
            [self.problems[i] for i in kept],
            self.emb_B___[index],
            {name: value[index] for name, value in self.state.items()},
            self.step_B[index],
            self.length_B[index],
            self.seconds_B[kept],
        )

    def joined(self, other: Group) -> Group:
        """Both groups as one."""
        return Group(
            self.problems + other.problems,
            torch.cat([self.emb_B___, other.emb_B___]),
            {name: torch.cat([value, other.state[name]]) for name, value in self.state.items()},
            torch.cat([self.step_B, other.step_B]),
            torch.cat([self.length_B, other.length_B]),
            torch.cat([self.seconds_B, other.seconds_B]),
        )


def is_shortage(error: RuntimeError) -> bool:
    """Whether an error says that the device's memory ran out, by whichever of its libraries."""
    return isinstance(error, torch.OutOfMemoryError) or "ALLOC_FAILED" in str(error)


class Places:
    """How many samples go side by side: half as many when memory runs out, twice as many again when all has been well.

    Args:
        most: where it begins, and never goes beyond.
    """

    def __init__(self, most: int) -> None:
        self.most = self.now = most
        self.patience, self.calm, self.grown = PATIENCE, 0, False

    def ran_out(self, count: int) -> None:
        """Memory ran out with `count` samples: after an attempt to grow, the next one is put off for twice as long."""
        self.patience *= 2 if self.grown else 1
        self.now, self.calm, self.grown = max(1, count // 2), 0, False

    def fitted(self) -> None:
        """A step went through."""
        self.calm += 1
        if self.now < self.most and self.calm >= self.patience:
            self.now, self.calm, self.grown = min(self.most, 2 * self.now), 0, True
