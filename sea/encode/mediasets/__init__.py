"""Media sets: real media for the samples of a text set. One file each, found by its name.

A file holds `MODALITY` (what its media are), `read(samples, seed, **args)` and `fingerprint(**args)`: a text that
changes when the media may have, and so is part of the run's name. A new set is a file beside this one and
`conf/mediaset/<name>.yaml`; there is no list to edit. `read` yields at most one thing per sample, lazily, as media are
large: (sample id, medium as the processor takes it), or a `Reject` with the reason.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any

from sea.components import build, find
from sea.config import MediaSetConfig
from sea.console import SeaError
from sea.records import Reject, Sample


def read(config: MediaSetConfig, samples: Sequence[Sample], seed: int) -> Iterator[tuple[str, Any] | Reject]:
    """Exactly one thing for every sample, by `sea/encode/mediasets/<reader>.py`: its medium, or why there is none.

    Raises:
        SeaError: there is no such reader, it takes no such args, or it gives what nobody asked for.
    """
    reader = functools.partial(find(__name__, config.reader, "read", "mediaset.reader"), samples, seed)
    waiting = {sample.id for sample in samples}
    for found in build(reader, config.args, "mediaset.args"):
        key = found.id if isinstance(found, Reject) else found[0]
        if key not in waiting:
            raise SeaError(f"mediaset.reader={config.reader} gives {key!r} twice, or was not asked for it")
        waiting.remove(key)
        yield found
    for sample in samples:
        if sample.id in waiting:
            yield Reject(sample.id, "the media set has no medium of it")


def modality(config: MediaSetConfig) -> str:
    """What the media of a set are: image, audio, ..."""
    return str(find(__name__, config.reader, "MODALITY", "mediaset.reader"))


def fingerprint(config: MediaSetConfig) -> str:
    """A text that changes when the media may have changed.

    Raises:
        SeaError: the reader takes no such args, or cannot work with them.
    """
    return str(build(find(__name__, config.reader, "fingerprint", "mediaset.reader"), config.args, "mediaset.args"))
