"""Media sets: real media for the samples of a text set. One file each, with a class `Reader`, found by its name.

Belongs here: what a reader is, how it is found, and what readers of files share. A new set is a file beside this one
and `conf/mediaset/<name>.yaml`, whose args make the Reader; there is no list to edit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, cast

from sea.components import build, find
from sea.config import MediaSetConfig
from sea.console import SeaError
from sea.media import Form, MediumError
from sea.media import read as decode
from sea.multimodal import Item
from sea.records import Reject, Sample
from sea.sources import sources
from sea.tables import Table


class MediaSet(Protocol):
    """A source of media; made from the args of its YAML, it may refuse them."""

    modalities: tuple[str, ...]  # what its media can be

    def fingerprint(self) -> str:
        """A text that changes when the media may have changed, and so is part of the run's name."""
        ...

    def wanted(self, samples: Sequence[Sample], modality: str) -> list[Sample]:
        """The samples that ought to have a medium here; those left out stay text."""
        ...

    def read(self, samples: Sequence[Sample], seed: int, form: Form) -> Iterator[tuple[str, Any] | Reject]:
        """At most one thing for each sample, in any order, lazily: (id, medium in the form), or why there is none."""
        ...


def open_set(config: MediaSetConfig, modality: str) -> MediaSet:
    """The media set of a YAML, for a model that reads `modality`.

    Raises:
        SeaError: there is no such reader, it takes no such args, or its media are of another modality.
    """
    reader = find(__name__, config.reader, "Reader", "mediaset.reader")
    valid = cast(Any, reader).modalities
    if modality not in valid:
        raise SeaError(
            f"mediaset={config.name} holds {' or '.join(valid)}, the model is to read {modality}: "
            f"choose another mediaset=..., or a model that reads {' or '.join(valid)}"
        )
    return cast(MediaSet, build(reader, config.args, "mediaset.args"))


def read(media: MediaSet, samples: Sequence[Sample], seed: int, form: Form) -> Iterator[tuple[str, Any] | Reject]:
    """Exactly one thing for every sample: its medium, or why there is none.

    Raises:
        SeaError: the set gives what nobody asked for.
    """
    waiting = {sample.id for sample in samples}
    for found in media.read(samples, seed, form):
        key = found.id if isinstance(found, Reject) else found[0]
        if key not in waiting:
            raise SeaError(f"the reader {type(media).__module__} gives {key!r} twice, or was not asked for it")
        waiting.remove(key)
        yield found
    for sample in samples:
        if sample.id in waiting:
            yield Reject(sample.id, "the media set has no medium of it")


def medium_or_reject(key: str, form: Form, source: Any) -> tuple[str, Any] | Reject:
    """The medium at a path, or in bytes; a `MediumError` in their place, and one met in decoding, becomes a Reject."""
    try:
        if isinstance(source, MediumError):
            raise source
        return key, decode(source, form)
    except MediumError as error:
        return Reject(key, f"its {form.modality} cannot be read ({error})")


def refuse_unused(modality: str, **given: float | None) -> None:
    """Refuse settings of a medium's form that this modality does not have: they would be ignored."""
    has = {"image": (), "video": ("frames",), "audio": ("rate", "seconds")}.get(modality, ())
    for name, value in given.items():
        if value is not None and name not in has:
            raise SeaError(f"mediaset.args.{name}={value} says nothing about {modality}: leave it out")


class OfItems:
    """The media side of a multimodal set: the text side, under the same ids, is the textset of the same name.

    Args:
        file: of the set.
        column: the media column, given the table and the modality.
        items: the set's items, given the table and the media column.
    """

    def __init__(
        self,
        file: str | None,
        column: Callable[[Table, str], str],
        items: Callable[[Table, str], Iterable[Item]],
    ) -> None:
        self.table, self._column, self._items = Table(file, "mediaset.args.file"), column, items
        self._known: dict[str, int] | None = None

    def fingerprint(self) -> str:
        """Digest of the set's files; images that it names by their paths are not read for it."""
        return self.table.digest

    def wanted(self, samples: Sequence[Sample], modality: str) -> list[Sample]:
        """Those about a medium: they have no phrase. A row of text in the set may have one, and is left out."""
        places = self._places(modality)
        return [sample for sample in samples if sample.phrase is None or sample.id in places]

    def _places(self, modality: str) -> dict[str, int]:
        """Id -> number of its row; looked up once."""
        if self._known is None:
            self._known = self._look_up(modality)
        return self._known

    def _look_up(self, modality: str) -> dict[str, int]:
        found: dict[str, Item] = {}
        for item in self._items(self.table, self._column(self.table, modality)):
            if item.medium is not None and item.fault is None:
                first = found.setdefault(item.id, item)
                if (first.instruction, first.medium) != (item.instruction, item.medium):
                    raise SeaError(
                        f"{self.table.path} names ids twice: {item.id}, rows {first.place + 1} and {item.place + 1}. "
                        "Give each row an id of its own"
                    )
        return {key: item.place for key, item in found.items()}

    def read(self, samples: Sequence[Sample], seed: int, form: Form) -> Iterator[tuple[str, Any] | Reject]:
        """The media in the order of the set's rows; nothing is random."""
        places = self._places(form.modality)
        of_row: dict[int, list[str]] = {}
        for sample in samples:
            if sample.id in places:
                of_row.setdefault(places[sample.id], []).append(sample.id)
        for place, found in sources(self.table, self._column(self.table, form.modality), list(of_row)):
            yield from (medium_or_reject(key, form, found) for key in of_row[place])
