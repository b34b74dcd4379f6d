"""Sounds of concepts: two seconds at 16 kHz, made from (concept, mode, style, seed, split) alone.

Belongs here: the tone language. A letter is two tones at once, one of five low and one of six high ones, so a word is
heard letter by letter and unknown words can be spelled; a jingle is six notes from the word's digest, in a band of its
own: a sound of the word that is not made of letters. Every split has its own voices. Needs numpy only.
"""

import hashlib
from dataclasses import dataclass
from functools import cache

import numpy as np

from sea.micro.concepts import Concept, seed_of

RATE = 16_000  # samples a second
SECONDS = 2
MODES = ("spelled", "jingle", "both")
_LOW_HZ = 400 * 1.26 ** np.arange(5)
_HIGH_HZ = 1300 * 1.22 ** np.arange(6)
_NOTE_HZ = 4300 * 1.1 ** np.arange(6)
_NOTES = 6
_NOTE_SECONDS = 0.10
_GAP_SECONDS = 0.10  # between the words
_RAMP_SECONDS = 0.008  # of a tone's rise and fall


@dataclass(frozen=True, slots=True)
class Style:
    """What accompanies or bends the voice. Amplitudes are relative to a tone's."""

    noise: float = 0.01
    hum: float = 0.0  # a deep drone
    buzz: float = 0.0  # a square wave of 100 Hz, whose harmonics lie under everything
    tremor: float = 0.0  # depth of a 14 Hz tremolo
    echo: float = 0.0


STYLES = {
    "clear": Style(),
    "noisy": Style(noise=0.5),
    "humming": Style(hum=0.7),
    "trembling": Style(tremor=0.6),
    "echoing": Style(echo=0.4),
    "buzzing": Style(buzz=0.25),
}
# Pitch and seconds a letter of the voices; each split has its own.
VOICES = {
    "train": ((1.00, 0.080), (1.02, 0.086), (0.98, 0.090), (1.01, 0.083)),
    "dev": ((0.99, 0.084), (1.015, 0.088)),
    "test": ((1.005, 0.082), (0.985, 0.087)),
}


@cache
def _notes(word: str) -> tuple[int, ...]:
    return tuple(byte % len(_NOTE_HZ) for byte in hashlib.sha256(f"tune {word}".encode()).digest()[:_NOTES])


def _tones(hertz: list[float], seconds: float, loudness: np.ndarray) -> np.ndarray:
    """Tones one after the other, in one phase, each with a soft start and end."""
    length, ramp = round(seconds * RATE), round(_RAMP_SECONDS * RATE)
    phase_T = np.cumsum(np.repeat(np.array(hertz), length)) * (2 * np.pi / RATE)
    envelope = np.minimum(1.0, np.minimum(np.arange(length), np.arange(length)[::-1]) / ramp)
    sound_T: np.ndarray = np.sin(phase_T) * np.outer(loudness, envelope).ravel()
    return sound_T


def _say(word: str, mode: str, pitch: float, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """One word: letters, jingle, or both at once."""
    letters = [ord(letter) - ord("a") for letter in word]
    loudness = rng.uniform(0.7, 1.0, max(len(letters), _NOTES))
    parts = []
    if mode in ("spelled", "both"):
        for band in ([_LOW_HZ[n // 6] for n in letters], [_HIGH_HZ[n % 6] for n in letters]):
            parts.append(_tones([hz * pitch for hz in band], seconds, loudness[: len(letters)]))
    if mode in ("jingle", "both"):
        notes = [_NOTE_HZ[n] * pitch for n in _notes(word)]
        parts.append(_tones(notes, _NOTE_SECONDS * seconds / 0.085, loudness[:_NOTES]))
    word_T = np.zeros(max(map(len, parts)))
    for part in parts:
        word_T[: len(part)] += part
    return word_T


def render(concept: Concept, mode: str, style: str, seed: int, split: str = "train") -> np.ndarray:
    """The sound of a concept: float32 samples (32000,), within -1 and 1."""
    if mode not in MODES:
        raise ValueError(f"mode {mode!r} is none of {', '.join(MODES)}")
    if style not in STYLES:
        raise ValueError(f"style {style!r} is none of {', '.join(STYLES)}")
    look = STYLES[style]
    rng = np.random.default_rng(seed_of("sound", split, seed, concept.first, concept.second, mode, style))
    pitch, seconds = VOICES[split][int(rng.integers(len(VOICES[split])))]
    pitch, seconds = pitch * rng.uniform(0.99, 1.01), seconds * rng.uniform(0.97, 1.03)
    sound_T = np.zeros(RATE * SECONDS)
    start = round(rng.uniform(0.02, 0.1) * RATE)
    for word in (concept.first, concept.second):
        word_T = _say(word, mode, pitch, seconds, rng)[: len(sound_T) - start]
        sound_T[start : start + len(word_T)] += word_T
        start += len(word_T) + round(_GAP_SECONDS * RATE)
    time_T = np.arange(len(sound_T)) / RATE
    if look.tremor:
        sound_T *= 1 - look.tremor * (0.5 + 0.5 * np.sin(2 * np.pi * (14 * time_T + rng.random())))
    if look.echo:
        delay = round(0.13 * RATE)
        sound_T[delay:] += look.echo * sound_T[:-delay]
    if look.hum:
        sound_T += look.hum * np.sin(2 * np.pi * rng.uniform(110, 150) * time_T)
    if look.buzz:
        sound_T += look.buzz * np.sign(np.sin(2 * np.pi * (rng.uniform(95, 105) * time_T)))
    sound_T += look.noise * rng.standard_normal(len(sound_T), dtype=np.float32)
    sound_T *= rng.uniform(0.5, 0.9) / np.abs(sound_T).max()
    return sound_T.astype(np.float32)


def blank() -> np.ndarray:
    """The empty sound that an embedding starts from."""
    return np.zeros(RATE * SECONDS, dtype=np.float32)
