"""Update rules over a batch of independent embeddings: the state of every sample is its own row.

`torch.optim` keeps one state for a whole tensor; here samples enter and leave the tensor at any step. A rule is a
function from gradient and state to a direction; the loop moves by step_size times the RMS of the starting embedding
along it, so that 0.02 means 2 % whatever the model's scale.

Shape suffixes: B samples; `emb_B___` is E of each sample, whatever its shape; `_B1` has that many dimensions.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

State = dict[str, Tensor]


def adam(grad_B___: Tensor, state: State, step_B: Tensor) -> Tensor:
    """Adam's direction (Kingma and Ba 2015, beta .9 and .999); `step_B` counts from 1, for each sample its own."""
    first = state["first"].mul_(0.9).add_(grad_B___, alpha=0.1)
    second = state["second"].mul_(0.999).addcmul_(grad_B___, grad_B___, value=0.001)
    step_B1 = step_B.view(-1, *[1] * (grad_B___.ndim - 1))
    return (first / (1 - 0.9**step_B1)) / ((second / (1 - 0.999**step_B1)).sqrt() + 1e-8)


def normalized(grad_B___: Tensor, state: State, step_B: Tensor) -> Tensor:
    """Normalised gradient descent with momentum .9: each gradient counts by its direction alone, at RMS 1."""
    rms_B1 = grad_B___.square().mean(tuple(range(1, grad_B___.ndim)), keepdim=True).sqrt()
    return state["momentum"].mul_(0.9).add_(grad_B___ / (rms_B1 + 1e-30))


Rule = Callable[[Tensor, State, Tensor], Tensor]
RULES: dict[str, tuple[Rule, tuple[str, ...]]] = {  # name -> rule, names of its state
    "adam": (adam, ("first", "second")),
    "normalized": (normalized, ("momentum",)),
}


def fresh_state(name: str, emb_B___: Tensor) -> State:
    """The state of samples that have taken no step."""
    return {part: torch.zeros_like(emb_B___) for part in RULES[name][1]}
