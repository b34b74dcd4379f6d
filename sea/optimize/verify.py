"""Does the model itself read the phrase in an embedding? Held-out questions, greedy answers, a normalised match.

Three wording sets are disjoint: `content` is optimised, `verify` filters, `audit` is only reported
(VSR, METHOD section 1).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

import snowballstemmer
import torch

from sea.config import WordingConfig
from sea.console import SeaError
from sea.models.generate import answer
from sea.models.load import Loaded
from sea.models.wire import Encoded
from sea.records import KINDS, Answer, Sample

ARTICLES = {"a", "an", "the"}


@functools.lru_cache(maxsize=65536)
def _stem(word: str) -> str:
    return str(snowballstemmer.stemmer("english").stemWord(word))


def normalised(text: str) -> list[str]:
    """Lower-case word stems without articles: "hacking into a database" and "hack into databases" agree."""
    words = re.findall(r"[^\W_]+(?:'[^\W_]+)*", text.lower())
    return [_stem(word) for word in words if word not in ARTICLES]


def states_phrase(phrase: str, text: str) -> bool:
    """Whether the words of `phrase` stand in `text`, together and in order, after normalisation."""
    wanted, found = normalised(phrase), normalised(text)
    return bool(wanted) and any(found[i : i + len(wanted)] == wanted for i in range(len(found) - len(wanted) + 1))


def questions(kind: str, wording: WordingConfig) -> list[tuple[str, str]]:
    """(name, question) of every held-out wording: `verify:0`, ..., `audit:0`, ..."""
    return [
        (f"{group}:{index}", getattr(text, kind))
        for group in ("verify", "audit")
        for index, text in enumerate(getattr(wording, group))
    ]


def check_questions(loaded: Loaded, slot: str, wording: WordingConfig, max_new_tokens: int) -> None:
    """Refuse questions that cannot be put to the model, before anything is spent on the embeddings.

    Raises:
        SeaError: a question holds a special token, or question and answer are longer than the model's context.
    """
    for kind in KINDS:
        for name, question in questions(kind, wording):
            try:
                needed = len(loaded.chat.prompt(question, slot)) + max_new_tokens
            except SeaError as error:
                raise SeaError(f"wording.{name.replace(':', '.')} ({kind}): {error}") from error
            if needed > loaded.context:
                raise SeaError(
                    f"wording.{name.replace(':', '.')} ({kind}) and max_new_tokens={max_new_tokens} need {needed} "
                    f"tokens, the model's context holds {loaded.context}"
                )


def ask(
    loaded: Loaded,
    samples: Sequence[Sample],
    items: Sequence[Encoded],
    wording: WordingConfig,
    max_new_tokens: int,
    batch_size: int,
) -> list[list[Answer]]:
    """Put every held-out question to every embedding (the stored values); the splice must be installed.

    Args:
        items: the embedding of each sample as the store will hold it.
        batch_size: prompts answered side by side; halves by itself when memory runs out.

    Returns:
        The answers of each sample, in the order of `questions`.
    """
    jobs = [
        (place, name, question)
        for place, sample in enumerate(samples)
        for name, question in questions(str(sample.kind), wording)
    ]
    answers: list[list[Answer]] = [[] for _ in samples]
    done = 0
    while done < len(jobs):
        chunk = jobs[done : done + batch_size]
        prompts = [loaded.chat.prompt(question, items[place].slot) for place, _, question in chunk]
        media = loaded.media([items[place] for place, _, _ in chunk])
        try:
            texts = answer(loaded, prompts, media, max_new_tokens)
        except torch.OutOfMemoryError as error:
            if len(chunk) == 1:
                raise SeaError(f"out of memory on a single prompt ({str(error).splitlines()[0]})") from error
            batch_size = len(chunk) // 2
            continue
        done += len(chunk)
        for (place, name, question), text in zip(chunk, texts, strict=True):
            phrase = str(samples[place].phrase)
            answers[place].append(Answer(name, question, phrase, text, states_phrase(phrase, text)))
    return answers


def verified(answers: Sequence[Answer]) -> bool:
    """The filter: every verify wording got the phrase. The audit wordings have no say in it."""
    return all(a.states_phrase for a in answers if a.wording.startswith("verify:"))
