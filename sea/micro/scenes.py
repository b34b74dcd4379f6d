"""A concept shown: the same world as picture, clip or sound.

Belongs here: which modality is drawn by which file, and the medium that a processor takes. Torch-free. Pixels:
`images.py`; moving pixels: `clips.py`; samples: `sounds.py`.
"""

from dataclasses import dataclass
from types import ModuleType

import numpy as np
from PIL import Image

from sea.media import Sound, Video
from sea.micro import clips, images, sounds
from sea.micro.concepts import Concept

Medium = Image.Image | Video | Sound
_DRAWN_BY: dict[str, ModuleType] = {"image": images, "video": clips, "audio": sounds}
MODALITIES = tuple(_DRAWN_BY)


def _drawn_by(modality: str) -> ModuleType:
    if modality not in _DRAWN_BY:
        raise ValueError(f"modality {modality!r} is none of {', '.join(MODALITIES)}")
    return _DRAWN_BY[modality]


def modes(modality: str = "image") -> tuple[str, ...]:
    """How a modality can show a concept: its words, a sign for each word, or both."""
    found: tuple[str, ...] = _drawn_by(modality).MODES
    return found


def styles(modality: str = "image") -> tuple[str, ...]:
    """The styles of a modality."""
    return tuple((images if modality == "video" else _drawn_by(modality)).STYLES)


@dataclass(frozen=True, slots=True)
class Scene:
    """The recipe of one picture, clip or sound."""

    concept: Concept
    mode: str
    style: str
    seed: int
    split: str
    modality: str = "image"

    def render(self) -> np.ndarray:
        """Pixels (64, 64, 3), frames (4, 64, 64, 3) or samples (32000,)."""
        drawn: np.ndarray = _drawn_by(self.modality).render(self.concept, self.mode, self.style, self.seed, self.split)
        return drawn

    def medium(self) -> Medium:
        """What a processor takes: a Pillow image, a `sea.media.Video` or a `sea.media.Sound`."""
        drawn = self.render()
        if self.modality == "image":
            return Image.fromarray(drawn)
        if self.modality == "video":
            return Video([Image.fromarray(frame_HWC) for frame_HWC in drawn], clips.FPS)
        return Sound(drawn, sounds.RATE)


def show(concept: Concept, modality: str, mode: str, style: str, seed: int, split: str = "train") -> Medium:
    """A concept through a modality: the same bytes for the same arguments, in every process."""
    return Scene(concept, mode, style, seed, split, modality).medium()


def blank(modality: str = "image") -> np.ndarray:
    """The empty picture, clip or sound that an embedding starts from."""
    drawn: np.ndarray = _drawn_by(modality).blank()
    return drawn
