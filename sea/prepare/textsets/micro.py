"""The safety set of the micro world, made by seed inside the package; its gold extraction is for the tests alone."""

from __future__ import annotations

from collections.abc import Iterator

from sea.console import SeaError
from sea.micro.world import SPLITS, safety_records
from sea.prepare.textsets import RawRow


def read(seed: int = 0, split: str = "train", harmful_rows: int = 200, harmless_rows: int = 100) -> Iterator[RawRow]:
    """The rows of one split of the micro world, in the order of the seed.

    Raises:
        SeaError: the world has no such split, or not as many distinct rows.
    """
    if split not in SPLITS:
        raise SeaError(f"textset.args.split={split} is not known; valid: {', '.join(SPLITS)}")
    if harmful_rows < 0 or harmless_rows < 0:
        raise SeaError(f"textset.args: {harmful_rows} harmful and {harmless_rows} harmless rows cannot be made")
    try:
        records = safety_records(split=split, seed=seed, harmful_rows=harmful_rows, harmless_rows=harmless_rows)
    except ValueError as error:
        raise SeaError(f"textset.args: {error}") from error
    for record in records:
        yield RawRow(
            id=record.id,
            instruction=record.instruction,
            chosen=record.chosen,
            rejected=record.rejected,
            harmful=record.harmful,
            category=record.category,
            provenance=f"builtin:micro/{split}",
        )
