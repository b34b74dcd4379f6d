"""Text safety sets: one file each, with a function `read(**args) -> Iterator[RawRow]`, found by its name.

Belongs here: what a reader gives, and how it is found. A new set is a file beside this one and
`conf/textset/<name>.yaml`; there is no list to edit. A reader yields rows as they are: `checks.py` sets the bad ones
aside.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from sea.components import build, find


@dataclass(frozen=True)
class RawRow:
    """One row of a text safety set, in its own words."""

    id: str
    instruction: str
    chosen: str
    rejected: str
    harmful: bool
    category: str
    provenance: str  # where it came from: file and row, or builtin


def read(reader: str, args: dict[str, Any]) -> Iterator[RawRow]:
    """The rows of a set, by `sea/prepare/textsets/<reader>.py`.

    Raises:
        SeaError: there is none of that name, or it takes no such args; the valid ones are listed.
    """
    return cast("Iterator[RawRow]", build(find(__name__, reader, "read", "textset.reader"), args, "textset.args"))
