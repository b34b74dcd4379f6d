"""Update rules over a batch of independent embeddings: the state of every sample is its own row.

`torch.optim` keeps one state for a whole tensor; here samples enter and leave the tensor at any step. A rule is a
function from gradient and state to a direction; the loop moves by step_size times the RMS of the starting embedding
along it, so that 0.02 means 2 % whatever the model's scale.

Shape suffixes: B samples, N rows of E, D its width.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

State = dict[str, Tensor]


def adam(grad_BND: Tensor, state: State, step_B: Tensor) -> Tensor:
    """Adam's direction (Kingma and Ba 2015, beta .9 and .999); `step_B` counts from 1, for each sample its own."""
    first = state["first"].mul_(0.9).add_(grad_BND, alpha=0.1)
    second = state["second"].mul_(0.999).addcmul_(grad_BND, grad_BND, value=0.001)
    step_B11 = step_B.view(-1, 1, 1)
    return (first / (1 - 0.9**step_B11)) / ((second / (1 - 0.999**step_B11)).sqrt() + 1e-8)


def normalized(grad_BND: Tensor, state: State, step_B: Tensor) -> Tensor:
    """Normalised gradient descent with momentum .9: each gradient counts by its direction alone, at RMS 1."""
    rms_B11 = grad_BND.square().mean((1, 2), keepdim=True).sqrt()
    return state["momentum"].mul_(0.9).add_(grad_BND / (rms_B11 + 1e-30))


Rule = Callable[[Tensor, State, Tensor], Tensor]
RULES: dict[str, tuple[Rule, tuple[str, ...]]] = {  # name -> rule, names of its state
    "adam": (adam, ("first", "second")),
    "normalized": (normalized, ("momentum",)),
}


def fresh_state(name: str, emb_BND: Tensor) -> State:
    """The state of samples that have taken no step."""
    return {part: torch.zeros_like(emb_BND) for part in RULES[name][1]}
