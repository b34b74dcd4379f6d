"""The loop: many samples side by side, each with its own state, each leaving at its own stop and the next one entering.

A sample's result does not depend on its neighbours: the batch loss is a sum, all state is per sample, and nothing is
drawn at random. It differs from optimising alone only by the rounding of larger matrix products (DESIGN section 4).

Shape suffixes: B samples, P pairs; `emb_B___` is E of each sample, whatever its shape.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sea.config import OptimConfig
from sea.console import SeaError, say
from sea.models.load import Loaded
from sea.models.splice import Splice
from sea.models.wire import Encoded
from sea.optimize.objective import Packed, Packer, gradient
from sea.optimize.optimizers import RULES, State, fresh_state
from sea.optimize.targets import Problem


@dataclass(frozen=True)
class Outcome:
    """What became of one sample."""

    problem: Problem
    emb: Tensor  # in the model's dtype, as it was read when hit and losses were measured
    losses: dict[str, float]
    steps: int
    seconds: float
    hit: bool
    margin_reached: bool
    failure: str | None  # why there is no embedding to keep; None: there is one


@dataclass(frozen=True)
class StepReport:
    """The loop's state after one step, for progress and charts."""

    step: int
    active: int
    waiting: int
    mean_loss: float
    hit_share: float


@dataclass
class _Group:
    """Samples with their state; rows of the tensors go with the list."""

    problems: list[Problem]
    emb_B___: Tensor
    state: State
    step_B: Tensor
    seconds_B: Tensor

    def rows(self, kept: list[int]) -> _Group:
        """The group of some of its samples."""
        index = torch.tensor(kept, device=self.emb_B___.device, dtype=torch.long)
        return _Group(
            [self.problems[i] for i in kept],
            self.emb_B___[index],
            {name: value[index] for name, value in self.state.items()},
            self.step_B[index],
            self.seconds_B[index.cpu()],
        )

    def joined(self, other: _Group) -> _Group:
        """Both groups as one."""
        return _Group(
            self.problems + other.problems,
            torch.cat([self.emb_B___, other.emb_B___]),
            {name: torch.cat([value, other.state[name]]) for name, value in self.state.items()},
            torch.cat([self.step_B, other.step_B]),
            torch.cat([self.seconds_B, other.seconds_B]),
        )


class Loop:
    """Optimises problems as they come; iterate over it for the outcomes.

    Args:
        loaded: the frozen model.
        problems: what to optimise; read as places in the batch become free.
        start: the embedding that every sample starts from, with what goes beside it.
        settings: update rule, step size, stop rule, batch size.
        observe: called after every step.
    """

    def __init__(
        self,
        loaded: Loaded,
        problems: Iterable[Problem],
        start: Encoded,
        settings: OptimConfig,
        observe: Callable[[StepReport], None] = lambda report: None,
    ) -> None:
        self.loaded, self.settings, self.observe = loaded, settings, observe
        self.splice = Splice(loaded.model, loaded.family)
        self.waiting = deque(problems)
        self.parked: deque[_Group] = deque()  # under way, but out of the batch since memory ran out
        self.blank, self.start = start, start.emb.float()
        self.step_length = settings.step_size * float(self.start.square().mean().sqrt())
        self.places = settings.batch_size
        self.pack = Packer(loaded, start)
        self.steps_done = 0

    def __iter__(self) -> Iterator[Outcome]:
        active = self._refill(None)
        packed: Packed | None = None
        clock = time.perf_counter()
        while active is not None:
            shortage = ""
            try:
                packed = packed if packed is not None else self.pack(active.problems)
                nll_BP, hit_B, grad_B___ = self._gradient(active, packed)
            except torch.OutOfMemoryError as error:
                shortage = str(error).splitlines()[0]
            if shortage:  # handled out here: the exception's frames hold the tensors that took the memory
                packed = None
                if len(active.problems) > 1:
                    active = self._halved(active, shortage)
                else:
                    yield self._too_large(active, shortage)
                    active = self._refill(None)
                continue
            finished, going_on = self._sorted(active, nll_BP, hit_B, grad_B___)
            now = time.perf_counter()  # update, refill and packing count to the step after them
            active.seconds_B += (now - clock) / len(active.problems)
            for place, outcome in finished:
                yield replace(outcome, seconds=float(active.seconds_B[place]))
            clock = time.perf_counter() if finished else now  # what the caller did with the outcomes is not ours
            if finished:
                active, grad_B___, packed = active.rows(going_on), grad_B___[going_on], None
            self._update(active, grad_B___)
            before = len(active.problems)
            refilled = self._refill(active)
            if refilled is None or len(refilled.problems) != before:
                packed = None
            active = refilled

    def _refill(self, active: _Group | None) -> _Group | None:
        """Fill free places: first with parked samples, then with fresh ones. None when nothing is left."""
        if active is not None and not active.problems:
            active = None
        free = self.places - (len(active.problems) if active is not None else 0)
        while free > 0 and self.parked:
            group = self.parked.popleft()
            count = len(group.problems)
            if count > free:
                self.parked.appendleft(group.rows(list(range(free, count))))
                group = group.rows(list(range(free)))
            active = group if active is None else active.joined(group)
            free -= len(group.problems)
        fresh = [self.waiting.popleft() for _ in range(min(free, len(self.waiting)))]
        if fresh:
            emb_B___ = self.start.repeat(len(fresh), *[1] * self.start.ndim)
            group = _Group(
                fresh,
                emb_B___,
                fresh_state(self.settings.optimizer, emb_B___),
                torch.zeros(len(fresh), device=emb_B___.device),
                torch.zeros(len(fresh)),
            )
            active = group if active is None else active.joined(group)
        return active

    def _gradient(self, active: _Group, packed: Packed) -> tuple[Tensor, Tensor, Tensor]:
        with self.splice:  # not for longer: between steps the caller may use the model with real media
            return gradient(self.loaded, packed, active.emb_B___, self.blank)

    def _halved(self, active: _Group, shortage: str) -> _Group:
        """Park half of the samples, states included: nothing that was done is done again."""
        count = len(active.problems)
        self.places = count // 2
        torch.cuda.empty_cache()
        say(f"out of memory with {count} samples side by side: going on with {self.places}")
        self.parked.appendleft(active.rows(list(range(self.places, count))))
        return active.rows(list(range(self.places)))

    def _too_large(self, active: _Group, shortage: str) -> Outcome:
        """Give up on a sample that does not fit alone, and go on with the others.

        Raises:
            SeaError: nothing ever fitted: it is not this sample's fault.
        """
        if self.steps_done == 0:
            raise SeaError(
                f"out of memory with a single sample ({shortage}): use a smaller model, a smaller model.blank, "
                "model.dtype=bfloat16, or a device with more memory"
            )
        return self._outcome(active, 0, [0.0, 0.0, float(active.step_B[0])], f"out of memory: {shortage}")

    def _sorted(
        self, active: _Group, nll_BP: Tensor, hit_B: Tensor, grad_B___: Tensor
    ) -> tuple[list[tuple[int, Outcome]], list[int]]:
        """Split the batch by the stop rule: (place, outcome) of the finished, places of the rest. One transfer."""
        finite_B = nll_BP.isfinite().all(1) & grad_B___.isfinite().flatten(1).all(1)
        reached_B = hit_B & (nll_BP.amax(1) < self.settings.margin)
        table = torch.cat([torch.stack([finite_B, hit_B, reached_B, active.step_B], dim=1).float(), nll_BP], dim=1)
        finished, going_on = [], []
        rows = table.tolist()
        for place, (finite, hit, reached, step, *nll) in enumerate(rows):
            if finite and not reached and step < self.settings.max_steps:
                going_on.append(place)
                continue
            failure = None if finite else f"loss or gradient is not finite at step {int(step)}"
            finished.append((place, self._outcome(active, place, [hit, reached, step, *nll], failure)))
        self.steps_done += 1
        finite_rows = [row for row in rows if row[0]] or [[0.0] * 6]
        self.observe(
            StepReport(
                step=self.steps_done,
                active=len(rows),
                waiting=len(self.waiting) + sum(len(group.problems) for group in self.parked),
                mean_loss=sum(sum(row[4:]) / len(row[4:]) for row in finite_rows) / len(finite_rows),
                hit_share=sum(row[1] for row in rows) / len(rows),
            )
        )
        return finished, going_on

    def _outcome(self, active: _Group, place: int, row: list[float], failure: str | None) -> Outcome:
        """A sample as it leaves; `row` is hit, reached, step, and the loss of each pair (none when it failed)."""
        problem, (hit, reached, step, *nll) = active.problems[place], row
        return Outcome(
            problem=problem,
            emb=active.emb_B___[place].detach().to(self.loaded.dtype).cpu(),
            losses={pair.name: loss for pair, loss in zip(problem.pairs, nll, strict=False)},
            steps=int(step),
            seconds=0.0,
            hit=bool(hit),
            margin_reached=bool(reached),
            failure=failure,
        )

    def _update(self, active: _Group, grad_B___: Tensor) -> None:
        if not active.problems:
            return
        active.step_B += 1
        rule, _ = RULES[self.settings.optimizer]
        active.emb_B___ = active.emb_B___ - self.step_length * rule(grad_B___, active.state, active.step_B)
