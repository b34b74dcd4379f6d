"""Pictures of concepts: 64x64 RGB arrays, drawn from (concept, mode, style, seed, split) alone.

Belongs here: modes, styles, layout, jitter, noise. The same arguments give the same bytes in every process. A split has
its own jitter seeds and its own tints, so a test picture is never a training picture. Needs numpy and pillow only.
"""

import hashlib
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sea.micro.concepts import Concept, seed_of

SIZE = 64
MODES = ("typographic", "icon", "both")
BLANK_LEVEL = 128  # grey of the blank picture


@dataclass(frozen=True, slots=True)
class Style:
    """Colours of ground and ink, the spread of the pixel noise, and whether thin lines cross the ground."""

    ground: tuple[int, int, int]
    ink: tuple[int, int, int]
    noise: float = 3.0
    lined: bool = False


STYLES = {
    "bright": Style((245, 245, 245), (20, 20, 20)),
    "dark": Style((15, 15, 20), (235, 235, 235)),
    "warm": Style((235, 150, 70), (90, 15, 5)),
    "cool": Style((60, 110, 200), (235, 240, 255)),
    "noisy": Style((128, 128, 128), (250, 250, 250), noise=26.0),
    "sketch": Style((225, 225, 215), (90, 90, 90), lined=True),
}
# RGB shifts of ground and ink; each split has its own.
TINTS = {
    "train": ((0, 0, 0), (10, 0, -10), (-10, 5, 5), (0, 10, -5)),
    "dev": ((7, -7, 0), (-5, 0, 8)),
    "test": ((-7, 3, 7), (5, 5, -9)),
}
_ICON_CELLS = 7
_JITTER_RGB = 14


@cache
def _icon(word: str) -> np.ndarray:
    """A left-right symmetric 7x7 pattern from the word's digest: a picture of the word that is not made of letters."""
    half = (_ICON_CELLS + 1) // 2
    bits = np.unpackbits(np.frombuffer(hashlib.sha256(word.encode()).digest(), dtype=np.uint8))
    left = bits[: _ICON_CELLS * half].reshape(_ICON_CELLS, half)
    return np.concatenate([left, left[:, : _ICON_CELLS // 2][:, ::-1]], axis=1)


@cache
def word_mask(word: str, font_px: int) -> np.ndarray:
    """The word's ink as values in 0..1, cropped; the font shrinks until the word fits the width."""
    while True:
        font = ImageFont.load_default(font_px)
        left, top, right, bottom = (round(edge) for edge in font.getbbox(word))
        if right - left <= SIZE - 2 or font_px <= 7:
            break
        font_px -= 1
    canvas = Image.new("L", (right - left, bottom - top), 0)
    ImageDraw.Draw(canvas).text((-left, -top), word, font=font, fill=255)
    return np.asarray(canvas, dtype=np.float32)[:, :SIZE] / 255


@cache
def icon_mask(word: str, cell_px: int) -> np.ndarray:
    """The word's icon as values in 0..1."""
    return np.kron(_icon(word), np.ones((cell_px, cell_px))).astype(np.float32)


def place(ink_HW: np.ndarray, mask: np.ndarray, x: int, y: int) -> None:
    """Put ink at a place, or as near to it as the edges allow."""
    x, y = min(x, SIZE - mask.shape[1]), min(y, SIZE - mask.shape[0])
    region = ink_HW[y : y + mask.shape[0], x : x + mask.shape[1]]
    np.maximum(region, mask, out=region)


def _draw_ink(first: str, second: str, mode: str, rng: np.random.Generator) -> np.ndarray:
    """Where the ink goes, 0..1: first word above or left of the second word, as letters, icons or both."""
    ink_HW = np.zeros((SIZE, SIZE), dtype=np.float32)

    def jitter(limit: int) -> int:
        return int(rng.integers(0, limit + 1))

    def write(word: str, y: int, font_px: int) -> None:
        mask = word_mask(word, font_px)
        slack = max(0, SIZE - 2 - mask.shape[1])
        place(ink_HW, mask, 1 + jitter(min(2, slack)), y)

    if mode == "typographic":
        write(first, 13 + jitter(2), 13)
        write(second, 38 + jitter(2), 13)
    elif mode == "icon":
        y = 16 + jitter(2)
        place(ink_HW, icon_mask(first, 4), 1 + jitter(2), y)
        place(ink_HW, icon_mask(second, 4), 33 + jitter(2), y)
    elif mode == "both":
        y = 1 + jitter(2)
        place(ink_HW, icon_mask(first, 3), 5 + jitter(2), y)
        place(ink_HW, icon_mask(second, 3), 37 + jitter(2), y)
        write(first, 27 + jitter(2), 12)
        write(second, 46 + jitter(2), 12)
    else:
        raise ValueError(f"mode {mode!r} is none of {', '.join(MODES)}")
    return ink_HW


def look_of(style: str) -> Style:
    """The style of a name."""
    if style not in STYLES:
        raise ValueError(f"style {style!r} is none of {', '.join(STYLES)}")
    return STYLES[style]


def paints(look: Style, split: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The ground (64, 64, 3) without anything on it, and the colour of the ink (3,)."""
    tint = np.array(TINTS[split][int(rng.integers(len(TINTS[split])))], dtype=np.float32)
    ground = np.array(look.ground, dtype=np.float32) + tint + rng.integers(-_JITTER_RGB, _JITTER_RGB + 1, 3)
    ink = np.array(look.ink, dtype=np.float32) + tint + rng.integers(-_JITTER_RGB, _JITTER_RGB + 1, 3)
    ground_HWC = np.broadcast_to(ground, (SIZE, SIZE, 3))
    if look.lined:
        rows, columns = np.indices((SIZE, SIZE))
        lines_HW = (rows + columns + int(rng.integers(9))) % 9 == 0
        ground_HWC = np.where(lines_HW[..., None], ground - 30, ground)
    return ground_HWC, ink


def paint(
    ground_HWC: np.ndarray, ink: np.ndarray, ink_HW: np.ndarray, noise: float, rng: np.random.Generator
) -> np.ndarray:
    """Ink on the ground, and grain over both: uint8 (64, 64, 3)."""
    ink_HW1 = ink_HW[..., None]
    picture_HWC = ground_HWC * (1 - ink_HW1) + ink * ink_HW1
    picture_HWC = picture_HWC + rng.standard_normal((SIZE, SIZE, 3), dtype=np.float32) * noise
    pixels_HWC: np.ndarray = np.clip(np.rint(picture_HWC), 0, 255).astype(np.uint8)
    return pixels_HWC


def render(concept: Concept, mode: str, style: str, seed: int, split: str = "train") -> np.ndarray:
    """The picture of a concept: uint8 array (64, 64, 3)."""
    look = look_of(style)
    rng = np.random.default_rng(seed_of("picture", split, seed, concept.first, concept.second, mode, style))
    ground_HWC, ink = paints(look, split, rng)
    return paint(ground_HWC, ink, _draw_ink(concept.first, concept.second, mode, rng), look.noise, rng)


def blank() -> np.ndarray:
    """The empty picture that an embedding starts from."""
    return np.full((SIZE, SIZE, 3), BLANK_LEVEL, dtype=np.uint8)
