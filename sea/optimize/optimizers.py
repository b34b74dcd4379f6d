"""Update rules and schedules over a batch of independent embeddings: the state of every sample is its own row.

`torch.optim` keeps one state for a whole tensor; here samples enter and leave the tensor at any step. A rule is a
function from gradient and state to a direction; the loop moves along it by step_size times the RMS of the sample's
start, so that 0.02 means 2 % whatever the model's scale.

Shape suffixes: B samples; `emb_B___` is E of each sample, whatever its shape; `_B1` has that many dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

State = dict[str, Tensor]


@dataclass(frozen=True)
class Rule:
    """An update rule.

    Attributes:
        direction: (gradient, state, steps) -> direction; it writes the state. Steps count from 1, each sample its own.
        state: names of what it remembers, each as large as E.
        decays: whether E also shrinks by `weight_decay`.
    """

    direction: Callable[[Tensor, State, Tensor], Tensor]
    state: tuple[str, ...] = ()
    decays: bool = False


def adam(grad_B___: Tensor, state: State, step_B: Tensor) -> Tensor:
    """Adam's direction (Kingma and Ba 2015, beta .9 and .999)."""
    first = state["first"].mul_(0.9).add_(grad_B___, alpha=0.1)
    second = state["second"].mul_(0.999).addcmul_(grad_B___, grad_B___, value=0.001)
    step_B1 = per_sample(step_B, grad_B___)
    return (first / (1 - 0.9**step_B1)) / ((second / (1 - 0.999**step_B1)).sqrt() + 1e-8)


def normalized(grad_B___: Tensor, state: State, step_B: Tensor) -> Tensor:
    """Normalised gradient descent with momentum .9: each gradient counts by its direction alone, at RMS 1."""
    return state["momentum"].mul_(0.9).add_(grad_B___ / (rms(grad_B___) + 1e-30))


def sign(grad_B___: Tensor, state: State, step_B: Tensor) -> Tensor:
    """Sign descent: every number of E moves by the same amount (as in PGD under a maximum norm, Madry et al. 2018)."""
    return grad_B___.sign()


RULES = {
    "adam": Rule(adam, ("first", "second")),
    "adamw": Rule(adam, ("first", "second"), decays=True),  # Loshchilov and Hutter 2019
    "normalized": Rule(normalized, ("momentum",)),
    "sign": Rule(sign),
}

SCHEDULES: dict[str, Callable[[Tensor, int], Tensor]] = {  # (steps from 1, max_steps) -> factor of the step size
    "constant": lambda step_B, most: torch.ones_like(step_B),
    "linear": lambda step_B, most: 1 - (step_B - 1) / most,
    "cosine": lambda step_B, most: (1 + (math.pi * (step_B - 1) / most).cos()) / 2,
    "inverse_sqrt": lambda step_B, most: step_B.rsqrt(),
}


def fresh_state(name: str, emb_B___: Tensor) -> State:
    """The state of samples that have taken no step."""
    return {part: torch.zeros_like(emb_B___) for part in RULES[name].state}


def rms(emb_B___: Tensor) -> Tensor:
    """Root mean square of each sample's numbers, (B, 1, ...)."""
    return emb_B___.square().mean(tuple(range(1, emb_B___.ndim)), keepdim=True).sqrt()


def per_sample(value_B: Tensor, like_B___: Tensor) -> Tensor:
    """One number a sample, in a shape that multiplies E."""
    return value_B.view(-1, *[1] * (like_B___.ndim - 1))
