"""Reading media: what a person sees and hears, from a path as from bytes, and one error for whatever cannot be read."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sea import media
from sea.console import SeaError
from sea.media import Form, MediumError, read, read_image, read_sound, read_video
from tests.media_files import aac, clip, grey_clip, png, sound, tone


def levels(video: media.Video) -> list[int]:
    return [frame.getpixel((5, 5))[0] for frame in video.frames]  # type: ignore[index]


def why(call: object) -> str:
    with pytest.raises(MediumError) as error:
        call()  # type: ignore[operator]
    return str(error.value)


# ------------------------------------------------------------------------------------------------ images


def test_an_image_stands_upright_in_rgb() -> None:
    turned = Image.new("L", (20, 10), 7)
    turned.putpixel((0, 0), 255)
    exif = turned.getexif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    file = io.BytesIO()
    turned.save(file, "PNG", exif=exif)
    image = read_image(file.getvalue())
    assert (image.mode, image.size) == ("RGB", (10, 20))
    assert image.getpixel((9, 0)) == (255, 255, 255)  # the top left corner is the top right one now


def test_of_an_animation_the_first_frame() -> None:
    file = io.BytesIO()
    frames = [Image.new("RGB", (8, 8), (level, 0, 0)) for level in (10, 200)]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=100)
    assert read_image(file.getvalue()).getpixel((1, 1)) == (10, 0, 0)


def test_an_image_that_would_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    big = png(size=(200, 100))
    monkeypatch.setattr(media, "MAX_PIXELS", 20_000)
    assert read_image(big).size == (200, 100)
    monkeypatch.setattr(media, "MAX_PIXELS", 19_999)
    assert why(lambda: read_image(big)) == "200 x 100 pixels are too many"
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 15_000)  # Pillow only warns up to twice its limit
    assert why(lambda: read_image(big)) == "DecompressionBombWarning"


# ------------------------------------------------------------------------------------------------ clips


@pytest.mark.parametrize(
    ("container", "codec"), [("mp4", "mpeg4"), ("matroska", "mpeg4"), ("avi", "mpeg4"), ("mpegts", "mpeg2video")]
)
def test_frames_are_spread_evenly_over_a_clip(container: str, codec: str) -> None:
    video = read_video(grey_clip(32, container=container, codec=codec), 8)  # 4 seconds, 8 frames a second
    assert np.abs(np.array(levels(video)) - 8 * np.arange(2, 32, 4)).max() <= 2  # frame 2 is shown at 0.25 s, ...
    assert video.fps == 2
    assert all((frame.mode, frame.size) == ("RGB", (64, 48)) for frame in video.frames)


@pytest.mark.parametrize(("wanted", "shown"), [(1, [16]), (3, [5, 16, 26]), (32, list(range(32)))])
def test_any_number_of_frames(wanted: int, shown: list[int]) -> None:
    assert np.abs(np.array(levels(read_video(grey_clip(32), wanted))) - 8 * np.array(shown)).max() <= 2


def test_a_short_clip_gives_frames_twice() -> None:
    video = read_video(grey_clip(3), 6)
    assert np.abs(np.array(levels(video)) - [0, 0, 8, 8, 16, 16]).max() <= 2
    assert video.fps == 16  # six frames in 3/8 of a second


def test_frames_are_spread_over_the_time_not_over_the_frames() -> None:
    frames = [Image.new("RGB", (16, 16), (level,) * 3) for level in (0, 100, 200)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=[800, 100, 100])
    video = read_video(file.getvalue(), 10)
    assert levels(video) == [0] * 8 + [100, 200]
    assert video.fps == 10


def test_a_clip_stands_upright() -> None:
    frame = Image.new("RGB", (64, 32))
    frame.paste((255, 255, 255), (0, 0, 32, 32))  # the left half is white
    data = bytearray(clip([frame] * 2))
    matrix = data.index(b"tkhd") + 4 + 4 + 5 * 4 + 8 + 8  # ISO 14496-12, 8.3.2
    assert struct.unpack_from(">9i", data, matrix)[:5] == (65536, 0, 0, 0, 65536)
    struct.pack_into(">9i", data, matrix, 0, 65536, 0, -65536, 0, 0, 0, 0, 2**30)  # 90 degrees clockwise
    (shown,) = read_video(bytes(data), 1).frames
    assert shown.size == (32, 64)
    assert shown.getpixel((16, 8))[0] > 240 and shown.getpixel((16, 56))[0] < 15  # now the upper half is


def test_a_clip_that_would_take_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    data = grey_clip(32)
    monkeypatch.setattr(media, "MAX_SECONDS", 3.9)
    monkeypatch.setattr(media, "_frames_at", lambda frames, times: pytest.fail("it was decoded"))
    assert why(lambda: read_video(data, 2)) == "it lasts longer than 4 seconds"
    monkeypatch.setattr(media, "MAX_PIXELS", 64 * 48 - 1)
    assert why(lambda: read_video(data, 2)) == "64 x 48 pixels are too many"


def test_no_more_is_decoded_than_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    real, seen = media._frames_at, []

    def counted(frames, times):
        return real((seen.append(1) or frame for frame in frames), times)

    monkeypatch.setattr(media, "_frames_at", counted)
    read_video(grey_clip(32), 1)
    assert len(seen) == 18  # the frame at the middle is known by the next one


def test_a_playlist_opens_no_other_file(tmp_path: Path) -> None:
    (tmp_path / "secret.ts").write_bytes(grey_clip(8, container="mpegts", codec="mpeg2video"))
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:1", "#EXTINF:1,", f"{tmp_path}/secret.ts", "#EXT-X-ENDLIST", ""]
    concat = f"ffconcat version 1.0\nfile '{tmp_path}/secret.ts'\n"
    for name, text in (("clip.m3u8", "\n".join(lines)), ("clip.ffconcat", concat), ("clip.mp4", concat)):
        (tmp_path / name).write_text(text)
        assert why(lambda name=name: read_video(tmp_path / name, 2)) == "a file of its kind is not read"


# ------------------------------------------------------------------------------------------------ sounds


@pytest.mark.parametrize(("kind", "tolerance"), [("WAV", 1e-4), ("FLAC", 1e-4), ("OGG", 0.02), ("MP3", 0.02)])
def test_a_sound_is_one_channel_at_the_rate_asked_for(kind: str, tolerance: float) -> None:
    stereo_TC = np.stack([tone(1.0, 44_100), np.zeros(44_100)], axis=1)
    heard = read_sound(sound(stereo_TC, 44_100, kind), 16_000, 30)
    assert (heard.rate, heard.samples_T.dtype, heard.samples_T.shape) == (16_000, np.float32, (16_000,))
    assert np.abs(heard.samples_T - tone(1.0, 16_000, loudness=0.25))[400:-400].max() < tolerance  # the mean of both


@pytest.mark.parametrize(
    ("own", "asked", "length"), [(16_000, 16_000, 1601), (8_000, 16_000, 3202), (48_000, 16_000, 534)]
)
def test_a_sound_keeps_its_length(own: int, asked: int, length: int) -> None:
    assert len(read_sound(sound(tone(1601 / own, own), own), asked, 30).samples_T) == length


def test_what_lies_above_the_new_rate_is_not_folded_back() -> None:
    heard = read_sound(sound(tone(1.0, 44_100, hertz=12_000), 44_100), 16_000, 30)
    assert np.abs(heard.samples_T[400:-400]).max() < 1e-3  # a bare pick of samples would leave a tone of 4 kHz


def test_the_sound_of_a_container_that_libsndfile_does_not_read() -> None:
    heard = read_sound(aac(tone(1.0, 16_000), 16_000), 16_000, 30)
    assert abs(len(heard.samples_T) - 16_000) <= 2048  # AAC fills its frames up
    spectrum = np.abs(np.fft.rfft(heard.samples_T))
    assert spectrum.argmax() * 16_000 / len(heard.samples_T) == pytest.approx(440, abs=2)
    assert heard.samples_T.std() == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


def test_a_sound_is_never_cut() -> None:
    for data in (sound(tone(1.0, 16_000), 16_000), aac(tone(1.0, 16_000), 16_000)):
        assert why(lambda data=data: read_sound(data, 16_000, 0.9)) == "it lasts longer than seconds=0.9"
    assert len(read_sound(sound(tone(1.0, 16_000), 16_000), 16_000, 1.0).samples_T) == 16_000


def test_a_sound_that_is_none() -> None:
    assert why(lambda: read_sound(sound(np.zeros(0), 16_000), 16_000, 30)) == "it is empty"
    broken = tone(0.1, 16_000)
    broken[5] = np.nan
    data = sound(broken, 16_000, subtype="FLOAT")
    assert why(lambda: read_sound(data, 16_000, 30)) == "it holds samples that are no numbers"
    assert why(lambda: read_sound(grey_clip(4), 16_000, 30)) == "it has no sound"
    assert why(lambda: read_video(aac(tone(0.1, 16_000), 16_000), 4)) == "it has no picture"


# ------------------------------------------------------------------------------------------------ any

GOOD = {"image": png(9), "video": grey_clip(8), "audio": sound(tone(0.2, 22_050), 22_050, "FLAC")}


def content(medium: object) -> bytes:
    if isinstance(medium, media.Video):
        return b"".join(frame.tobytes() for frame in medium.frames) + str(medium.fps).encode()
    return medium.samples_T.tobytes() if isinstance(medium, media.Sound) else medium.tobytes()  # type: ignore[attr-defined]


@pytest.mark.parametrize("modality", GOOD)
def test_a_path_is_as_good_as_bytes(tmp_path: Path, modality: str) -> None:
    path = tmp_path / "medium"
    path.write_bytes(GOOD[modality])
    assert content(read(path, Form(modality))) == content(read(GOOD[modality], Form(modality)))


@pytest.mark.parametrize("modality", GOOD)
def test_whatever_cannot_be_read_is_one_error(tmp_path: Path, modality: str) -> None:
    form = Form(modality)
    for data in (b"", b"no medium", GOOD[modality][: len(GOOD[modality]) // 8], os.urandom(1000)):
        (tmp_path / "medium").write_bytes(data)
        assert why(lambda data=data: read(data, form)) == why(lambda: read(tmp_path / "medium", form))
    assert why(lambda: read(tmp_path / "absent", form)) == "FileNotFoundError"
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
    for path in (tmp_path, tmp_path / "pipe"):
        assert why(lambda path=path: read(path, form)) == "it is no file"


def test_a_form_is_the_blank_medium_s_own() -> None:
    assert Form.of("video", {"frames": 4, "width": 9, "fps": 2.0}) == Form("video", frames=4)
    assert Form.of("audio", {"seconds": 10}) == Form("audio", rate=16_000, seconds=10.0)
    assert Form("audio").but(rate=8_000) == Form("audio", rate=8_000)
    assert len(read(GOOD["video"], Form("video", frames=3)).frames) == 3  # type: ignore[union-attr]
    with pytest.raises(SeaError, match="frames=0 cannot work"):
        Form("video").but(frames=0)
    with pytest.raises(SeaError, match="no file is known to hold biosignal: sea reads image, video, audio"):
        read(b"x", Form("biosignal"))


def test_decoders_are_imported_when_they_are_needed() -> None:
    code = "import sys, sea.media; sys.exit(bool({'av', 'soundfile', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
