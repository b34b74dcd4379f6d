"""Why a row is set aside: what is wrong with it as it came, and what is wrong with what was extracted from it.

Belongs here: the reasons. They are of fixed wording and name ids at most, because they are printed and harmful text is
not. Does not belong here: mending a row.
"""

from __future__ import annotations

import dataclasses
import json
import re

from sea.console import SeaError
from sea.prepare.english import content_words, gerund, stem, words
from sea.prepare.extractors import Extraction
from sea.prepare.textsets import RawRow
from sea.records import KINDS, sha256

TEXTS = ("instruction", "chosen", "rejected")
# no text has these: they come from binary data; half of a surrogate pair cannot be written as UTF-8 at all
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def row_digest(row: RawRow) -> str:
    """Digest of everything a row holds; what most sets' rows do not have counts only where it is there."""
    optional = ("medium", "fault")
    values = {n: v for n, v in dataclasses.asdict(row).items() if v is not None or n not in optional}
    return sha256(json.dumps(values).encode())


def wrong_with_row(row: RawRow, max_chars: int) -> str | None:
    """Why the row cannot be used, by itself; None when it can."""
    if row.fault is not None:
        return row.fault
    texts = [name for name in TEXTS if getattr(row, name) is not None]
    for name in texts:
        text = getattr(row, name)
        if not text.strip():
            return f"{name} is blank"
        if len(text) > max_chars:
            return f"{name} is longer than max_chars={max_chars}"
    for name in (*texts, "category", "provenance"):
        if _CONTROL.search(getattr(row, name)):
            return f"{name} has control characters"
    return None


class Repeats:
    """Rows that came before. Holds two digests a row, not the rows: 100,000 rows take about 30 MB."""

    def __init__(self) -> None:
        self._row_of: dict[str, bytes] = {}
        self._asked_by: dict[bytes, str] = {}

    def wrong_with(self, row: RawRow) -> str | None:
        """Why the row repeats an earlier one; None when it is new.

        Raises:
            SeaError: another row with other content has its id, or the id can name nothing.
        """
        if not row.id.strip() or _CONTROL.search(row.id):
            raise SeaError(
                f"row {len(self._row_of) + 1} of the text set has a blank id, or one with control characters: "
                "later stages name rows by it. Give each row of the text set an id of its own"
            )
        own = bytes.fromhex(row_digest(dataclasses.replace(row, provenance="")))[:16]
        first = self._row_of.setdefault(row.id, own)
        if first != own:
            raise SeaError(
                f"two different rows have the id {row.id}: later stages could not tell them apart. "
                "Give each row of the text set an id of its own"
            )
        question = " ".join(row.instruction.split()).casefold() + ("" if row.medium is None else f"\0{row.medium}")
        asked = bytes.fromhex(sha256(question.encode("utf-8", "surrogatepass")))[:16]
        if asked in self._asked_by:
            earlier = self._asked_by[asked]
            return f"duplicate of {earlier}" if earlier == row.id else f"same instruction as {earlier}"
        self._asked_by[asked] = row.id
        return None


def wrong_with_extraction(instruction: str, found: Extraction) -> str | None:
    """Why what was extracted cannot be used; None when it can, or when there is no phrase and the row stays text."""
    if found.phrase is None:
        return None
    if found.kind not in KINDS:
        return "kind is neither activity nor product"
    if not content_words(found.phrase):
        return "phrase has no content"
    if not found.sentence or not found.detoxified:
        return "sentence or detoxified instruction is missing"
    if _CONTROL.search(found.phrase + found.sentence + found.detoxified):
        return "what was extracted has control characters"
    phrase = words(found.phrase)
    if not _contains(words(instruction), phrase):
        return "phrase does not occur in the instruction"
    if _contains(words(found.detoxified), phrase):
        return "detoxified instruction still contains the phrase"
    said = set(words(found.sentence))
    stems = {stem(word) for word in said}
    if any(stem(word) not in stems and gerund(word) not in said for word in content_words(found.phrase)):
        return "sentence does not mention the words of the phrase"
    return None


def _contains(text: list[str], phrase: list[str]) -> bool:
    """Whether the words of `phrase` stand in `text` in a row."""
    return any(text[i : i + len(phrase)] == phrase for i in range(len(text) - len(phrase) + 1))
