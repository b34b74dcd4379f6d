"""The objective: the loss of every pair of packed samples, whether it is a hit, and the gradient that reaches E.

Loss = mean over a sample's pairs of the token-mean negative log-likelihood, summed over samples (METHOD section 1,
DESIGN section 4).

Shape suffixes: B samples, L packed tokens, P pairs per sample, R counts of a position, T answer tokens of the whole
batch, H width of the language model, V vocabulary; `emb_B___` is E of each sample, whatever its shape.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sea.models.load import Loaded
from sea.models.wire import Encoded, argument
from sea.optimize.packing import Packed


def evaluate(loaded: Loaded, packed: Packed, emb_B___: Tensor, start: Encoded) -> tuple[Tensor, Tensor]:
    """Token-mean negative log-likelihood of every pair's target, and whether greedy decoding would say it.

    The splice must be installed. Only the places that predict an answer token reach the LM head; what the model does to
    its logits after it (scaling, soft caps) is the model's own code.

    Args:
        emb_B___: the embeddings, one per sample, in fp32; gradients flow to them.
        start: what they started from: the companions are its.

    Returns:
        nll_BP in nats (fp32), and hit_B: every target token of every pair is the argmax.
    """
    model: Any = loaded.model

    def answers_only(_: Any, args: tuple[Tensor]) -> tuple[Tensor]:
        hidden_BLH = args[0]
        return (hidden_BLH.flatten(0, 1)[packed.predicts_T][None],)

    hook = model.get_output_embeddings().register_forward_pre_hook(answers_only)
    try:
        logits_TV = model(
            input_ids=packed.ids_BL,
            attention_mask=packed.mask,
            position_ids=packed.positions_RBL if packed.positions_RBL.shape[0] > 1 else packed.positions_RBL[0],
            past_key_values=packed.kept.past(packed.ids_BL.shape[0]) if packed.kept is not None else None,
            use_cache=False,
            **{loaded.spec.argument: argument(loaded.spec, emb_B___, start.companions)},
            **packed.beside,
        ).logits[0]
    finally:
        hook.remove()
    nll_T = F.cross_entropy(logits_TV.float(), packed.target_T, reduction="none")
    missed_T = (logits_TV.detach().argmax(-1) != packed.target_T).to(nll_T.dtype)
    sums_BP, misses_BP = (
        nll_T.new_zeros(packed.tokens_BP.numel()).index_add(0, packed.cell_T, value_T).view_as(packed.tokens_BP)
        for value_T in (nll_T, missed_T)
    )
    nll_BP, hit_B = sums_BP / packed.tokens_BP, misses_BP.sum(1) == 0
    return nll_BP, hit_B


def gradient(loaded: Loaded, packed: Packed, emb_B___: Tensor, start: Encoded) -> tuple[Tensor, Tensor, Tensor]:
    """One forward and backward pass: a step of the optimisation but for the update.

    The loss is a sum over samples, so each gets the gradient that it has alone. The splice must be installed.

    Args:
        emb_B___: the embeddings, one per sample, in fp32.
        start: what they started from: the companions are its.

    Returns:
        nll_BP and hit_B as `evaluate` does, detached; and grad_B___, the gradient of each sample's mean over its pairs.
    """
    emb_B___ = emb_B___.detach().contiguous().requires_grad_(True)  # models take views of their media
    nll_BP, hit_B = evaluate(loaded, packed, emb_B___, start)
    (grad_B___,) = torch.autograd.grad(nll_BP.mean(1).sum(), emb_B___)
    return nll_BP.detach(), hit_B, grad_B___
