"""Pictures of the micro world, rendered on the fly: for each sample one of the concept that its sentence names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from PIL import Image

from sea.console import SeaError, names
from sea.media import Form
from sea.micro.concepts import seed_of
from sea.micro.world import CONCEPTS, MODES, STYLES, render
from sea.records import Reject, Sample


class Reader:
    """A picture per sample; mode, style and jitter are drawn by seed and id, so none depends on another sample.

    Args:
        modes: how a picture may show its concept.

    Raises:
        SeaError: the world has no such mode.
    """

    modalities = ("image",)

    def __init__(self, modes: list[str]) -> None:
        if not isinstance(modes, list) or not modes or not set(modes) <= set(MODES):
            raise SeaError(f"mediaset.args.modes={modes} must be a list of some of: {names(MODES)}")
        self.modes = modes

    def fingerprint(self) -> str:
        """The pictures follow from the args and the seed; raising this number says that they are drawn otherwise."""
        return "1"

    def wanted(self, samples: Sequence[Sample], modality: str) -> list[Sample]:
        """Those with a phrase: its concept is drawn."""
        return [sample for sample in samples if sample.phrase is not None]

    def read(self, samples: Sequence[Sample], seed: int, form: Form) -> Iterator[tuple[str, Image.Image] | Reject]:
        """The pictures in the order of the samples. All are of one size: the form has nothing to say."""
        shown = {concept.sentence: concept for concept in CONCEPTS.values()}
        for sample in samples:
            concept = shown.get(str(sample.sentence))
            if concept is None:
                yield Reject(sample.id, "its sentence names no concept of the micro world")
                continue
            mode = self.modes[seed_of("mode", seed, sample.id) % len(self.modes)]
            style = list(STYLES)[seed_of("style", seed, sample.id) % len(STYLES)]
            pixels_HWC = render(concept, mode, style, seed_of("jitter", seed, sample.id), concept.split)
            yield sample.id, Image.fromarray(pixels_HWC)
