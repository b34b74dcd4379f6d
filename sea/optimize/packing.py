"""Packing: every pair of a sample in one sequence, the slot encoded once, the text before it kept as keys and values.

Per sample the sequence is `[prefix, slot, Q_1 A_1, Q_2 A_2, ...]`. A block mask hides the pairs from each other and
positions restart at the slot's end, so each pair sees just what it would see alone: the packed loss and its gradient
equal those of separate forwards (tests/models/test_contract.py). DESIGN section 4.

E reaches nothing before the slot, so the text there is the same in every step of every sample: its keys and values are
computed once, and the sequence starts after it.

Shape suffixes: B samples, L packed tokens, C tokens kept as keys and values (K = C + L), P pairs per sample, R counts
of a position, T answer tokens of the whole batch, A heads, D width of a head.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import DynamicCache

from sea.console import SeaError, names
from sea.models.load import Loaded
from sea.models.splice import core
from sea.models.wire import Encoded, spread
from sea.optimize.targets import Problem

SHARED, PADDING = 0, -1  # segments: 0 is prefix and slot, p is the p-th pair
WORTH_KEEPING = 8  # tokens before the slot; fewer would save little, and every layer joins two tensors for it
LAYER_TYPES = {"full_attention", "sliding_attention"}


@dataclass(frozen=True)
class Packed:
    """A batch of packed sequences on the model's device."""

    ids_BL: Tensor
    kept: Kept | None  # what comes before ids_BL
    positions_RBL: Tensor  # R: 1, or 3 for models that count time, height and width (m-rope)
    beside: dict[str, Tensor]  # what goes with E: companions of all samples, and what marks the slots' tokens
    mask: Tensor | dict[str, Tensor]  # (B, 1, L, K); one by kind of layer for models with several kinds
    predicts_T: Tensor  # index into the flattened (B, L): the place whose logits predict an answer token
    target_T: Tensor
    cell_T: Tensor  # index into the flattened (B, P): the pair that the token belongs to
    tokens_BP: Tensor  # answer tokens of each pair


@dataclass(frozen=True)
class Kept:
    """The text before the slot as the language model's layers keep it: keys and values, each (1, A, C, D)."""

    layers: list[tuple[Tensor, Tensor]]

    def past(self, count: int) -> DynamicCache:
        """A cache that holds it for `count` samples: a new one for each forward, which writes into it."""
        cache = DynamicCache()
        for place, layer in enumerate(self.layers):
            keys_BACD, values_BACD = (part.expand(count, -1, -1, -1) for part in layer)
            cache.update(keys_BACD, values_BACD, place)
        return cache


class Packer:
    """Packs problems about media of one size and layout.

    Args:
        loaded: the model, for its masks, positions and padding token.
        start: what every embedding starts from: the companions are its.
        worth_keeping: the text before the slot is kept as keys and values if it is this many tokens or more; None:
            never.
        multiple: what a place may see is padded to a multiple of so many tokens; None: as the device's kernels want it.

    Raises:
        SeaError: the model's layers look at the sequence in a way that the packed masks do not have.
    """

    def __init__(
        self, loaded: Loaded, start: Encoded, worth_keeping: int | None = WORTH_KEEPING, multiple: int | None = None
    ) -> None:
        self.loaded, self.start, self.device = loaded, start, loaded.device
        self.worth_keeping = worth_keeping
        self.multiple = multiple or (
            8 if self.device.type == "cuda" else 1
        )  # fused attention wants its masks in eights
        model: Any = loaded.model
        text = model.config.get_text_config()
        self.window: int | None = getattr(text, "sliding_window", None)
        alone = "full_attention" if self.window is None else "sliding_attention"  # of models that do not list them
        self.layers: set[str] = set(getattr(text, "layer_types", None) or [alone])
        if not self.layers <= LAYER_TYPES:
            raise SeaError(
                f"{loaded.name} has layers of type {names(self.layers - LAYER_TYPES)}: the packed objective knows the "
                f"masks of {names(LAYER_TYPES)}"
            )
        self.additive = loaded.dtype if text._attn_implementation == "eager" else None
        pad = loaded.processor.tokenizer.pad_token_id
        self.pad_id = pad if pad is not None else 0
        self._shared: dict[tuple[int, ...], Tensor] = {}
        self._kept: dict[tuple[int, ...], Kept] = {}

    def __call__(self, problems: Sequence[Problem]) -> Packed:
        """Pack a batch: at least one problem, all with the same number of pairs."""
        skipped = self._text_before_slot(problems)
        longest, pairs = max(p.length for p in problems), len(problems[0].pairs)
        width = -(-longest // self.multiple) * self.multiple - skipped
        ids, segments, places, positions = [], [], [], []
        predicts: list[int] = []
        target: list[int] = []
        cell: list[int] = []
        for row, problem in enumerate(problems):
            shared_RL = self._shared_positions(problem.prefix)
            shared = len(problem.prefix)
            row_ids = list(problem.prefix[skipped:])
            row_segments = [SHARED] * len(row_ids)
            row_places = list(range(skipped, shared))  # in the sequence that the pair would be in alone
            for index, pair in enumerate(problem.pairs):
                tokens = [*pair.suffix, *pair.answer[:-1]]  # nothing is predicted from the last one
                first = row * width + len(row_ids) + len(pair.suffix)
                predicts += range(first - 1, first - 1 + len(pair.answer))  # a token is predicted one place before it
                target += pair.answer
                cell += [row * pairs + index] * len(pair.answer)
                row_ids += tokens
                row_segments += [index + 1] * len(tokens)
                row_places += range(shared, shared + len(tokens))
            rest = width - len(row_ids)
            ids.append(row_ids + [self.pad_id] * rest)
            segments.append(row_segments + [PADDING] * rest)
            places.append(row_places + [0] * rest)
            # After the slot comes text alone, so positions go on by one in each of the R counts.
            after_1L = torch.tensor(places[-1][shared - skipped :])[None] - shared
            positions.append(torch.cat([shared_RL[:, skipped:-1], shared_RL[:, -1:] + after_1L], dim=1))
        ids_BL = torch.tensor(ids, device=self.device)
        companions = spread(self.loaded.spec, self.start.companions, len(problems))
        return Packed(
            ids_BL=ids_BL,
            kept=self._keep(problems[0].prefix[:skipped]) if skipped else None,
            beside={
                **{name: value.to(self.device) for name, value in companions.items()},
                **self.loaded.token_types(ids_BL),
            },
            positions_RBL=torch.stack(positions, dim=1).to(self.device),
            mask=self._masks(
                ids_BL, torch.tensor(segments, device=self.device), torch.tensor(places, device=self.device), skipped
            ),
            predicts_T=torch.tensor(predicts, device=self.device),
            target_T=torch.tensor(target, device=self.device),
            cell_T=torch.tensor(cell, device=self.device),
            tokens_BP=torch.tensor([[len(pair.answer) for pair in p.pairs] for p in problems], device=self.device),
        )

    def _text_before_slot(self, problems: Sequence[Problem]) -> int:
        """How many tokens before the slot need not be computed again: those of all samples, or none."""
        prefix = problems[0].prefix
        count = prefix.index(self.loaded.chat.token_id)
        alike = all(problem.prefix[:count] == prefix[:count] for problem in problems)
        return count if self.worth_keeping is not None and count >= self.worth_keeping and alike else 0

    def _keep(self, text: tuple[int, ...]) -> Kept:
        """Keys and values of the text before the slot, by the model's own forward."""
        if text not in self._kept:
            ids_1L = torch.tensor([text], device=self.device)
            model: Any = self.loaded.model
            # Not the model's own kind of cache: where a layer has a window that one forgets, which masks here do.
            cache = DynamicCache()
            with torch.no_grad():
                model(input_ids=ids_1L, past_key_values=cache, use_cache=True, **self.loaded.token_types(ids_1L))
            self._kept[text] = Kept([(layer.keys, layer.values) for layer in cache.layers])
        return self._kept[text]

    def _shared_positions(self, prefix: tuple[int, ...]) -> Tensor:
        """(R, L + 1) positions of prefix and slot, which a run's samples share, and of the text token after them.

        By the model's own rule if it has one: where text goes on after a clip is not always one past the largest.
        """
        if prefix not in self._shared:
            rule = getattr(core(self.loaded.model), "compute_3d_position_ids", None)
            positions_RL = torch.arange(len(prefix) + 1)[None]
            if rule is not None:
                ids_1L = torch.tensor([[*prefix, self.pad_id]])  # on the CPU: such rules ask for numbers one by one
                companions = spread(self.loaded.spec, self.start.companions, 1)
                given = {**companions, **self.loaded.token_types(ids_1L)}
                given |= {"input_ids": ids_1L, "attention_mask": torch.ones_like(ids_1L)}
                positions_RL = rule(**{name: given.get(name) for name in inspect.signature(rule).parameters})[:, 0]
            self._shared[prefix] = positions_RL
        return self._shared[prefix]

    def _masks(self, ids_BL: Tensor, segments_BL: Tensor, places_BL: Tensor, kept: int) -> Tensor | dict[str, Tensor]:
        """Which place may see which: causal, only the shared part and the own pair, and what its layers allow.

        Args:
            kept: tokens before the sequence, which every place sees unless a window ends after them.
        """
        width = segments_BL.shape[1]
        query_BL1, key_B1L = segments_BL[:, :, None], segments_BL[:, None, :]
        causal_LL = torch.ones(width, width, dtype=torch.bool, device=segments_BL.device).tril()
        # Padding has a segment of its own and so sees itself: a softmax over nothing would be NaN.
        own_BLL = (key_B1L == SHARED) | (key_B1L == query_BL1)
        seen_BLL = causal_LL & own_BLL
        in_slot_BL = ids_BL == self.loaded.chat.token_id
        run_BL = (~in_slot_BL).cumsum(1)  # the same in slot tokens that follow each other: a frame, or the whole medium
        each_other_BLL = in_slot_BL[:, :, None] & in_slot_BL[:, None, :] & (run_BL[:, :, None] == run_BL[:, None, :])
        both_ways = self.loaded.spec.slot_sees_itself(core(self.loaded.model).config)
        masks = {}
        for kind in self.layers:
            mask_BLL = seen_BLL | each_other_BLL if kind in both_ways else seen_BLL
            mask_BLK = F.pad(mask_BLL, (kept, 0), value=True)
            if kind == "sliding_attention" and self.window is not None:
                before_BC = torch.arange(kept, device=places_BL.device).expand(len(places_BL), -1)
                key_BK = torch.cat([before_BC, places_BL], dim=1)
                near_BLK = places_BL[:, :, None] - key_BK[:, None, :] < self.window
                mask_BLK = mask_BLK & near_BLK
            masks[kind] = self._as_taken(mask_BLK[:, None])
        return masks if len(masks) > 1 else next(iter(masks.values()))

    def _as_taken(self, mask_B1LK: Tensor) -> Tensor:
        if self.additive is None:
            return mask_B1LK
        zeros_B1LK = torch.zeros(mask_B1LK.shape, dtype=self.additive, device=mask_B1LK.device)
        return zeros_B1LK.masked_fill(~mask_B1LK, torch.finfo(self.additive).min)
