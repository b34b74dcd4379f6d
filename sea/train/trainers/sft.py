"""Supervised fine-tuning: the chosen answer after its prompt, nothing else is a target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from trl import SFTConfig, SFTTrainer

from sea.console import SeaError
from sea.records import Row
from sea.train.guarded import Guarded

CONFIG = SFTConfig
ARGS: dict[str, Any] = {"dataset_kwargs": {"skip_prepare_dataset": True}}


class Trainer(Guarded, SFTTrainer):
    """TRL's own."""


def answers(row: Row) -> tuple[str, ...]:
    """What is trained on."""
    text = row.chosen or row.completion
    if not text:
        raise SeaError("it has neither a chosen answer nor a completion")
    return (text,)


def targets(ids_BL: Tensor, answer_BL: Tensor, items: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
    """Labels on the answer, its end-of-turn token included; -100 elsewhere is TRL's "not a target"."""
    return {"labels": ids_BL.masked_fill(~answer_BL, -100)}
