"""Small media made on the spot: a clip whose frame i is of grey level 8 i, and tones."""

from __future__ import annotations

import io

import av
import numpy as np
import soundfile
from PIL import Image


def png(level: int = 0, size: tuple[int, int] = (20, 10)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (level, level, level)).save(file, "PNG")
    return file.getvalue()


def clip(frames: list[Image.Image], fps: int = 8, container: str = "mp4", codec: str = "mpeg4") -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=fps)
        stream.width, stream.height = frames[0].size
        stream.pix_fmt, stream.bit_rate = "yuv420p", 4_000_000
        for frame in frames:
            output.mux(stream.encode(av.VideoFrame.from_image(frame)))
        output.mux(stream.encode())
    return file.getvalue()


def grey_clip(count: int = 32, size: tuple[int, int] = (64, 48), **options: object) -> bytes:
    return clip([Image.new("RGB", size, (8 * i, 8 * i, 8 * i)) for i in range(count)], **options)  # type: ignore[arg-type]


def tone(seconds: float, rate: int, hertz: float = 440.0, loudness: float = 0.5) -> np.ndarray:
    return loudness * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def sound(samples_TC: np.ndarray, rate: int, kind: str = "WAV", subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples_TC, rate, format=kind, subtype=subtype)
    return file.getvalue()


def aac(samples_T: np.ndarray, rate: int) -> bytes:
    """The sound in an MP4 container, which libsndfile does not read."""
    file = io.BytesIO()
    with av.open(file, "w", format="ipod") as output:
        stream = output.add_stream("aac", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples_T[None].astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = rate, 0
        output.mux(
            [packet for part in av.AudioResampler(frame_size=1024).resample(frame) for packet in stream.encode(part)]
        )
        output.mux(stream.encode())
    return file.getvalue()
