"""The loop: many samples side by side, each with its own state, each leaving at its own stop and the next one entering.

A sample's result does not depend on its neighbours: the batch loss is a sum, all state is per sample, and nothing is
drawn at random. It differs from optimising alone only by the rounding of larger matrix products (DESIGN section 4).
This file waits for the GPU once a step (what has ended, from one small table), and when samples end once more for their
embeddings; what the models' own code waits for comes on top.

Shape suffixes: B samples, P pairs; `emb_B___` is E of each sample, whatever its shape.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sea.config import OptimConfig
from sea.console import SeaError, say
from sea.models.load import Loaded
from sea.models.splice import Splice
from sea.models.wire import Encoded
from sea.optimize.batch import Group, Places, is_shortage
from sea.optimize.layers import Compiled, layers, recomputed, refuse_compilation, wrapped
from sea.optimize.objective import gradient
from sea.optimize.optimizers import RULES, SCHEDULES, fresh_state, per_sample, rms
from sea.optimize.packing import WORTH_KEEPING, Packed, Packer
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


class Loop:
    """Optimises problems as they come; iterate over it for the outcomes.

    Args:
        loaded: the frozen model.
        problems: what to optimise; read as places in the batch become free.
        start: the encoding of the blank medium: the layout of every embedding, and where it starts.
        settings: update rule, step size, stop rule, batch size.
        observe: called after every step.
        initial: where a sample's embedding starts, of the same shape as the blank; None: at the blank.
    """

    def __init__(
        self,
        loaded: Loaded,
        problems: Iterable[Problem],
        start: Encoded,
        settings: OptimConfig,
        observe: Callable[[StepReport], None] = lambda report: None,
        initial: Callable[[Problem], Tensor] | None = None,
    ) -> None:
        self.loaded, self.settings, self.observe = loaded, settings, observe
        self.splice = Splice(loaded.model, loaded.family)
        self.waiting = deque(problems)
        self.parked: deque[Group] = deque()  # under way, but out of the batch since memory ran out
        self.start, self.initial = start, initial or (lambda problem: start.emb)
        self.places = Places(settings.batch_size)
        self.wrap: Callable[[Any], Any] | None = Compiled() if settings.compile else None
        self.pack = self._packer()
        self.steps_done = 0

    def _packer(self) -> Packer:
        """Under compilation widths come in few sizes."""
        multiple = 64 if self.settings.compile else None
        # A cache goes with neither: every compiled layer would be one of its own, a recomputed one would write twice.
        return Packer(self.loaded, self.start, WORTH_KEEPING if self.wrap is None else None, multiple)

    def __iter__(self) -> Iterator[Outcome]:
        active = self._refill(None)
        packed: Packed | None = None
        clock = time.perf_counter()
        while active is not None:
            shortage = ""
            try:
                packed = packed if packed is not None else self.pack(active.problems)
                nll_BP, hit_B, grad_B___ = self._gradient(active, packed)
            except RuntimeError as error:
                refuse_compilation(error)
                if not is_shortage(error):
                    raise
                shortage = str(error).splitlines()[0]
            if shortage:  # handled out here: the exception's frames hold the tensors that took the memory
                packed = None
                if len(active.problems) > 1:
                    active = self._halved(active)
                elif self.wrap is not recomputed and layers(self.loaded.model):
                    self._recompute()
                else:
                    yield self._too_large(active, shortage)
                    active = self._refill(None)
                continue
            self.places.fitted()
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

    def _refill(self, active: Group | None) -> Group | None:
        """Fill free places: first with parked samples, then with fresh ones. None when nothing is left."""
        if active is not None and not active.problems:
            active = None
        free = self.places.now - (len(active.problems) if active is not None else 0)
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
            group = self._fresh(fresh)
            active = group if active is None else active.joined(group)
        return active

    def _fresh(self, problems: list[Problem]) -> Group:
        emb_B___ = torch.stack([self.initial(problem) for problem in problems]).to(self.loaded.device).float()
        return Group(
            problems,
            emb_B___,
            fresh_state(self.settings.optimizer, emb_B___),
            step_B=torch.zeros(len(problems), device=emb_B___.device),
            length_B=rms(emb_B___).flatten(),
            seconds_B=torch.zeros(len(problems)),
        )

    def _gradient(self, active: Group, packed: Packed) -> tuple[Tensor, Tensor, Tensor]:
        run = wrapped(self.loaded.model, self.wrap) if self.wrap is not None else contextlib.nullcontext()
        with self.splice, run:  # not for longer: between steps the caller may use the model with real media
            return gradient(self.loaded, packed, active.emb_B___, self.start)

    def _halved(self, active: Group) -> Group:
        """Park half of the samples, states included: nothing that was done is done again."""
        count = len(active.problems)
        self.places.ran_out(count)
        torch.cuda.empty_cache()
        say(f"out of memory with {count} samples side by side: going on with {self.places.now}")
        self.parked.appendleft(active.rows(list(range(self.places.now, count))))
        return active.rows(list(range(self.places.now)))

    def _recompute(self) -> None:
        """Go over to recomputing every layer in the backward pass."""
        torch.cuda.empty_cache()
        without = ", without compilation" if self.settings.compile else ""
        say(f"out of memory with one sample: from here with gradient checkpointing, a third more arithmetic{without}")
        self.wrap = recomputed
        self.pack = self._packer()

    def _too_large(self, active: Group, shortage: str) -> Outcome:
        """Give up on a sample that does not fit alone, and go on with the others.

        Raises:
            SeaError: nothing ever fitted: it is not this sample's fault.
        """
        if self.steps_done == 0:
            raise SeaError(
                f"out of memory with a single sample ({shortage}): use a smaller model, a smaller model.blank, "
                "model.dtype=bfloat16, or a device with more memory"
            )
        (emb,) = self._stored(active, [0])
        return self._outcome(active, 0, emb, [0.0, 0.0, float(active.step_B[0])], f"out of memory: {shortage}")

    def _sorted(
        self, active: Group, nll_BP: Tensor, hit_B: Tensor, grad_B___: Tensor
    ) -> tuple[list[tuple[int, Outcome]], list[int]]:
        """Split the batch by the stop rule: (place, outcome) of the finished, places of the rest."""
        finite_B = nll_BP.isfinite().all(1) & grad_B___.isfinite().flatten(1).all(1)
        reached_B = hit_B & (nll_BP.amax(1) < self.settings.margin)
        table = torch.cat([torch.stack([finite_B, hit_B, reached_B, active.step_B], dim=1).float(), nll_BP], dim=1)
        rows = table.tolist()
        over = [not row[0] or row[2] or row[3] >= self.settings.max_steps for row in rows]
        ended = [place for place, is_over in enumerate(over) if is_over]
        finished = []
        for place, emb in zip(ended, self._stored(active, ended), strict=True):
            finite, hit, reached, step, *nll = rows[place]
            failure = None if finite else f"loss or gradient is not finite at step {int(step)}"
            finished.append((place, self._outcome(active, place, emb, [hit, reached, step, *nll], failure)))
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
        return finished, [place for place, is_over in enumerate(over) if not is_over]

    def _stored(self, active: Group, places: list[int]) -> list[Tensor]:
        """The embeddings of some samples as a store keeps them."""
        return list(active.emb_B___[places].to(self.loaded.dtype).cpu().unbind()) if places else []

    def _outcome(self, active: Group, place: int, emb: Tensor, row: list[float], failure: str | None) -> Outcome:
        """A sample as it leaves; `row` is hit, reached, step, and the loss of each pair (none when it failed)."""
        problem, (hit, reached, step, *nll) = active.problems[place], row
        return Outcome(
            problem=problem,
            emb=emb,
            losses={pair.name: loss for pair, loss in zip(problem.pairs, nll, strict=False)},
            steps=int(step),
            seconds=0.0,
            hit=bool(hit),
            margin_reached=bool(reached),
            failure=failure,
        )

    def _update(self, active: Group, grad_B___: Tensor) -> None:
        if not active.problems:
            return
        active.step_B += 1
        settings, rule = self.settings, RULES[self.settings.optimizer]
        share_B = settings.step_size * SCHEDULES[settings.schedule](active.step_B, settings.max_steps)
        direction_B___ = rule.direction(grad_B___, active.state, active.step_B)
        kept_B1 = per_sample(1 - share_B * settings.weight_decay, grad_B___) if rule.decays else 1.0
        active.emb_B___ = kept_B1 * active.emb_B___ - per_sample(share_B * active.length_B, grad_B___) * direction_B___
