"""The careful naive loop: what a good engineer writes first, and what the engine is compared with.

Weights frozen, M not run (the splice is used), E and optimiser state in fp32, the engine's loss, update rule and stop.
But one sample at a time, each pair its own ordinary sequence, all logits. Nothing of the packing is used.

Shape suffixes: L tokens, V vocabulary, P pairs; `emb_1___` is E of the one sample, whatever its shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sea.config import OptimConfig
from sea.models.load import Loaded
from sea.models.splice import Splice
from sea.models.wire import Encoded, argument, spread
from sea.optimize.optimizers import RULES, SCHEDULES, fresh_state, per_sample, rms
from sea.optimize.targets import Problem


@dataclass(frozen=True)
class Solution:
    """Where the loop stopped with one sample."""

    problem: Problem
    emb: Tensor  # in the model's dtype, as `Outcome` has it
    steps: int
    hit: bool
    margin_reached: bool


def gradient(loaded: Loaded, problem: Problem, emb_1___: Tensor, start: Encoded) -> tuple[Tensor, Tensor, Tensor]:
    """A forward and a backward for each pair: a step but for the update. The splice must be installed.

    Args:
        emb_1___: E in fp32.
        start: what it started from: the companions are its.

    Returns:
        nll_1P, hit_1 and grad_1___, as `sea.optimize.objective.gradient` gives them for a batch of one.
    """
    model: Any = loaded.model
    emb_1___ = emb_1___.detach().requires_grad_(True)
    beside = {name: value.to(loaded.device) for name, value in spread(loaded.spec, start.companions, 1).items()}
    nll, right = [], []
    for pair in problem.pairs:
        ids_1L = torch.tensor([[*problem.prefix, *pair.suffix, *pair.answer]], device=loaded.device)
        target_L = ids_1L[0, -len(pair.answer) :]
        logits_1LV = model(
            input_ids=ids_1L,
            attention_mask=torch.ones_like(ids_1L),
            use_cache=False,
            **{loaded.spec.argument: argument(loaded.spec, emb_1___, start.companions)},
            **beside,
            **loaded.token_types(ids_1L),
        ).logits
        logits_LV = logits_1LV[0, -len(pair.answer) - 1 : -1].float()
        loss = F.cross_entropy(logits_LV, target_L)
        # Pair by pair: the graph of one is freed before the next is built.
        (loss / len(problem.pairs)).backward()  # type: ignore[no-untyped-call]
        nll.append(loss.detach())
        right.append((logits_LV.detach().argmax(-1) == target_L).all())
    assert emb_1___.grad is not None  # there is at least one pair
    return torch.stack(nll)[None], torch.stack(right).all()[None], emb_1___.grad


def optimise(loaded: Loaded, problem: Problem, start: Encoded, settings: OptimConfig) -> Solution:
    """Optimise one sample from the blank input to its stop."""
    emb_1___ = start.emb.to(loaded.device).float()[None]
    rule, state, length_1 = (
        RULES[settings.optimizer],
        fresh_state(settings.optimizer, emb_1___),
        rms(emb_1___).flatten(),
    )
    step_1 = torch.zeros(1, device=loaded.device)
    with Splice(loaded.model, loaded.family):
        for step in range(settings.max_steps + 1):
            nll_1P, hit_1, grad_1___ = gradient(loaded, problem, emb_1___, start)
            hit, worst = torch.stack([hit_1[0].float(), nll_1P.max()]).tolist()  # the one wait for the device
            reached = bool(hit) and worst < settings.margin
            if reached or step == settings.max_steps:
                break
            step_1 += 1
            share_1 = settings.step_size * SCHEDULES[settings.schedule](step_1, settings.max_steps)
            direction_1___ = rule.direction(grad_1___, state, step_1)
            if rule.decays:
                emb_1___ = per_sample(1 - share_1 * settings.weight_decay, emb_1___) * emb_1___
            emb_1___ = emb_1___ - per_sample(share_1 * length_1, emb_1___) * direction_1___
    return Solution(problem, emb_1___[0].to(loaded.dtype).cpu(), step, bool(hit), reached)
