"""Scenes of the micro world, rendered on the fly: for each sample one of the concept that its sentence names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from sea.console import SeaError, names
from sea.media import Form
from sea.micro.concepts import seed_of
from sea.micro.scenes import MODALITIES, Medium, show, styles
from sea.micro.scenes import modes as ways
from sea.micro.world import CONCEPTS
from sea.records import Reject, Sample


class Reader:
    """A picture, clip or sound per sample; mode, style and jitter are drawn by seed and id, so none depends on another.

    Args:
        modes: how a scene may show its concept; None: in every way that the modality has.

    Raises:
        SeaError: the world has no such mode.
    """

    modalities = MODALITIES

    def __init__(self, modes: list[str] | None = None) -> None:
        self.modes = modes
        self._check({way for modality in MODALITIES for way in ways(modality)})

    def _check(self, known: Iterable[str]) -> None:
        if self.modes is not None and (not self.modes or set(self.modes) - {*known}):
            raise SeaError(f"mediaset.args.modes={self.modes} must be null or a list of some of: {names(known)}")

    def fingerprint(self) -> str:
        """The scenes follow from the args and the seed; raising this number says that they are drawn otherwise."""
        return "1"

    def wanted(self, samples: Sequence[Sample], modality: str) -> list[Sample]:
        """Those with a phrase: its concept is shown.

        Raises:
            SeaError: the modality has no such mode.
        """
        self._check(ways(modality))
        return [sample for sample in samples if sample.phrase is not None]

    def read(self, samples: Sequence[Sample], seed: int, form: Form) -> Iterator[tuple[str, Medium] | Reject]:
        """The scenes in the order of the samples. All are of one size: of the form only the modality is heard."""
        of_sentence = {concept.sentence: concept for concept in CONCEPTS.values()}
        modes, looks = self.modes or ways(form.modality), styles(form.modality)
        for sample in samples:
            concept = of_sentence.get(str(sample.sentence))
            if concept is None:
                yield Reject(sample.id, "its sentence names no concept of the micro world")
                continue
            mode = modes[seed_of("mode", seed, sample.id) % len(modes)]
            style = looks[seed_of("style", seed, sample.id) % len(looks)]
            yield (
                sample.id,
                show(concept, form.modality, mode, style, seed_of("jitter", seed, sample.id), concept.split),
            )
