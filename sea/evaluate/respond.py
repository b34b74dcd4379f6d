"""Attacks -> responses: greedy answers in batches whose members are fixed beforehand.

Which items share a batch depends on the items and the batch size alone. So a batch that a kill cut off is answered
again as it was, and a resumed run equals an uninterrupted one byte for byte on one device.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from sea.console import SeaError, names
from sea.evaluate.benchmarks import Attack
from sea.models.generate import answer
from sea.models.load import Loaded
from sea.models.splice import Splice
from sea.models.wire import Encoded, groups
from sea.records import Response


def partition(attacks: Sequence[Attack], batch_size: int) -> list[list[Attack]]:
    """Batches of items of like length, text before media: padding is wasted work.

    Length is counted in characters, so that the batches are known without the model.
    """
    batches = []
    for with_medium in (False, True):
        group = [attack for attack in attacks if (attack.medium is not None) == with_medium]
        group.sort(key=lambda attack: (len(attack.text), attack.id))
        batches += [group[i : i + batch_size] for i in range(0, len(group), batch_size)]
    return batches


def check_modality(loaded: Loaded, attacks: Sequence[Attack]) -> None:
    """Refuse a benchmark whose media are not what the model is loaded for.

    Raises:
        SeaError: another modality.
    """
    wanted = {attack.modality for attack in attacks if attack.modality is not None}
    if wanted - {loaded.modality}:
        raise SeaError(
            f"the benchmark's media are of {names(wanted)}, {loaded.name} is to read {loaded.modality}: "
            f"type +model=NAME of one that reads it, or another benchmark=..."
        )


def respond(
    loaded: Loaded, batches: Sequence[Sequence[Attack]], benchmark: str, max_new_tokens: int, settings: str = ""
) -> Iterator[list[Response]]:
    """Answer batch after batch; one response per item, in its batch's order.

    Args:
        batches: of `partition`: items with media and items without do not mix.
        benchmark: name written into the responses.
        max_new_tokens: length limit of a response, in tokens.
        settings: hash of the generation settings, written into the responses.

    Raises:
        SeaError: the model reads another modality, or the memory does not hold a batch.
    """
    check_modality(loaded, [attack for batch in batches for attack in batch])
    splice = Splice(loaded.model, loaded.family)
    for batch in batches:
        try:
            answers, errors = _answer(loaded, splice, batch, max_new_tokens)
        except torch.OutOfMemoryError as error:
            raise SeaError(
                f"out of memory on {len(batch)} items side by side ({str(error).splitlines()[0]}). "
                f"What was finished is kept under this name; type batch_size={max(1, len(batch) // 2)} under a new one"
            ) from error
        yield [
            Response(
                id=attack.id,
                benchmark=benchmark,
                scenario=attack.scenario,
                task=attack.task,
                harmful=attack.harmful,
                twin_of=attack.twin_of,
                response=answers.get(attack.id, ""),
                settings=settings,
                error=errors.get(attack.id),
            )
            for attack in batch
        ]


def _answer(
    loaded: Loaded, splice: Splice, batch: Sequence[Attack], max_new_tokens: int
) -> tuple[dict[str, str], dict[str, str]]:
    """Answers by id, and by id why the others have none."""
    errors: dict[str, str] = {}
    encoded = _encode(loaded, batch, errors)
    prompts: dict[str, list[int]] = {}
    for attack in batch:
        if attack.id in errors:
            continue
        medium = encoded.get(attack.id)
        try:
            prompt = loaded.chat.prompt(attack.text, None if medium is None else medium.slot)
        except SeaError as error:
            errors[attack.id] = str(error)
            continue
        if len(prompt) + max_new_tokens > loaded.context:
            needed = f"{len(prompt)} tokens and max_new_tokens={max_new_tokens}"
            errors[attack.id] = f"too long: {needed}, the model's context holds {loaded.context}"
        else:
            prompts[attack.id] = prompt
    if not prompts:
        return {}, errors
    ids = list(prompts)
    if not encoded:
        return dict(zip(ids, answer(loaded, list(prompts.values()), {}, max_new_tokens), strict=True)), errors
    answers: dict[str, str] = {}
    for places in groups(loaded.spec, [encoded[i] for i in ids]):
        alike = [ids[place] for place in places]
        with splice:
            media = loaded.media([encoded[i] for i in alike])
            texts = answer(loaded, [prompts[i] for i in alike], media, max_new_tokens)
        answers |= dict(zip(alike, texts, strict=True))
    return answers, errors


def _encode(loaded: Loaded, batch: Sequence[Attack], errors: dict[str, str]) -> dict[str, Encoded]:
    """E of every medium of the batch that can be made; why another cannot goes to `errors`."""
    media: dict[str, Any] = {}
    for attack in batch:
        if attack.medium is not None:
            try:
                media[attack.id] = attack.medium()
            except Exception as error:  # files of others are damaged in any way there is
                errors[attack.id] = f"the medium cannot be read: {type(error).__name__}: {error}"
    if not media:
        return {}
    try:
        return dict(zip(media, loaded.encode(list(media.values())), strict=True))
    except torch.OutOfMemoryError:
        raise
    except Exception:  # one of them: which, shows when each is tried alone
        return _encode_one_by_one(loaded, media, errors)


def _encode_one_by_one(loaded: Loaded, media: dict[str, Any], errors: dict[str, str]) -> dict[str, Encoded]:
    encoded: dict[str, Encoded] = {}
    for item, medium in media.items():
        try:
            (encoded[item],) = loaded.encode([medium])
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            errors[item] = f"the medium cannot be processed: {type(error).__name__}: {error}"
    return encoded
