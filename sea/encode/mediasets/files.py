"""Images on disk, named by a JSONL file that lies beside them: {"id": a sample's id, "path": below that folder}."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

from sea.console import SeaError, names
from sea.records import Reject, Sample, read_jsonl, sha256_file

MODALITY = "image"


@dataclass(frozen=True)
class Medium:
    """One line of the file."""

    id: str
    path: str  # relative to the file's folder


def read(samples: Sequence[Sample], seed: int, file: str | None = None) -> Iterator[tuple[str, Image.Image] | Reject]:
    """The image of each sample that the file names. Lines about other samples are passed over; nothing is random.

    Raises:
        SeaError: the file cannot be read, names an id twice, or names something outside its folder.
    """
    paths = _paths(file)
    for sample in samples:
        if sample.id in paths:
            try:
                with Image.open(paths[sample.id]) as image:
                    yield sample.id, ImageOps.exif_transpose(image).convert("RGB")  # upright, as a person sees it
            except Exception as error:  # a damaged file raises any of a dozen types
                yield Reject(sample.id, f"its image cannot be read ({type(error).__name__})")


def fingerprint(file: str | None = None) -> str:
    """Digest of the file: another choice of images is another media set. The images themselves are not read for it."""
    _paths(file)
    return sha256_file(Path(str(file)))


def _paths(file: str | None) -> dict[str, Path]:
    """Sample id -> where its image lies, symbolic links followed."""
    if file is None:
        raise SeaError("no media are named: type mediaset.args.file=/path/to/media.jsonl (docs/data-formats.md)")
    media = read_jsonl(Path(file), Medium)
    if twice := [key for key, count in Counter(medium.id for medium in media).items() if count > 1]:
        raise SeaError(f"{file} names ids twice: {names(twice[:5])}. A sample has one medium: remove a line")
    folder = Path(file).resolve().parent
    paths = {medium.id: (folder / medium.path).resolve() for medium in media}
    for medium in media:  # a line of data is no permission to read whatever it names
        if not paths[medium.id].is_relative_to(folder):
            raise SeaError(f"{file}: the path of {medium.id} leads out of {folder}. Move the medium below it")
    return paths
