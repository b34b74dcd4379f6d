"""Media as people have them, before any processor: what a moving or a sounding one is, blank ones, and reading files.

Belongs here: pixels and samples. Does not belong here: what a model does with them, and which file is whose.

A file is data from anywhere: what cannot be read raises `MediumError`, whatever the decoder raised, before anything of
more than the limits below is decoded. Shape suffixes: T samples of a sound, C its channels.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageOps

from sea.console import SeaError

MODALITIES = ("image", "video", "audio")  # those that `read` knows
MAX_PIXELS = Image.MAX_IMAGE_PIXELS or 2**26  # of a picture or a frame: Pillow's own limit, about 9,500 x 9,500
MAX_SECONDS = 3600.0  # of a clip, whose frames are decoded one after another up to the last that is wanted

# What PyAV may take a file for. Playlists and scripts (hls, dash, concat, sdp) are not among them: such a file names
# others, which FFmpeg would open, wherever they lie.
CONTAINERS = "mov,mp4,matroska,webm,avi,flv,mpeg,mpegts,asf,ogg,gif,apng,m4v,mjpeg,mp3,aac,amr,wav,w64,aiff,au,caf,flac"

Source = Path | bytes


@dataclass(frozen=True)
class Video:
    """A clip as the frames that a model is to see.

    Attributes:
        frames: RGB, all of one size, in order.
        fps: frames a second of these frames (not of the file that they were sampled from).
    """

    frames: list[Image.Image]
    fps: float


@dataclass(frozen=True)
class Sound:
    """One channel of sound.

    Attributes:
        samples_T: float32, -1 to 1.
        rate: samples a second.
    """

    samples_T: np.ndarray
    rate: int


def blank_image(width: int, height: int, fill: int) -> Image.Image:
    """One grey RGB image.

    Args:
        width: pixels.
        height: pixels.
        fill: the value of every channel, 0 (black) to 255 (white). The paper says only "blank image".
    """
    if min(width, height) < 1 or not 0 <= fill <= 255:
        raise SeaError(
            f"model.blank: no image is {width} x {height} of grey {fill}; "
            "type e.g. {width: 336, height: 336, fill: 255}"
        )
    return Image.new("RGB", (width, height), (fill, fill, fill))


def blank_video(frames: int, width: int, height: int, fill: int, fps: float) -> Video:
    """A clip in which nothing is to be seen. The paper says only "blank video".

    Args:
        frames: how many.
        width: pixels.
        height: pixels.
        fill: the value of every channel, 0 (black) to 255 (white).
        fps: frames a second; some models write the time of each frame into the prompt.
    """
    if frames < 1 or fps <= 0:
        raise SeaError(
            f"model.blank: no clip has {frames} frames at {fps} a second; type e.g. {{frames: 8, fps: 2, ...}}"
        )
    return Video([blank_image(width, height, fill)] * frames, fps)


def silence(seconds: float, rate: int) -> Sound:
    """A sound in which nothing is to be heard ("silent audio" in the paper).

    Args:
        seconds: its length.
        rate: samples a second; 16,000 for the speech encoders of today.
    """
    if seconds <= 0 or rate < 1:
        raise SeaError(
            f"model.blank: no sound has {seconds} seconds at {rate} samples a second; type e.g. {{seconds: 30}}"
        )
    return Sound(np.zeros(round(seconds * rate), dtype=np.float32), rate)


# ------------------------------------------------------------------------------------------------ reading


class MediumError(Exception):
    """A medium that cannot be read; the text says why in a few words, and nothing of what it holds."""


@dataclass(frozen=True)
class Form:
    """What a model takes its media as.

    Attributes:
        modality: image, video, audio; or one that this file does not know.
        frames: of a clip, spread evenly over it.
        rate: samples a second of a sound.
        seconds: the longest sound that is taken; encoders listen to a window (30 s for Whisper's kind), and a sound
            whose end would be lost in silence is refused instead.
    """

    modality: str
    frames: int = 8
    rate: int = 16_000
    seconds: float = 30.0

    @classmethod
    def of(cls, modality: str, blank: dict[str, Any]) -> Form:
        """The form of a model's media: as its blank medium is, where that says it (`blank` of the model's YAML)."""
        return cls(modality).but(**{name: blank[name] for name in ("frames", "rate", "seconds") if name in blank})

    def but(self, frames: int | None = None, rate: int | None = None, seconds: float | None = None) -> Form:
        """The same with what is given (not None) in place of its own."""
        for name, value in (("frames", frames), ("rate", rate), ("seconds", seconds)):
            if value is not None and not value > 0:
                raise SeaError(f"{name}={value} cannot work: no medium has that; type a positive number")
        return replace(
            self, frames=frames or self.frames, rate=rate or self.rate, seconds=float(seconds or self.seconds)
        )


def read(source: Source, form: Form) -> Image.Image | Video | Sound:
    """A medium of `form.modality`.

    Raises:
        MediumError: damaged, empty, too large, or no medium of this modality.
        SeaError: a modality that this file does not know.
    """
    if form.modality == "image":
        return read_image(source)
    if form.modality == "video":
        return read_video(source, form.frames)
    if form.modality == "audio":
        return read_sound(source, form.rate, form.seconds)
    raise SeaError(
        f"no file is known to hold {form.modality}: sea reads {', '.join(MODALITIES)} from files; "
        "a mediaset with a reader of its own gives anything else"
    )


def read_image(source: Source) -> Image.Image:
    """A picture, upright as a person sees it (EXIF), in RGB; of an animation the first frame.

    Raises:
        MediumError: it is no picture, damaged, or larger than MAX_PIXELS.
    """
    with _decoder_errors(), warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with _opened(source) as file, Image.open(file) as image:  # reads the header alone
            _refuse_large(image.width, image.height)
            return ImageOps.exif_transpose(image).convert("RGB")


def read_video(source: Source, frames: int) -> Video:
    """A clip as `frames` frames: the clip is cut into as many equal times, and each gives the frame at its middle.

    A clip of fewer frames gives some of them twice. Frames stand upright (display matrix). Animated GIF and PNG are
    clips; animated WebP is not, as FFmpeg does not decode it.

    Args:
        frames: how many.

    Returns:
        A Video whose `fps` is `frames` over the clip's duration.

    Raises:
        MediumError: no clip, damaged, longer than MAX_SECONDS, or frames larger than MAX_PIXELS.
    """
    import av

    with _decoder_errors():
        with _container(source) as container:
            stream = _first(container.streams.video, "picture")
            _refuse_large(stream.codec_context.width, stream.codec_context.height)
            start, seconds = _times(container, stream)
        with _container(source) as container:  # anew: what was demuxed cannot be rewound in every container
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            taken = _frames_at(
                (frame for frame in container.decode(stream) if isinstance(frame, av.VideoFrame)),
                [start + seconds * Fraction(2 * place + 1, 2 * frames) for place in range(frames)],
            )
        if len({image.size for image in taken}) > 1:
            raise MediumError("its frames change in size")
        return Video(taken, float(frames / seconds))


def read_sound(source: Source, rate: int, seconds: float) -> Sound:
    """A sound as one channel (the mean of all) at `rate` samples a second.

    Read by libsndfile (wav, flac, ogg, mp3), else by FFmpeg (m4a, aac, the sound of a clip). Resampled by FFmpeg's
    swresample, which keeps the time: sample t stands at t / rate before and after.

    Args:
        rate: samples a second.
        seconds: the longest that is taken.

    Raises:
        MediumError: no sound, damaged, empty, longer than `seconds`, or with samples that are no numbers.
    """
    with _decoder_errors():
        samples_CT, own_rate = _samples(source, seconds)
        if samples_CT.shape[1] > seconds * own_rate:
            raise MediumError(f"it lasts longer than seconds={seconds:g}")
        samples_T = _resampled(samples_CT.mean(axis=0, dtype=np.float32), own_rate, rate)
        if not samples_T.size:
            raise MediumError("it is empty")
        if not np.isfinite(samples_T).all():
            raise MediumError("it holds samples that are no numbers")
        return Sound(samples_T, rate)


@contextlib.contextmanager
def _decoder_errors() -> Iterator[None]:
    """Decoders raise any of a dozen types for a damaged file: give them one."""
    try:
        yield
    except (MediumError, SeaError):
        raise
    except Exception as error:
        raise MediumError(type(error).__name__) from error


@contextlib.contextmanager
def _opened(source: Source) -> Iterator[IO[bytes]]:
    """The source as an open file. Never by its name: FFmpeg takes a name for a URL, and a pipe would never end."""
    if isinstance(source, bytes):
        if not source:
            raise MediumError("it is empty")
        yield io.BytesIO(source)
        return
    if source.exists() and not source.is_file():
        raise MediumError("it is no file")
    with source.open("rb") as file:
        if not source.stat().st_size:
            raise MediumError("it is empty")
        yield file


def _refuse_large(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise MediumError(f"{width} x {height} pixels are too many")


@contextlib.contextmanager
def _container(source: Source) -> Iterator[Any]:
    import av

    with _opened(source) as file:
        try:
            container = av.open(file, options={"format_whitelist": CONTAINERS})
        except av.ArgumentError as error:  # what FFmpeg says of a format outside the list
            raise MediumError("a file of its kind is not read") from error
        with container:
            yield container


def _first(streams: Any, what: str) -> Any:
    if not streams:
        raise MediumError(f"it has no {what}")
    return streams[0]


def _times(container: Any, stream: Any) -> tuple[Fraction, Fraction]:
    """When a clip starts and how long it lasts, in seconds, from its packets: nothing is decoded for it."""
    first: int | None = None
    end, packets, longest = 0, 0, MAX_SECONDS / stream.time_base
    for packet in container.demux(stream):
        if packet.pts is None:  # the end of the stream, or a container without times
            continue
        packets += 1
        first = packet.pts if first is None else min(first, packet.pts)
        end = max(end, packet.pts + (packet.duration or 0))
        if end - first > longest:
            raise MediumError(f"it lasts longer than {MAX_SECONDS:.0f} seconds")
    if first is None:
        raise MediumError("it has no frame, or says no times")
    if end <= first:  # a single picture, or durations that are not said
        rate = stream.average_rate or stream.guessed_rate or 1
        return first * stream.time_base, Fraction(packets) / Fraction(rate)
    return first * stream.time_base, (end - first) * stream.time_base


def _frames_at(frames: Iterator[Any], times: list[Fraction]) -> list[Image.Image]:
    """The picture that is shown at each of some increasing times, in seconds; only these leave the decoder's format."""
    shown, wanted, taken = None, list(reversed(times)), list[Image.Image]()
    for frame in frames:
        while shown is not None and wanted and frame.pts is not None and frame.pts * frame.time_base > wanted[-1]:
            taken.append(_upright(shown))
            wanted.pop()
        if not wanted:
            break
        shown = frame
    if shown is None:
        raise MediumError("it has no frame")
    return taken + [_upright(shown)] * len(wanted)


def _upright(frame: Any) -> Image.Image:
    """A decoded frame as RGB, turned as the camera said."""
    _refuse_large(frame.width, frame.height)
    image: Image.Image = frame.to_image()
    return image.rotate(frame.rotation, expand=True) if frame.rotation else image


def _samples(source: Source, seconds: float) -> tuple[np.ndarray, int]:
    """samples_CT as float32 and their rate; one more than `seconds` hold when there are more."""
    import soundfile

    try:
        with _opened(source) as file, soundfile.SoundFile(file) as sound:
            samples_TC = sound.read(int(seconds * sound.samplerate) + 1, dtype="float32", always_2d=True)
            return np.ascontiguousarray(samples_TC.T), int(sound.samplerate)
    except soundfile.LibsndfileError:
        return _samples_of_container(source, seconds)


def _samples_of_container(source: Source, seconds: float) -> tuple[np.ndarray, int]:
    import av

    with _container(source) as container:
        stream = _first(container.streams.audio, "sound")
        to_float, parts, count = av.AudioResampler(format="fltp"), list[np.ndarray](), 0
        for frame in container.decode(stream):
            for part in to_float.resample(frame):
                parts.append(part.to_ndarray())
                count += part.samples
            if count > seconds * stream.rate:
                break
        if not parts:
            raise MediumError("it is empty")
        return np.concatenate(parts, axis=1), int(stream.rate)


def _resampled(samples_T: np.ndarray, own_rate: int, rate: int) -> np.ndarray:
    """The same sound at another rate: ceil(T * rate / own_rate) samples."""
    import av

    if own_rate == rate or not samples_T.size:
        return samples_T
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=rate)
    frame = av.AudioFrame.from_ndarray(samples_T[None], format="fltp", layout="mono")
    frame.sample_rate = own_rate
    parts = [part.to_ndarray()[0] for part in (*resampler.resample(frame), *resampler.resample(None))]
    return np.concatenate([np.zeros(0, np.float32), *parts])
