"""From a text sample to what its embedding must make the model say: a content and a style pair, as token ids."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from sea.config import WordingConfig
from sea.console import SeaError, names
from sea.models.chat import split_at_slot
from sea.models.load import Loaded
from sea.records import KINDS, Sample


class UnusableError(Exception):
    """A sample that cannot be optimised, with the reason: it is set aside and the run goes on."""


@dataclass(frozen=True)
class Pair:
    """One question about the embedding and its target.

    Attributes:
        name: `content` or `style`.
        suffix: ids between the slot and the answer: the question and the start of the model's turn.
        answer: ids of the target, end-of-turn token included.
    """

    name: str
    suffix: tuple[int, ...]
    answer: tuple[int, ...]


@dataclass(frozen=True)
class Problem:
    """One sample's optimisation problem: the shared prompt up to the end of the slot, and the pairs after it."""

    sample: Sample
    prefix: tuple[int, ...]
    pairs: tuple[Pair, ...]

    @property
    def length(self) -> int:
        """Tokens of the packed sequence: an answer's last token is predicted, and nothing from it."""
        return len(self.prefix) + sum(len(pair.suffix) + len(pair.answer) - 1 for pair in self.pairs)


def question_answers(sample: Sample, wording: WordingConfig, seed: int) -> list[tuple[str, str, str]]:
    """(pair name, question, target) of a sample: METHOD section 1.

    The style is drawn by seed and id, so that it does not depend on the order or the number of samples.

    Raises:
        UnusableError: the sample lacks what the wording needs.
    """
    if sample.kind not in KINDS:
        raise UnusableError(f"kind is {sample.kind!r}; valid: {names(KINDS)}")
    for field in ("phrase", "sentence"):
        if not (getattr(sample, field) or "").strip():
            raise UnusableError(f"{field} is empty")
    content = getattr(wording.content, sample.kind)
    draw = int.from_bytes(hashlib.sha256(f"{seed} {sample.id}".encode()).digest()[:8])
    style = wording.styles[draw % len(wording.styles)]
    return [
        ("content", content.question, content.answer.format(sentence=sample.sentence)),
        ("style", wording.style.question, wording.style.answer.format(style=style)),
    ]


def build(sample: Sample, wording: WordingConfig, seed: int, loaded: Loaded, slot: str) -> Problem:
    """The packed problem of one sample.

    Raises:
        UnusableError: it lacks a phrase, holds a placeholder token, or is longer than the model's context.
    """
    prefix: tuple[int, ...] | None = None
    pairs = []
    for name, question, target in question_answers(sample, wording, seed):
        try:
            prompt = loaded.chat.prompt(question, slot)
            answer = loaded.chat.answer(question, target, slot)
        except (SeaError, UnicodeError) as error:  # half of a surrogate pair is JSON, and no text
            raise UnusableError(str(error)) from error
        before, suffix = split_at_slot(prompt, loaded.chat.token_id)
        if prefix is not None and tuple(before) != prefix:
            raise UnusableError("the chat template writes the question before the medium, so the pairs share no prefix")
        prefix = tuple(before)
        needed = len(prompt) + len(answer)
        if needed > loaded.context:  # positions restart for every pair, so each counts on its own
            raise UnusableError(f"the {name} pair is {needed} tokens long, the model's context holds {loaded.context}")
        pairs.append(Pair(name, tuple(suffix), tuple(answer)))
    assert prefix is not None  # question_answers never returns an empty list
    return Problem(sample, prefix, tuple(pairs))
