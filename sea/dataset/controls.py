"""Controls: the same rows with something else in place of the synthetic embeddings, and the store that holds it.

A control changes the rows that point to a synthetic embedding, in their pointer alone; every other row stays as it is,
so that a difference in the result is due to what the embeddings hold (METHOD section 1). Shape suffixes: N rows of E,
D its width.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

import torch
from torch import Tensor

from sea.console import Progress, SeaError
from sea.models.load import Loaded
from sea.records import Embedding, Sample, disk_errors, sha256
from sea.store import Store, Writer, content_hash, unoptimised

FLUSH_EVERY = 64  # random embeddings in one shard


@dataclass(frozen=True)
class Pointer:
    """One embedding of one store."""

    store: Store
    embedding: Embedding


@dataclass(frozen=True)
class Draft:
    """A row to be: which of the named sources it is the row of, and what fills its slot."""

    sample: Sample
    column: str  # synthetic | text | real: what `rows` named
    source: str  # synthetic | text | real | blank | control | none: what it is counted as
    pointer: Pointer | None

    def pointing(self, source: str, pointer: Pointer | None) -> Draft:
        """The same row with something else in its slot."""
        return dataclasses.replace(self, source=source, pointer=pointer)


class Controls:
    """The store of embeddings that are made for the rows themselves; it is made anew when a build starts.

    Args:
        folder: where it is written, if anything is.
        load_model: called when the blank medium must be encoded.
        seed: of the random embeddings.
    """

    def __init__(self, folder: Path, load_model: Callable[[], Loaded], seed: int) -> None:
        self.folder, self.load_model, self.seed = folder, load_model, seed
        if folder.exists():  # a kill may have left a part of it
            with disk_errors(folder):
                shutil.rmtree(folder)
        self._blank: Pointer | None = None

    @property
    def content_hash(self) -> str | None:
        """Digest of what was made; None when nothing was."""
        return content_hash(Store(self.folder).embeddings) if self.folder.exists() else None

    def _write(self, writer: str, made: Iterable[tuple[Embedding, dict[str, Tensor]]]) -> list[Pointer]:
        files, written, stream = Writer(self.folder, writer), list[Embedding](), iter(made)
        while batch := list(islice(stream, FLUSH_EVERY)):
            written += files.add(batch)
        files.close()
        store = Store(self.folder)
        return [Pointer(store, record) for record in written]

    def blank(self) -> Pointer:
        """E of the blank medium, encoded by the model once."""
        if self._blank is None:
            loaded = self.load_model()
            record = unoptimised(
                "blank", "blank", loaded.modality, self.seed, loaded.checkpoint.id, loaded.checkpoint.revision
            )
            (self._blank,) = self._write("blank", [(record, loaded.blank().tensors)])
        return self._blank

    def random(self, drafts: Sequence[Draft]) -> list[Pointer]:
        """For each draft Gaussian noise with the elementwise mean and standard deviation of all their embeddings.

        Keyed by seed and sample id, so that a row's noise does not depend on the other rows, but for the two moments.
        The companions are the draft's own.

        Raises:
            SeaError: fewer than two embeddings, or embeddings of different shapes: they have no elementwise moments.
        """
        mean_ND, deviation_ND = _moments(drafts)

        def noise(draft: Draft) -> tuple[Embedding, dict[str, Tensor]]:
            own, tensors = _embedding(draft)
            source = torch.Generator().manual_seed(_seed_of(self.seed, draft.sample.id))
            drawn_ND = mean_ND + deviation_ND * torch.randn(mean_ND.shape, generator=source, dtype=mean_ND.dtype)
            key = f"{draft.sample.id}#random"  # no sample's id: the blank may lie beside it
            record = unoptimised(key, "control", own.modality, self.seed, own.model, own.revision)
            return record, {**tensors, "embedding": drawn_ND.to(tensors["embedding"].dtype)}

        return self._write("random", map(noise, drafts))


def controlled(drafts: Sequence[Draft], control: str, seed: int, controls: Controls) -> list[Draft]:
    """The drafts with a control in place of every synthetic embedding.

    Args:
        control: blank (E of the blank medium), random (noise of the same moments), shuffled (the embedding of another
            row), none (the same prompt without a slot).

    Raises:
        SeaError: the control cannot be made of these rows.
    """
    places = [place for place, draft in enumerate(drafts) if draft.source == "synthetic"]
    changed = [drafts[place] for place in places]
    if not changed:
        raise SeaError(f"control={control} changes synthetic rows, and no row is left that points to an embedding")
    if control == "blank":
        new = [draft.pointing("blank", controls.blank()) for draft in changed]
    elif control == "none":
        new = [draft.pointing("none", None) for draft in changed]
    elif control == "random":
        pointers = controls.random(changed)
        new = [draft.pointing("control", pointer) for draft, pointer in zip(changed, pointers, strict=True)]
    else:
        others = shuffled(changed, seed)
        new = [draft.pointing("control", other.pointer) for draft, other in zip(changed, others, strict=True)]
    result = list(drafts)
    for place, draft in zip(places, new, strict=True):
        result[place] = draft
    return result


def shuffled(drafts: Sequence[Draft], seed: int) -> list[Draft]:
    """A permutation of the drafts in which none stands at the place of one with its own phrase (or sentence).

    Drawn uniformly, then every place in conflict is exchanged with one drawn from those that solve it. A place that
    solves it exists as long as no phrase has more than half of the rows.

    Raises:
        SeaError: one phrase has more than half of the rows, so some row must keep it.
    """
    labels = _phrases([draft.sample for draft in drafts])
    rows = range(len(drafts))
    most = max(Counter(labels).values())
    if 2 * most > len(drafts):
        raise SeaError(
            f"control=shuffled cannot be made: {most} of the {len(drafts)} synthetic rows are about one phrase, so "
            "some would keep an embedding of their own phrase. Use samples of more phrases, or control=random"
        )
    draw = Random(_seed_of(seed, "shuffled"))
    taken = list(rows)
    draw.shuffle(taken)
    for place in rows:
        own = labels[place]
        if labels[taken[place]] == own:
            other = draw.choice([i for i in rows if labels[i] != own and labels[taken[i]] != own])
            taken[place], taken[other] = taken[other], taken[place]
    return [drafts[place] for place in taken]


def _phrases(samples: Sequence[Sample]) -> list[str]:
    """A label per sample: those that share a phrase or a sentence, be it through a third sample, share the label."""
    above: dict[str, str] = {}

    def label(text: str) -> str:
        while (higher := above.setdefault(text, text)) != text:
            text = higher
        return text

    def key(field: str, text: str | None) -> str:
        return f"{field}: {' '.join((text or '').casefold().split())}"

    for sample in samples:
        above[label(key("phrase", sample.phrase))] = label(key("sentence", sample.sentence))
    return [label(key("phrase", sample.phrase)) for sample in samples]


def _embedding(draft: Draft) -> tuple[Embedding, dict[str, Tensor]]:
    assert draft.pointer is not None  # controls are made of synthetic drafts
    return draft.pointer.embedding, draft.pointer.store.read(draft.pointer.embedding.id)


def _moments(drafts: Sequence[Draft]) -> tuple[Tensor, Tensor]:
    """Elementwise mean and standard deviation (n - 1) in float64, in one pass (Welford 1962)."""
    if len(drafts) < 2:
        raise SeaError("control=random needs two synthetic rows or more: one embedding has no standard deviation")
    shapes = {tuple(draft.pointer.embedding.shape) for draft in drafts if draft.pointer is not None}
    if len(shapes) > 1:
        raise SeaError(
            f"control=random cannot be made: the embeddings have shapes {sorted(shapes)}, and an elementwise mean "
            "needs one. Use control=shuffled or control=blank"
        )
    progress = Progress("moments", len(drafts))
    mean_ND = torch.zeros(shapes.pop(), dtype=torch.float64)
    squares_ND = torch.zeros_like(mean_ND)
    for count, draft in enumerate(drafts, 1):
        emb_ND = _embedding(draft)[1]["embedding"].double()
        delta_ND = emb_ND - mean_ND
        mean_ND += delta_ND / count
        squares_ND += delta_ND * (emb_ND - mean_ND)
        progress.update(count)
    progress.close()
    return mean_ND, (squares_ND / (len(drafts) - 1)).sqrt()


def _seed_of(*parts: object) -> int:
    """63 bits from the parts, the same in every process."""
    return int(sha256(" ".join(map(str, parts)).encode())[:15], 16)
