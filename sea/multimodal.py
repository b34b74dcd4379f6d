"""Published multimodal sets: rows that ask about a medium of their own (VLGuard, SPA-VL, TRL's formats).

Two stages read such a set: prepare its texts, encode its media. Which row has which id is decided here alone, so that
the two agree. An id holds a digest of the row's texts where the set gives none: another file never fits by chance.
Belongs here: what a row means. Reading files is `tables.py`, finding a medium
`sources.py`, decoding it `media.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sea.console import SeaError, names
from sea.records import sha256
from sea.sources import media_column
from sea.tables import Table

_MARK = re.compile(r"\s*<(?:image|video|audio)>\s*")  # LLaVA-style: where the medium stands in the text


@dataclass(frozen=True)
class Item:
    """One question about one medium.

    Attributes:
        place: number of its row in the table, from 0.
        medium: what tells its medium from the others: a path, or the number of the row that holds its bytes; None: the
            row has no medium and is text.
        fault: why it can be no sample (the other texts may be empty then); None: it can.
    """

    id: str
    instruction: str
    chosen: str
    rejected: str | None  # None: the set has no answer to avoid
    harmful: bool
    category: str
    place: int
    medium: str | None
    fault: str | None = None


def vlguard(table: Table) -> Iterator[Item]:
    """VLGuard (arXiv 2402.02207): `train.json` of {id, image, safe, instr-resp, harmful_category if not safe}.

    A safe image is asked about twice, harmlessly (answered) and harmfully (refused); an unsafe image once (refused).
    There are no rejected answers: VLGuard is made for SFT.

    Raises:
        SeaError: a row is not of this form.
    """
    table.need("id", "image", "safe", "instr-resp")
    columns = [name for name in ("id", "image", "safe", "instr-resp", "harmful_category") if name in table.columns]
    for place, row in enumerate(table.rows(columns)):
        try:
            for pair in row["instr-resp"]:
                ((asked, instruction),) = [(name, text) for name, text in pair.items() if name in _VLGUARD]
                harmful, suffix = _VLGUARD[asked]
                category = row.get("harmful_category") or ("unsafe instruction" if harmful else "safe")
                yield Item(
                    id=f"{row['id']}{suffix}",
                    instruction=_text(instruction),
                    chosen=_text(pair["response"]),
                    rejected=None,
                    harmful=harmful,
                    category=str(category),
                    place=place,
                    medium=_text(row["image"]),
                )
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise SeaError(
                f"{table.path}, row {place + 1} is no row of VLGuard: it needs id, image, safe, and instr-resp with "
                f"pairs of {names(_VLGUARD)} and response"
            ) from error


_VLGUARD = {
    "safe_instruction": (False, "-safe"),
    "unsafe_instruction": (True, "-unsafe"),
    "instruction": (True, ""),
}


def spa_vl(table: Table, harmful: bool | str | None) -> Iterator[Item]:
    """SPA-VL (arXiv 2406.12030): Parquet of {image, question, chosen, rejected, class1, class2, class3}.

    Args:
        harmful: as in `preference`.

    Raises:
        SeaError: a column is missing (the test split has no answers).
    """
    table.need("image", "question", "chosen", "rejected")
    classes = [name for name in ("class1", "class2", "class3") if name in table.columns]
    for place, row in enumerate(_rows(table, ["image", "question", "chosen", "rejected", *classes], harmful)):
        texts = [_text(row[name]) for name in ("question", "chosen", "rejected")]
        yield Item(
            id=_id(row, place, texts),
            instruction=texts[0],
            chosen=texts[1],
            rejected=texts[2],
            harmful=_harmful(row, harmful, table, place),
            category=" / ".join(str(row[name]) for name in classes if row[name]) or "none",
            place=place,
            medium=_medium(row["image"], place),
        )


def preference(
    table: Table, harmful: bool | str | None, category: str | None = None, column: str | None = None
) -> Iterator[Item]:
    """Any set in TRL's formats: a media column beside prompt, chosen, rejected | prompt, completion | messages.

    Texts are plain or conversations. With `chosen` and `rejected` alone the question is the turn that they share.

    Args:
        harmful: true, false, or the column of yes and no that says it.
        category: the column of the category; None: `category` if there is one.
        column: the media column; None: the only one that there is.

    Raises:
        SeaError: columns that make no such set, or nothing said about harm.
    """
    media = media_column(table, column)
    kinds = (("chosen", "rejected"), ("prompt", "completion"), ("messages",))
    kind = next((kind for kind in kinds if set(kind) <= set(table.columns)), None)
    if kind is None:
        raise SeaError(
            f"{table.path} has neither chosen and rejected, nor prompt and completion, nor messages; "
            f"it has {names(table.columns)}"
        )
    if category is not None:
        table.need(category)
    category = category or ("category" if "category" in table.columns else None)
    texts = [*kind, *(["prompt"] if "prompt" in table.columns and "prompt" not in kind else [])]
    for place, row in enumerate(_rows(table, [media, *texts, *([category] if category else [])], harmful)):
        fault, instruction, chosen, rejected = None, "", "", None
        try:
            instruction, chosen, rejected = _turn(row)
            medium = _medium(row[media], place)
        except _NoSampleError as error:
            fault, medium = str(error), None
        yield Item(
            id=_id(row, place, [instruction, chosen, rejected or ""]),
            instruction=instruction,
            chosen=chosen,
            rejected=rejected,
            harmful=_harmful(row, harmful, table, place),
            category=str(row[category]) if category and row[category] is not None else "none",
            place=place,
            medium=medium,
            fault=fault,
        )


class _NoSampleError(Exception):
    """Why a row can be no sample, in fixed words."""


def _rows(table: Table, columns: list[str], harmful: bool | str | None) -> Iterator[dict[str, Any]]:
    """Rows with `columns`, the id if the set has one, and the column that says what is harmful."""
    if harmful is None:
        raise SeaError(
            "nothing says which rows of the set are harmful: type textset.args.harmful=true, =false, or =COLUMN with "
            f"the name of a column of yes and no; it has {names(table.columns)}"
        )
    extra = ["id"] if "id" in table.columns else []
    if isinstance(harmful, str):
        table.need(harmful)
        extra.append(harmful)
    return table.rows(list(dict.fromkeys([*columns, *extra])))


def _id(row: dict[str, Any], place: int, texts: Sequence[str]) -> str:
    own = row.get("id")
    return (
        str(own)
        if own not in (None, "")
        else f"{place:07d}-{sha256(chr(0).join(texts).encode('utf-8', 'replace'))[:8]}"
    )


def _harmful(row: dict[str, Any], harmful: bool | str | None, table: Table, place: int) -> bool:
    value = row[harmful] if isinstance(harmful, str) else harmful
    if not isinstance(value, bool | int) or value not in (0, 1):
        raise SeaError(f"{table.path}, row {place + 1}: column {harmful} must say true or false, found {value!r}")
    return bool(value)


def _medium(value: Any, place: int) -> str | None:
    """What tells the medium of a row from others; None: it has none."""
    if isinstance(value, list):
        if len(value) > 1:
            raise _NoSampleError(f"it has {len(value)} media, and a sample has one")
        value = value[0] if value else None
    if isinstance(value, dict) and "bytes" in value and not value["bytes"]:
        value = value.get("path")
    if value is None or value == "":
        return None
    return value if isinstance(value, str) else f"row {place}"  # also a Parquet file's, whose bytes are not read for it


def _text(value: Any) -> str:
    """A text, without the mark of where its medium stands: the chat template says that."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"a text is {type(value).__name__}")
    return _MARK.sub("\n", value, count=1).strip("\n") if _MARK.search(value) else value


def _turn(row: dict[str, Any]) -> tuple[str, str, str | None]:
    """(instruction, chosen, rejected or None) of a row in one of TRL's formats."""
    prompt = row.get("prompt")
    if "messages" in row:
        asked, answer = _split(row["messages"])
        return asked, answer, None
    if prompt is None or prompt == []:  # the question is the part that both conversations begin with
        asked, chosen = _split(row["chosen"])
        again, rejected = _split(row["rejected"])
        if asked != again:
            raise _NoSampleError("its two conversations ask different questions")
        return asked, chosen, rejected
    asked = _said(prompt, "user")
    if "completion" in row:
        return asked, _said(row["completion"], "assistant"), None
    return asked, _said(row["chosen"], "assistant"), _said(row["rejected"], "assistant")


def _split(messages: Any) -> tuple[str, str]:
    if not isinstance(messages, list) or len(messages) != 2:
        raise _NoSampleError("it is no conversation of one question and one answer")
    return _said(messages[:1], "user"), _said(messages[1:], "assistant")


def _said(value: Any, role: str) -> str:
    """The text of a plain or a conversational value that is one turn of `role`."""
    if isinstance(value, list):
        if len(value) != 1 or not isinstance(value[0], dict) or value[0].get("role") != role:
            raise _NoSampleError("it is no conversation of one question and one answer")
        value = value[0].get("content")
        if isinstance(value, list):
            value = "\n".join(str(part.get("text")) for part in value if part.get("type") == "text")
    if not isinstance(value, str):
        raise _NoSampleError("a text of it is missing")
    return _text(value)
