"""Pictures of the micro world, rendered on the fly: for each sample one of the concept that its sentence names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from PIL import Image

from sea.console import SeaError, names
from sea.micro.concepts import seed_of
from sea.micro.world import CONCEPTS, MODES, STYLES, render
from sea.records import Reject, Sample

MODALITY = "image"


def read(samples: Sequence[Sample], seed: int, modes: list[str]) -> Iterator[tuple[str, Image.Image] | Reject]:
    """A picture per sample; mode, style and jitter are drawn by seed and id, so no picture depends on another sample.

    Args:
        modes: how a picture may show its concept.

    Raises:
        SeaError: the world has no such mode.
    """
    _check(modes)
    shown = {concept.sentence: concept for concept in CONCEPTS.values()}
    for sample in samples:
        concept = shown.get(str(sample.sentence))
        if concept is None:
            yield Reject(sample.id, "its sentence names no concept of the micro world")
            continue
        mode = modes[seed_of("mode", seed, sample.id) % len(modes)]
        style = list(STYLES)[seed_of("style", seed, sample.id) % len(STYLES)]
        pixels_HWC = render(concept, mode, style, seed_of("jitter", seed, sample.id), concept.split)
        yield sample.id, Image.fromarray(pixels_HWC)


def fingerprint(modes: list[str]) -> str:
    """The pictures follow from the args and the seed alone; raising this number says that they are drawn otherwise."""
    _check(modes)
    return "1"


def _check(modes: list[str]) -> None:
    if not isinstance(modes, list) or not modes or not set(modes) <= set(MODES):
        raise SeaError(f"mediaset.args.modes={modes} must be a list of some of: {names(MODES)}")
