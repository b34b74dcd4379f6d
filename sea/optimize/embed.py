"""The stage as a function, free of files: samples in, verified embeddings out, as they are finished.

Belongs here: the order of the work (start, problems, loop, verification, records). What a step means is in its file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from sea.config import OptimizeConfig
from sea.console import SeaError
from sea.models.load import Loaded
from sea.models.splice import Splice
from sea.models.wire import Encoded
from sea.optimize.loop import Loop, Outcome, StepReport
from sea.optimize.starts import Earlier, initial
from sea.optimize.targets import Problem, UnusableError, build
from sea.optimize.verify import ask, check_questions, verified
from sea.records import Embedding, Reject, Sample


@dataclass(frozen=True)
class Results:
    """Samples that ended since the last report: embeddings with their tensors, verified; and those set aside."""

    embeddings: list[tuple[Embedding, dict[str, Tensor]]]
    rejects: list[Reject]


def optimize(
    loaded: Loaded,
    samples: Sequence[Sample],
    settings: OptimizeConfig,
    observe: Callable[[StepReport], None] = lambda report: None,
    earlier: Earlier | None = None,
) -> Iterator[Results]:
    """Optimise one embedding per sample and verify it by held-out questions.

    Args:
        loaded: a model from `sea.models.load.load`; frozen, and whenever results are yielded it is as it was.
        samples: those with a phrase; others are set aside with the reason.
        settings: `wording`, `optim`, `seed`, `flush_every` and `max_new_tokens` are read.
        observe: called after every optimisation step.
        earlier: the store that `settings.optim.start` takes its starts from; None: it starts at the blank input.

    Yields:
        Results of about `flush_every` samples each, in the order in which they end. The tensors are `embedding` (in the
        model's dtype) and the companions of the modality. An interruption first yields what is finished.

    Raises:
        SeaError: the model or the wording cannot work, or not even one sample fits into memory.
    """
    start = loaded.blank()
    check_questions(loaded, start.slot, settings.wording, settings.max_new_tokens)
    begin = initial(settings, start, earlier)
    problems, unusable = problems_of(loaded, samples, settings, start.slot)
    if unusable:
        yield Results([], unusable)

    def finish(outcomes: list[Outcome]) -> Results:
        rejects = [Reject(o.problem.sample.id, o.failure) for o in outcomes if o.failure is not None]
        return Results(_verify(loaded, [o for o in outcomes if o.failure is None], start, settings), rejects)

    ended: list[Outcome] = []
    try:
        for outcome in Loop(loaded, problems, start, settings.optim, observe, begin):
            ended.append(outcome)
            if len(ended) >= settings.flush_every:
                results = finish(ended)
                ended = []  # not before: an interruption of the questions must not lose what they are about
                yield results
    except (KeyboardInterrupt, SeaError):
        if ended:  # what is finished is not lost
            yield finish(ended)
        raise
    if ended:
        yield finish(ended)


def problems_of(
    loaded: Loaded, samples: Sequence[Sample], settings: OptimizeConfig, slot: str
) -> tuple[list[Problem], list[Reject]]:
    """What the loop is to optimise, in its order, and the samples that it cannot.

    Args:
        slot: what stands for the medium in a prompt.
    """
    problems: list[Problem] = []
    unusable: list[Reject] = []
    for sample in samples:
        try:
            problems.append(build(sample, settings.wording, settings.seed, loaded, slot))
        except UnusableError as error:
            unusable.append(Reject(sample.id, str(error)))
    problems.sort(key=lambda problem: (problem.length, problem.sample.id))  # like lengths together: less padding
    return problems, unusable


def _verify(
    loaded: Loaded, outcomes: list[Outcome], start: Encoded, settings: OptimizeConfig
) -> list[tuple[Embedding, dict[str, Tensor]]]:
    """Ask the held-out questions about the embeddings as they will be stored, and write their records."""
    if not outcomes:
        return []
    items = [Encoded(outcome.emb, start.companions) for outcome in outcomes]
    started = time.perf_counter()
    with Splice(loaded.model, loaded.family):
        answers = ask(
            loaded,
            [outcome.problem.sample for outcome in outcomes],
            items,
            settings.wording,
            settings.max_new_tokens,
            settings.optim.batch_size,
        )
    asking = (time.perf_counter() - started) / len(outcomes)
    return [
        (
            Embedding(
                id=outcome.problem.sample.id,
                shard="",  # shard, key, hash, shape and dtype are the store's to fill in
                key="",
                sha256="",
                shape=[],
                dtype="",
                companions=[],
                modality=loaded.modality,
                source="synthetic",
                losses=outcome.losses,
                steps=outcome.steps,
                seconds=round(outcome.seconds + asking, 4),
                hit=outcome.hit,
                margin_reached=outcome.margin_reached,
                verified=verified(given),
                answers=given,
                seed=settings.seed,
                model=loaded.checkpoint.id,
                revision=loaded.checkpoint.revision,
            ),
            item.tensors,
        )
        for outcome, item, given in zip(outcomes, items, answers, strict=True)
    ]
