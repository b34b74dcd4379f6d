"""From (question, answer, E or nothing) to tensors, the answer loss, and greedy decoding in batches.

Belongs here: what training and `check.py` share. Shape suffixes: B rows, T tokens, N rows of E, D encoder width,
H language-model width, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedTokenizerFast

from sea.micro.checkpoint import prompt_text
from sea.micro.modality import IMAGE, Modality

IGNORED = -100


@torch.no_grad()
def encode(model: Any, stored: Tensor, modality: Modality = IMAGE, chunk: int = 256) -> Tensor:
    """Encoder output E, (B, N, D) or (B, T, N, D), of scenes in the form that a pool holds."""
    return torch.cat([modality.encode(model, modality.inputs(part)) for part in torch.split(stored, chunk)])


@dataclass
class Encoder:
    """Token ids of prompts and answers, remembered: the same few thousand sentences return in every batch."""

    tokenizer: PreTrainedTokenizerFast
    modality: Modality = IMAGE
    known: dict[str, list[int]] = field(default_factory=dict)

    @property
    def placeholder(self) -> int:
        """Id of the token that stands for one row of a medium."""
        return int(self.tokenizer.convert_tokens_to_ids(self.modality.placeholder))

    def ids(self, text: str) -> list[int]:
        """Ids of a text as it stands."""
        if text not in self.known:
            self.known[text] = self.tokenizer(text).input_ids
        return self.known[text]

    def prompt(self, question: str, with_medium: bool) -> list[int]:
        """Ids of everything before the answer."""
        return self.ids(prompt_text(question, with_medium, self.modality))

    def answer(self, text: str) -> list[int]:
        """Ids of the answer with its end-of-turn token."""
        return [*self.ids(f" {text}"), self.tokenizer.eos_token_id]


@dataclass
class Batch:
    """Rows padded on the right; labels are the answer tokens alone. `features`: E of the rows that have a medium."""

    ids_BT: Tensor
    mask_BT: Tensor
    labels_BT: Tensor
    features: Tensor | None


def collate(encoder: Encoder, rows: Sequence[tuple[str, str, Tensor | None]]) -> Batch:
    """Rows of (question, answer, features or None)."""
    prompts = [encoder.prompt(question, features is not None) for question, _, features in rows]
    answers = [encoder.answer(answer) for _, answer, _ in rows]
    width = max(len(p) + len(a) for p, a in zip(prompts, answers, strict=True))
    ids_BT = torch.full((len(rows), width), encoder.tokenizer.pad_token_id)
    labels_BT = torch.full((len(rows), width), IGNORED)
    mask_BT = torch.zeros((len(rows), width), dtype=torch.long)
    for row, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        end = len(prompt) + len(answer)
        ids_BT[row, :end] = torch.tensor(prompt + answer)
        labels_BT[row, len(prompt) : end] = torch.tensor(answer)
        mask_BT[row, :end] = 1
    pictured = [features for _, _, features in rows if features is not None]
    return Batch(ids_BT, mask_BT, labels_BT, torch.stack(pictured) if pictured else None)


def _embed(model: Any, modality: Modality, placeholder: int, ids_BT: Tensor, features: Tensor | None) -> Tensor:
    embeds_BTH: Tensor = model.get_input_embeddings()(ids_BT)
    if features is None:
        return embeds_BTH
    projected_BNH = modality.project(model, features)
    slot_BT1 = (ids_BT == placeholder).unsqueeze(-1)
    joined_BTH: Tensor = embeds_BTH.masked_scatter(slot_BT1, projected_BNH)
    return joined_BTH


def answer_loss(model: Any, encoder: Encoder, batch: Batch) -> Tensor:
    """Mean over rows of the token-mean loss of the answer. Only answer positions reach the LM head."""
    embeds_BTH = _embed(model, encoder.modality, encoder.placeholder, batch.ids_BT, batch.features)
    states_BTH = model.model.language_model(
        inputs_embeds=embeds_BTH, attention_mask=batch.mask_BT, use_cache=False
    ).last_hidden_state
    scored_BT = batch.labels_BT[:, 1:] != IGNORED
    loss = F.cross_entropy(
        model.lm_head(states_BTH[:, :-1][scored_BT]), batch.labels_BT[:, 1:][scored_BT], reduction="none"
    )
    weight_BT = scored_BT / scored_BT.sum(dim=1, keepdim=True)
    return (loss * weight_BT[scored_BT]).sum() / len(batch.ids_BT)


@torch.no_grad()
def greedy(
    model: Any,
    encoder: Encoder,
    questions: Sequence[str],
    features: Tensor | None = None,
    max_new_tokens: int = 40,
    chunk: int = 128,
) -> list[str]:
    """Greedy answers, padded on the left; equal to `model.generate`, without re-encoding media per question."""
    tokenizer, answers = encoder.tokenizer, []
    for start in range(0, len(questions), chunk):
        prompts = [encoder.prompt(q, features is not None) for q in questions[start : start + chunk]]
        width = max(map(len, prompts))
        padding = [width - len(prompt) for prompt in prompts]
        pad = tokenizer.pad_token_id
        ids_BT = torch.tensor([[pad] * gap + prompt for gap, prompt in zip(padding, prompts, strict=True)])
        mask_BT = torch.tensor([[0] * gap + [1] * (width - gap) for gap in padding])
        embeds = _embed(
            model,
            encoder.modality,
            encoder.placeholder,
            ids_BT,
            None if features is None else features[start : start + chunk],
        )
        position_BT = (mask_BT.cumsum(-1) - 1).clamp(min=0)
        done_B = torch.zeros(len(prompts), dtype=torch.bool)
        cache, said = None, []
        for _ in range(max_new_tokens):
            out = model.model.language_model(
                inputs_embeds=embeds,
                attention_mask=mask_BT,
                position_ids=position_BT,
                past_key_values=cache,
                use_cache=True,
            )
            cache = out.past_key_values
            next_B = model.lm_head(out.last_hidden_state[:, -1]).argmax(-1).masked_fill(done_B, pad)
            said.append(next_B)
            done_B |= next_B == tokenizer.eos_token_id
            if done_B.all():
                break
            embeds = model.get_input_embeddings()(next_B[:, None])
            mask_BT = torch.cat([mask_BT, torch.ones(len(prompts), 1, dtype=torch.long)], dim=1)
            position_BT = position_BT[:, -1:] + 1
        answers += [text.strip() for text in tokenizer.batch_decode(torch.stack(said, 1), skip_special_tokens=True)]
    return answers
