"""The stage as a function: samples and stores in, rows out. Which row a sample gets, and what it points to.

Belongs here: the choice. What takes the place of an embedding in a control is `controls.py`; finding the runs and
writing the dataset is `stage.py`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sea.config import DatasetConfig, TextByKind
from sea.console import Progress, SeaError
from sea.dataset.controls import Controls, Draft, Pointer, controlled
from sea.models.load import Loaded
from sea.records import KINDS, Embedding, Row, Sample
from sea.store import Store

DROPPED = ("not hit", "not verified", "no embedding")


@dataclass(frozen=True)
class Built:
    """Rows in their order, what they count to, and the content hash of `controls/` when the rows need one."""

    rows: list[Row]
    counts: dict[str, Any]
    controls: str | None


def build(
    samples: Sequence[Sample],
    settings: DatasetConfig,
    prefix: TextByKind,
    folder: Path,
    synthetic: Store | None,
    real: Store | None,
    load_model: Callable[[], Loaded],
) -> Built:
    """The training rows of some samples: for each sample one of every source in `rows`, in the samples' order.

    Args:
        settings: `rows`, `control`, `harmless`, `filter` and `seed` are read.
        prefix: the alignment prefix, put before the detoxified instruction. A sample with a medium of its own keeps its
            instruction as it is.
        folder: the dataset's folder: rows name stores relative to it, and `controls/` is written into it.
        synthetic: the store of optimised embeddings; needed for rows=synthetic.
        real: the store of encoded media; needed for rows=real and harmless=real.
        load_model: called only when the blank medium must be encoded.

    Raises:
        SeaError: no row is left, a control cannot be made, or an embedding that a row points to is lost or damaged.
    """
    controls = Controls(folder / "controls", load_model, settings.seed)
    dropped: Counter[str] = Counter()
    drafts: list[Draft] = []
    for sample in samples:
        for column in settings.sources:
            draft = _draft(sample, column, settings, synthetic, real, controls)
            if isinstance(draft, Draft):
                drafts.append(draft)
            else:
                dropped[draft] += 1
    if not drafts:
        raise SeaError(
            f"no row is left of {len(samples)} samples ({_reasons(dropped)}): optimise longer, or loosen filter=..."
        )
    if settings.control is not None:
        drafts = controlled(drafts, settings.control, settings.seed, controls)
    check_readable(drafts)
    rows = [_row(draft, prefix, folder) for draft in drafts]
    by_source = Counter(row.source for row in rows)
    counts = {
        "rows": len(rows),
        "by_source": dict(sorted(by_source.items())),
        "harmful": sum(row.harmful for row in rows),
        "harmless": sum(not row.harmful for row in rows),
        "dropped": {reason: dropped[reason] for reason in DROPPED},
        "without_phrase": sum(
            draft.column != "text" and draft.source == "text" and draft.sample.phrase is None for draft in drafts
        ),
        "arm": arm(settings),
    }
    return Built(rows, counts, controls.content_hash)


def arm(settings: DatasetConfig) -> str:
    """The name that result tables give to a dataset made so; it follows from the settings and is never typed."""
    rows = "+".join(settings.sources)
    plain = {"synthetic+text": "SEA", "text+real": "real", "real": "real only"}.get(rows, rows)
    notes = []
    if settings.control is not None:
        notes = [] if plain == "SEA" else [rows]
        plain = "no-slot" if settings.control == "none" else settings.control
    if settings.harmless != "embedding":
        notes.append(f"harmless {settings.harmless}")
    if settings.filter != "verified":
        notes.append(f"filter {settings.filter}")
    return plain + (f" ({', '.join(notes)})" if notes else "")


def _draft(
    sample: Sample,
    column: str,
    settings: DatasetConfig,
    synthetic: Store | None,
    real: Store | None,
    controls: Controls,
) -> Draft | str:
    """What a sample's row of one source is to hold, or why there is none (one of DROPPED)."""
    carried = settings.harmless if column == "synthetic" and not sample.harmful else "embedding"
    # Without a phrase no embedding stands for a sample, unless it came with a medium of its own.
    nothing = sample.phrase is None and not (column == "real" and _has_medium(sample, real))
    if column == "text" or carried == "text" or nothing:
        return Draft(sample, column, "text", None)
    if carried == "blank":
        return Draft(sample, column, "blank", controls.blank())
    store = real if column == "real" or carried == "real" else synthetic
    if store is None:
        raise SeaError(f"rows={settings.rows} and harmless={settings.harmless} need a store that was not given")
    found = store.embeddings.get(sample.id)
    if found is None:
        return "no embedding"
    if store is synthetic and (why := _filtered(found, settings.filter)):
        return why
    return Draft(sample, column, found.source, Pointer(store, found))


def _has_medium(sample: Sample, real: Store | None) -> bool:
    """Whether a medium was looked for; that it could not be read is no reason to ask about it in text."""
    return real is not None and (sample.id in real.embeddings or sample.id in real.rejects)


def _filtered(found: Embedding, rule: str) -> str | None:
    """Why an optimised embedding may not become a row; None when it may."""
    if rule != "none" and not found.hit:
        return "not hit"
    return "not verified" if rule == "verified" and not found.verified else None


def _reasons(dropped: Counter[str]) -> str:
    return ", ".join(f"{dropped[reason]} {reason}" for reason in DROPPED)


def check_readable(drafts: Sequence[Draft]) -> None:
    """Read every embedding that rows point to, so that a lost or damaged shard is found before training.

    Raises:
        SeaError: the first one that is not what its index describes.
    """
    used = {(str(p.store.folder), p.embedding.id): p for p in (draft.pointer for draft in drafts) if p is not None}
    progress = Progress("reading embeddings", len(used))
    for done, key in enumerate(sorted(used), 1):
        used[key].store.read(used[key].embedding.id)
        progress.update(done)
    progress.close()


def _row(draft: Draft, prefix: TextByKind, folder: Path) -> Row:
    sample, pointer = draft.sample, draft.pointer
    embedding = None if pointer is None else pointer.embedding
    pair = {"chosen": sample.chosen, "rejected": sample.rejected}
    return Row(
        id=f"{sample.id}#{draft.column}",
        prompt=_prompt(sample, prefix) if draft.source != "text" and sample.phrase is not None else sample.instruction,
        modality=None if embedding is None else embedding.modality,
        store=None if pointer is None else os.path.relpath(pointer.store.folder.resolve(), folder.resolve()),
        shard=None if embedding is None else embedding.shard,
        key=None if embedding is None else embedding.key,
        embedding_sha256=None if embedding is None else embedding.sha256,
        companions=[] if embedding is None else embedding.companions,
        source=draft.source,
        harmful=sample.harmful,
        category=sample.category,
        **(pair if sample.rejected else {"completion": sample.chosen}),
    )


def _prompt(sample: Sample, prefix: TextByKind) -> str:
    """The question about a medium that shows the phrase: METHOD section 1, x_M."""
    if sample.kind not in KINDS or not sample.detoxified:
        raise SeaError(f"sample {sample.id} has a phrase, but no kind or no detoxified instruction: prepare it again")
    return str(getattr(prefix, sample.kind)) + sample.detoxified
