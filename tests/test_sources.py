"""Where media lie: never outside the set's folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from sea.console import SeaError
from sea.media import MediumError
from sea.sources import media_column, source, sources, within
from sea.tables import Table
from tests.multimodal_sets import jsonl


def test_values_as_sets_write_them(tmp_path: Path) -> None:
    below = tmp_path / "a" / "x.png"
    for value in ("a/x.png", ["a/x.png"], {"bytes": None, "path": "a/x.png"}, [{"path": "a/x.png"}], str(below)):
        assert source(value, tmp_path) == below
    for value in (b"data", [b"data"], {"bytes": b"data", "path": "/etc/passwd"}):
        assert source(value, tmp_path) == b"data"
    for value in (None, 7, [], ["a", "b"], {}, {"array": [0.0]}, {"bytes": None, "path": None}, ""):
        with pytest.raises(MediumError, match="neither path nor bytes"):
            source(value, tmp_path)


@pytest.mark.parametrize("path", ["../secret", "/etc/hostname", "below/../../secret", "link", "folder/secret"])
def test_no_path_leads_out_of_the_folder(tmp_path: Path, path: str) -> None:
    inside = tmp_path / "set"
    (inside / "below").mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    (inside / "link").symlink_to(tmp_path / "secret")
    (inside / "folder").symlink_to(tmp_path)
    with pytest.raises(SeaError, match="leads out of"):
        within(inside, path)
    table = Table(str(jsonl(inside / "set.jsonl", [{"id": "a", "image": path}])), "x")
    with pytest.raises(SeaError, match="leads out of"):
        list(sources(table, "image", [0]))


def test_a_link_that_stays_inside_is_followed(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "x.png")
    assert within(tmp_path, "link") == tmp_path / "x.png"


def test_the_column_of_a_modality(tmp_path: Path) -> None:
    table = Table(str(jsonl(tmp_path / "set.jsonl", [{"images": [], "audio": "a", "picture": "b"}])), "x")
    assert media_column(table, None, "image") == "images"
    assert media_column(table, None, "audio") == "audio"
    assert media_column(table, "picture", "image") == "picture"
    with pytest.raises(
        SeaError, match="holds audio, image, the model is to read video: choose another set, or a model"
    ):
        media_column(table, None, "video")
    with pytest.raises(SeaError, match="holds audio, the model is to read image"):
        media_column(table, "audio", "image")
    with pytest.raises(SeaError, match="has no column film"):
        media_column(table, "film", "image")
