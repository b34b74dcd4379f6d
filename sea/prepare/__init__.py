"""Stage 1: a text safety set becomes samples: each with its phrase, kind, sentence and detoxified instruction.

Belongs here: the flow from rows to samples and rejects, writing them, resuming, counting. Reading a set is
`textsets/`, finding a phrase `extractors/`, the reasons to set a row aside `checks.py`. From Python:

    from sea.prepare import prepare
    from sea.prepare.extractors.rules import Extractor
    samples = [r for r in prepare(rows, Extractor(), textset="mine", max_chars=20000) if isinstance(r, Sample)]
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from sea.console import Progress, SeaError
from sea.prepare.checks import Repeats, row_digest, wrong_with_extraction, wrong_with_row
from sea.prepare.extractors import Extraction, Extractor
from sea.prepare.textsets import RawRow
from sea.records import SAMPLES, AppendFile, Reject, Sample, from_dict

REJECTS = "rejects.jsonl"
ABOUT_ITS_MEDIUM = Extraction(None, None, None, None, reason="the question is about a medium of its own")
BATCH = 256  # rows extracted at once and flushed together: what a kill can cost


@dataclass(frozen=True)
class Survey:
    """What a first pass over the rows tells: how many, and the digest of them all in their order."""

    rows: int
    sha256: str


def survey(rows: Iterable[RawRow]) -> Survey:
    """Count and hash the rows, before anything is spent on them.

    Raises:
        SeaError: there is none, or two different rows share an id.
    """
    count, digest, repeats = 0, hashlib.sha256(), Repeats()
    for row in rows:
        repeats.wrong_with(row)
        digest.update(row_digest(row).encode())
        count += 1
    if not count:
        raise SeaError("the text set gave no row: look at its file and at textset.args")
    return Survey(count, digest.hexdigest())


def prepare(
    rows: Iterable[RawRow], extractor: Extractor, textset: str, max_chars: int, batch_size: int = BATCH
) -> Iterator[Sample | Reject]:
    """One Sample or Reject per row, in the order of the rows.

    Holds one batch of rows and two digests of each earlier row, so a set may be larger than the memory.

    Args:
        textset: name written into the samples.
        max_chars: length of an instruction or answer above which the row is set aside.
        batch_size: rows given to the extractor at once.

    Raises:
        SeaError: two different rows share an id.
    """
    for batch in prepare_batches(rows, extractor, textset, max_chars, batch_size, Counter()):
        yield from batch


def prepare_batches(
    rows: Iterable[RawRow],
    extractor: Extractor,
    textset: str,
    max_chars: int,
    batch_size: int,
    done: Counter[str],
) -> Iterator[list[Sample | Reject]]:
    """`prepare`, a list for each `batch_size` rows: what is done together is flushed together.

    Args:
        done: how often each id is listed already; that many rows of the id are passed over. An id is listed twice
            when its row was repeated.
    """
    repeats, left = Repeats(), Counter(done)
    source = iter(rows)
    while batch := list(islice(source, batch_size)):
        outcomes: dict[int, Sample | Reject] = {}
        sound: dict[int, RawRow] = {}
        for place, row in enumerate(batch):
            repeated = repeats.wrong_with(row)
            reason = wrong_with_row(row, max_chars) or repeated
            if left[row.id] > 0:
                left[row.id] -= 1
            elif reason:
                outcomes[place] = Reject(row.id, reason)
            else:
                sound[place] = row
        about_text = {place: row for place, row in sound.items() if row.medium is None}
        found = extractor.extract([row.instruction for row in about_text.values()]) if about_text else []
        extracted = dict(zip(about_text, found, strict=True))
        for place, row in sound.items():
            outcomes[place] = _outcome(row, extracted.get(place, ABOUT_ITS_MEDIUM), textset)
        yield [outcomes[place] for place in sorted(outcomes)]


def _outcome(row: RawRow, found: Extraction, textset: str) -> Sample | Reject:
    if reason := wrong_with_extraction(row.instruction, found):
        return Reject(row.id, reason)
    return Sample(
        id=row.id,
        instruction=row.instruction,
        chosen=row.chosen,
        rejected=row.rejected or "",  # none: training gets a completion
        harmful=row.harmful,
        category=row.category,
        phrase=found.phrase,
        kind=found.kind,
        sentence=found.sentence,
        detoxified=found.detoxified,
        textset=textset,
        provenance=row.provenance,
    )


def write(folder: Path, rows: Iterable[RawRow], total: int, extractor: Extractor, textset: str, max_chars: int) -> None:
    """Prepare the rows into `samples.jsonl` and `rejects.jsonl`, going on after what an earlier call listed there.

    Each file is in the order of the rows, whether or not it was made in one go.
    """
    samples, rejects = AppendFile(folder / SAMPLES), AppendFile(folder / REJECTS)
    samples.append([])  # makes the file, or cuts the line that a kill tore
    rejects.append([])
    done = Counter(record["id"] for file in (SAMPLES, REJECTS) for record in _lines(folder / file))
    progress, finished = Progress("prepare", total), done.total()
    progress.update(finished)
    for batch in prepare_batches(rows, extractor, textset, max_chars, BATCH, done):
        samples.append([record for record in batch if isinstance(record, Sample)])
        rejects.append([record for record in batch if isinstance(record, Reject)])
        finished += len(batch)
        progress.update(finished)
    progress.close()
    samples.close()
    rejects.close()


def count(folder: Path) -> dict[str, Any]:
    """What the two files hold, in numbers, read a line at a time."""
    numbers: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    categories: Counter[str] = Counter()
    for values in _lines(folder / SAMPLES):
        sample = from_dict(Sample, values, str(folder / SAMPLES))
        numbers["samples"] += 1
        numbers["harmful" if sample.harmful else "harmless"] += 1
        numbers["with_phrase"] += sample.phrase is not None
        kinds[sample.kind or "none"] += 1
        categories[sample.category] += 1
    reasons = Counter(from_dict(Reject, values, str(folder / REJECTS)).reason for values in _lines(folder / REJECTS))
    plain = ("samples", "harmful", "harmless", "with_phrase")
    return {
        "rows": numbers["samples"] + reasons.total(),
        **{name: numbers[name] for name in plain},
        "rejects": reasons.total(),
        "by_kind": dict(sorted(kinds.items())),
        "by_category": dict(sorted(categories.items())),
        "by_reason": dict(sorted(_without_ids(reasons).items())),
    }


def _without_ids(reasons: Counter[str]) -> Counter[str]:
    """Reasons that name another row, put together."""
    together: Counter[str] = Counter()
    for reason, number in reasons.items():
        for named in ("duplicate of ", "same instruction as "):
            if reason.startswith(named):
                reason = named + "an earlier row"
        together[reason] += number
    return together


def too_many_rejects(counts: dict[str, Any], max_reject_share: float, folder: Path) -> None:
    """Refuse a text set of which more was set aside than the user allows.

    Raises:
        SeaError: with the reasons and how often each.
    """
    share = counts["rejects"] / counts["rows"]
    if share > max_reject_share:
        why = "; ".join(f"{number} x {reason}" for reason, number in counts["by_reason"].items())
        raise SeaError(
            f"{counts['rejects']} of {counts['rows']} rows ({share:.0%}) were set aside, more than max_reject_share="
            f"{max_reject_share}: {why}. {folder / REJECTS} names each row with its reason: mend the text set or the "
            f"extractor, or accept it with max_reject_share={min(1.0, share + 0.01):.2f}"
        )


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                values = json.loads(line)
                if not isinstance(values["id"], str):
                    raise TypeError("its id is no text")
            except (ValueError, KeyError, TypeError) as error:
                raise SeaError(
                    f"{path}, line {number} is no record: {error}; remove the run's folder and start anew"
                ) from error
            yield values
