"""The objective: every pair of a sample in one packed sequence, the slot encoded once, only answers scored.

Per sample the sequence is `[prefix, slot, Q_1 A_1, Q_2 A_2, ...]`. A block mask hides the pairs from each other and
positions restart at the slot's end, so each pair sees just what it would see alone: the packed loss and its gradient
equal those of separate forwards (tests/models/test_contract.py). DESIGN section 4.

Shape suffixes: B samples, L packed tokens, P pairs per sample, T answer tokens of the whole batch, N rows of E, D its
width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sea.console import SeaError
from sea.models.load import Loaded
from sea.models.splice import core
from sea.optimize.targets import Problem

SHARED, PADDING = 0, -1  # segments: 0 is prefix and slot, p is the p-th pair


@dataclass(frozen=True)
class Packed:
    """A batch of packed sequences on the model's device."""

    ids_BL: Tensor
    positions_BL: Tensor
    mask_B1LL: Tensor
    predicts_T: Tensor  # index into the flattened (B, L): the place whose logits predict an answer token
    target_T: Tensor
    cell_T: Tensor  # index into the flattened (B, P): the pair that the token belongs to
    pairs: int


def pack(problems: Sequence[Problem], pad_id: int, device: torch.device, additive: torch.dtype | None) -> Packed:
    """Pack a batch.

    Args:
        problems: at least one, all with the same number of pairs.
        pad_id: token to fill up with; masked out, so any will do.
        additive: the dtype of an additive mask, for attention that takes no boolean one (eager); None: boolean.
    """
    width, pairs = max(p.length for p in problems), len(problems[0].pairs)
    ids, positions, segments = [], [], []
    predicts: list[int] = []
    target: list[int] = []
    cell: list[int] = []
    for row, problem in enumerate(problems):
        shared = len(problem.prefix)
        row_ids = list(problem.prefix)
        row_positions = list(range(shared))
        row_segments = [SHARED] * shared
        for index, pair in enumerate(problem.pairs):
            tokens = [*pair.suffix, *pair.answer]
            first = row * width + len(row_ids) + len(pair.suffix)
            predicts += range(first - 1, first - 1 + len(pair.answer))  # a token is predicted one place before it
            target += pair.answer
            cell += [row * pairs + index] * len(pair.answer)
            row_ids += tokens
            row_positions += range(shared, shared + len(tokens))
            row_segments += [index + 1] * len(tokens)
        rest = width - len(row_ids)
        ids.append(row_ids + [pad_id] * rest)
        positions.append(row_positions + [0] * rest)
        segments.append(row_segments + [PADDING] * rest)
    segments_BL = torch.tensor(segments, device=device)
    return Packed(
        ids_BL=torch.tensor(ids, device=device),
        positions_BL=torch.tensor(positions, device=device),
        mask_B1LL=_mask(segments_BL, additive),
        predicts_T=torch.tensor(predicts, device=device),
        target_T=torch.tensor(target, device=device),
        cell_T=torch.tensor(cell, device=device),
        pairs=pairs,
    )


def _mask(segments_BL: Tensor, additive: torch.dtype | None) -> Tensor:
    """Which place may see which: causal, and only the shared part and the own pair."""
    width = segments_BL.shape[1]
    query_BL1, key_B1L = segments_BL[:, :, None], segments_BL[:, None, :]
    causal_LL = torch.ones(width, width, dtype=torch.bool, device=segments_BL.device).tril()
    seen_BLL = causal_LL & ((key_B1L == SHARED) | (key_B1L == query_BL1))
    # Padding has a segment of its own and so sees itself: a softmax over nothing would be NaN.
    mask_B1LL = seen_BLL[:, None]
    if additive is None:
        return mask_B1LL
    return torch.zeros(mask_B1LL.shape, dtype=additive, device=segments_BL.device).masked_fill(
        ~mask_B1LL, torch.finfo(additive).min
    )


def refuse_unsupported(loaded: Loaded) -> None:
    """Refuse language models for which this objective would be silently wrong.

    Raises:
        SeaError: the model changes its logits after the LM head, which is called here directly, or its layers see a
            sliding window, which the packed mask does not have.
    """
    model: Any = loaded.model
    text = model.config.get_text_config()
    scaled = {name: getattr(text, name, None) for name in ("final_logit_softcapping", "logits_scaling", "logit_scale")}
    if changed := {name: value for name, value in scaled.items() if value not in (None, 1, 1.0)}:
        raise SeaError(f"{loaded.name} changes its logits after the LM head ({changed}): not supported yet")
    if "sliding_attention" in (getattr(text, "layer_types", None) or []):
        raise SeaError(f"{loaded.name} has layers with a sliding window: not supported yet by the packed objective")


def evaluate(loaded: Loaded, packed: Packed, emb_BND: Tensor, companions: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Token-mean negative log-likelihood of every pair's target, and whether greedy decoding would say it.

    The splice must be installed. Only the places that predict an answer token reach the LM head.

    Args:
        emb_BND: the embeddings, in fp32; gradients flow to them.
        companions: further inputs of the medium, one row per sample.

    Returns:
        nll_BP in nats (fp32), and hit_B: every target token of every pair is the argmax.
    """
    model: Any = loaded.model
    hidden_BLH = core(model)(
        input_ids=packed.ids_BL,
        attention_mask=packed.mask_B1LL,
        position_ids=packed.positions_BL,
        use_cache=False,
        **{loaded.spec.argument: emb_BND},
        **companions,
    ).last_hidden_state
    logits_TV = model.get_output_embeddings()(hidden_BLH.flatten(0, 1)[packed.predicts_T]).float()
    nll_T = F.cross_entropy(logits_TV, packed.target_T, reduction="none")
    cells = packed.ids_BL.shape[0] * packed.pairs
    counts = torch.bincount(packed.cell_T, minlength=cells)
    nll_BP = nll_T.new_zeros(cells).index_add(0, packed.cell_T, nll_T).div(counts).view(-1, packed.pairs)
    missed = (logits_TV.detach().argmax(-1) != packed.target_T).to(nll_T.dtype)
    hit_B = nll_T.new_zeros(cells).index_add(0, packed.cell_T, missed).view(-1, packed.pairs).sum(1) == 0
    return nll_BP, hit_B
