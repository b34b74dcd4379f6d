"""From rows to token ids, once, before training: the prompt with E's placeholders, and the answers after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sea.console import SeaError, names
from sea.models.load import Loaded
from sea.records import Row, from_dict, records_hash, sha256
from sea.train.embeddings import Embeddings

ROWS = "rows"


@dataclass(frozen=True)
class Example:
    """A row as ids.

    Attributes:
        prompt: the user's turn, placeholders expanded, up to where the model answers.
        answers: what is trained on (chosen; chosen and rejected), each up to its end-of-turn token.
    """

    row: Row
    prompt: tuple[int, ...]
    answers: tuple[tuple[int, ...], ...]

    @property
    def length(self) -> int:
        """Tokens of the longest sequence that the row makes."""
        return len(self.prompt) + max(map(len, self.answers))

    @property
    def content(self) -> str:
        """Digest of everything that a model computes about the row: ids, and E by its hash."""
        return sha256(f"{self.prompt} {self.answers} {self.row.embedding_sha256}".encode())


def read_rows(dataset: Path, recorded: str | None) -> list[Row]:
    """The rows of a dataset run, in order.

    Args:
        recorded: the content hash in the run's manifest.

    Raises:
        SeaError: the rows cannot be read, are none, or are not those that the manifest describes.
    """
    import datasets

    path = dataset / ROWS
    try:
        table = datasets.load_from_disk(str(path))
        rows = [from_dict(Row, values, f"{path}, row {number}") for number, values in enumerate(table)]
    except SeaError:
        raise
    except Exception as error:  # pyarrow and datasets raise a dozen types for a damaged file
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise SeaError(f"cannot read {path}: {lines[0]}. Make the dataset again: python -m sea.dataset ...") from error
    if not rows:
        raise SeaError(f"{path} holds no row: there is nothing to train on")
    if records_hash(rows) != recorded:
        raise SeaError(
            f"{path}: the rows are not those that its manifest describes: they were changed after the dataset was "
            "made. Make it again: python -m sea.dataset ..."
        )
    return rows


def encode(
    rows: Sequence[Row],
    loaded: Loaded,
    embeddings: Embeddings,
    answers: Callable[[Row], tuple[str, ...]],
    max_length: int | None,
) -> list[Example]:
    """Rows as ids, in their order.

    Args:
        answers: the texts of a row that a trainer trains on.
        max_length: the user's limit in tokens, if any; nothing is ever cut to it.

    Raises:
        SeaError: a row lacks what the trainer needs, is of another modality, cannot be written as a turn, or is longer
            than `max_length` or the model's context.
    """
    examples = []
    for row in rows:
        if row.modality is not None and row.modality != loaded.modality:
            raise SeaError(
                f"row {row.id} is about {row.modality}, the model was loaded to read {loaded.modality}: the dataset "
                "belongs to another model or modality"
            )
        slot = embeddings.slot(row)
        try:
            prompt = loaded.chat.prompt(row.prompt, slot)
            ids = tuple(tuple(loaded.chat.answer(row.prompt, text, slot)) for text in answers(row))
        except SeaError as error:
            raise SeaError(f"row {row.id}: {error}") from error
        examples.append(Example(row, tuple(prompt), ids))
    _refuse_long(examples, loaded.context, f"the context of {loaded.name} holds {loaded.context}: leave them out")
    if max_length is not None:
        need = max(example.length for example in examples)
        _refuse_long(
            examples,
            max_length,
            f"recipe.args.max_length={max_length} would cut slots or answers, and nothing is ever cut: "
            f"type recipe.args.max_length={need} or null",
        )
    return examples


def _refuse_long(examples: Sequence[Example], limit: int, why: str) -> None:
    if long := [example for example in examples if example.length > limit]:
        need = max(example.length for example in long)
        raise SeaError(
            f"{len(long)} rows are longer than {limit} tokens (up to {need}; "
            f"{names(e.row.id for e in long[:3])}): {why}"
        )
