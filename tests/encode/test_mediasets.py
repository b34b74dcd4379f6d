"""Readers: a medium or a reason for every sample, and nothing read that a file was not allowed to name."""

import dataclasses
import json

import pytest
from PIL import Image

from sea.config import MediaSetConfig
from sea.console import SeaError
from sea.encode.mediasets import fingerprint, modality, read
from sea.micro.world import MODES, STYLES
from sea.records import SAMPLES, Reject, Sample, read_jsonl
from sea.runs import find

FOUND = find("prepare", "builtin:micro", "runs", lambda manifest: None)
ALL = read_jsonl(FOUND.path / SAMPLES, Sample)
MICRO = MediaSetConfig("micro", "micro", {"modes": list(MODES)})


def test_micro_shows_every_sample_its_own_concept():
    media = dict(read(MICRO, ALL, 0))
    assert list(media) == [sample.id for sample in ALL]
    assert all(image.size == (64, 64) and image.mode == "RGB" for image in media.values())
    assert len({media[s.id].tobytes() for s in ALL}) == len(ALL)  # jitter is the sample's own


def test_micro_draws_exactly_what_the_world_draws(monkeypatch):
    import sea.encode.mediasets.micro as micro

    drawn = []
    real = micro.render
    monkeypatch.setattr(micro, "render", lambda *args: drawn.append(args) or real(*args))
    list(read(MICRO, ALL, 0))
    assert [args[0].sentence for args in drawn] == [s.sentence for s in ALL]
    assert {args[1] for args in drawn} == set(MODES) and {args[2] for args in drawn} == set(STYLES)
    assert {args[4] for args in drawn} == {"train"}  # never with the jitter of what evaluation shows
    drawn.clear()
    list(read(dataclasses.replace(MICRO, args={"modes": ["icon"]}), ALL[:20], 0))
    assert {args[1] for args in drawn} == {"icon"}


def test_micro_is_keyed_by_seed_and_id():
    whole = {key: image.tobytes() for key, image in read(MICRO, ALL[:30], 0)}
    part = {key: image.tobytes() for key, image in read(MICRO, ALL[20:25], 0)}
    assert part == {key: whole[key] for key in part}
    other = {key: image.tobytes() for key, image in read(MICRO, ALL[:30], 1)}
    assert all(other[key] != whole[key] for key in whole)


def test_micro_rejects_what_is_no_concept():
    stranger = dataclasses.replace(ALL[0], id="x", sentence="a person is reading")
    (found,) = read(MICRO, [stranger], 0)
    assert found == Reject("x", "its sentence names no concept of the micro world")


@pytest.fixture
def media(tmp_path):
    """A folder with two good images, one damaged, and a list that also names one that is not there."""
    folder = tmp_path / "media"
    (folder / "below").mkdir(parents=True)
    Image.new("RGB", (20, 10), (255, 0, 0)).save(folder / "red.png")
    Image.new("LA", (10, 10), (7, 255)).save(folder / "below" / "grey.png")
    (folder / "torn.png").write_bytes((folder / "red.png").read_bytes()[:40])
    (folder / "text.png").write_text("no image")
    rows = {0: "red.png", 1: "below/grey.png", 2: "torn.png", 3: "text.png", 4: "absent.png"}
    lines = [{"id": ALL[place].id, "path": path} for place, path in rows.items()]
    write(folder, [*lines, {"id": "of another set", "path": "red.png"}])
    return folder


def write(folder, lines) -> None:
    (folder / "media.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def files(folder) -> MediaSetConfig:
    return MediaSetConfig("files", "files", {"file": str(folder / "media.jsonl")})


def test_files(media):
    found = list(read(files(media), ALL[:6], 0))
    good = dict(f for f in found if not isinstance(f, Reject))
    assert list(good) == [ALL[0].id, ALL[1].id]
    assert good[ALL[0].id].size == (20, 10) and good[ALL[0].id].getpixel((0, 0)) == (255, 0, 0)
    assert good[ALL[1].id].mode == "RGB" and good[ALL[1].id].getpixel((3, 3)) == (7, 7, 7)
    reasons = {f.id: f.reason for f in found if isinstance(f, Reject)}
    assert set(reasons) == {sample.id for sample in ALL[2:6]}
    assert reasons[ALL[4].id] == "its image cannot be read (FileNotFoundError)"
    assert reasons[ALL[5].id] == "the media set has no medium of it"
    assert all("cannot be read (" in reasons[ALL[place].id] for place in (2, 3))


def test_photographs_stand_upright(media):
    turned = Image.new("RGB", (20, 10))
    exif = turned.getexif()
    exif[0x0112] = 6  # orientation: to be turned by 90 degrees
    turned.save(media / "turned.jpg", exif=exif)
    write(media, [{"id": ALL[0].id, "path": "turned.jpg"}])
    ((_, image),) = read(files(media), ALL[:1], 0)
    assert image.size == (10, 20)


@pytest.mark.parametrize("path", ["../secret.png", "/etc/hostname", "below/../../secret.png", "link.png"])
def test_files_may_not_lead_out_of_their_folder(media, path):
    Image.new("RGB", (4, 4)).save(media.parent / "secret.png")
    (media / "link.png").symlink_to(media.parent / "secret.png")
    write(media, [{"id": ALL[0].id, "path": path}])
    for use in (lambda: list(read(files(media), ALL[:1], 0)), lambda: fingerprint(files(media))):
        with pytest.raises(SeaError, match=f"the path of {ALL[0].id} leads out of {media}"):
            use()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([{"id": "a", "path": "red.png"}] * 2, "names ids twice: a"),
        ([{"id": "a", "path": "red.png", "label": 1}], "unknown keys label"),
        ([{"id": "a"}], "lacks path"),
    ],
)
def test_a_list_that_cannot_be_meant(media, lines, message):
    write(media, lines)
    with pytest.raises(SeaError, match=message):
        fingerprint(files(media))


def test_mistakes_in_the_settings():
    for args, message in (
        ({}, r"type mediaset\.args\.file="),
        ({"file": "/nowhere.jsonl"}, "cannot read /nowhere.jsonl"),
        ({"file": None, "typo": 1}, r"mediaset\.args: unknown typo; valid: file"),
    ):
        with pytest.raises(SeaError, match=message):
            fingerprint(MediaSetConfig("files", "files", args))
    for modes in ([], ["film"], "icon"):
        with pytest.raises(
            SeaError, match=r"mediaset\.args\.modes=.* must be a list of some of: both, icon, typographic"
        ):
            fingerprint(dataclasses.replace(MICRO, args={"modes": modes}))
    with pytest.raises(SeaError, match=r"mediaset\.reader=film is not known; valid: files, micro"):
        modality(dataclasses.replace(MICRO, reader="film"))


def test_another_list_is_another_media_set(media):
    before = fingerprint(files(media))
    write(media, [{"id": "a", "path": "red.png"}])
    assert fingerprint(files(media)) != before
    assert modality(files(media)) == modality(MICRO) == "image"


@pytest.mark.parametrize("given", [[("a", 1), ("a", 1)], [("b", 1)]])
def test_a_reader_that_gives_what_nobody_asked_for_is_refused(monkeypatch, given):
    import sea.encode.mediasets.micro as micro

    monkeypatch.setattr(micro, "read", lambda samples, seed: iter(given))
    with pytest.raises(SeaError, match="twice, or was not asked for it"):
        list(read(dataclasses.replace(MICRO, args={}), [dataclasses.replace(ALL[0], id="a")], 0))
