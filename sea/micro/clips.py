"""Clips of concepts: four frames of 64x64 RGB, drawn from (concept, mode, style, seed, split) alone.

Belongs here: what moves, and when the cut comes. Ink, colours, modes and styles are those of `images.py`. A clip has
two shots, one word each and in order, as the typographic videos of VA-SafetyBench have (arXiv 2502.12562): no single
frame tells the concept. Needs numpy and pillow only.
"""

import numpy as np

from sea.micro.concepts import Concept, seed_of
from sea.micro.images import BLANK_LEVEL, MODES, SIZE, icon_mask, look_of, paint, paints, place, word_mask

FRAMES = 4
FPS = 2.0  # what readers of long clips sample; a shot lasts half a second to one and a half
_DRIFT_PX = 2  # an icon moves by at most this from frame to frame, either way


def _shot(word: str, mode: str, frames: int, rng: np.random.Generator) -> list[np.ndarray]:
    """The ink of one shot's frames: letters stand still, icons drift."""
    x_step, y_step = (int(step) for step in rng.integers(-_DRIFT_PX, _DRIFT_PX + 1, 2))
    letters = word_mask(word, 13)
    slack = max(0, min(4, SIZE - 2 - letters.shape[1]))
    letters_at = (1 + int(rng.integers(slack + 1)), int(rng.integers(5)))
    icon_at = (int(rng.integers(8, 28)), int(rng.integers(5)))
    inks = []
    for frame in range(frames):
        ink_HW = np.zeros((SIZE, SIZE), dtype=np.float32)
        if mode in ("typographic", "both"):
            place(ink_HW, letters, letters_at[0], letters_at[1] + (24 if mode == "typographic" else 40))
        if mode in ("icon", "both"):
            cell_px, top = (4, 16) if mode == "icon" else (3, 6)
            x, y = icon_at[0] + frame * x_step, top + icon_at[1] + frame * y_step
            place(ink_HW, icon_mask(word, cell_px), max(0, x), max(0, y))
        inks.append(ink_HW)
    return inks


def cut(concept: Concept, mode: str, style: str, seed: int, split: str = "train") -> int:
    """How many frames show the first word; the others show the second."""
    return 1 + seed_of("cut", split, seed, concept.first, concept.second, mode, style) % (FRAMES - 1)


def render(concept: Concept, mode: str, style: str, seed: int, split: str = "train") -> np.ndarray:
    """The clip of a concept: uint8 array (4, 64, 64, 3)."""
    if mode not in MODES:
        raise ValueError(f"mode {mode!r} is none of {', '.join(MODES)}")
    look = look_of(style)
    rng = np.random.default_rng(seed_of("clip", split, seed, concept.first, concept.second, mode, style))
    ground_HWC, ink = paints(look, split, rng)
    first = cut(concept, mode, style, seed, split)
    inks = _shot(concept.first, mode, first, rng) + _shot(concept.second, mode, FRAMES - first, rng)
    return np.stack([paint(ground_HWC, ink, ink_HW, look.noise, rng) for ink_HW in inks])


def blank() -> np.ndarray:
    """The empty clip that an embedding starts from."""
    return np.full((FRAMES, SIZE, SIZE, 3), BLANK_LEVEL, dtype=np.uint8)
