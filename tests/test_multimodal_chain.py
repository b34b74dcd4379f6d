"""A multimodal set through the stages: prepare -> encode -> dataset -> train, on the embedded model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import datasets

from sea.store import Store
from tests.multimodal_sets import vlguard


def test_vlguard_becomes_rows_that_train(tmp_path: Path) -> None:
    file = vlguard(tmp_path / "vlguard")

    def command(*typed: str) -> str:
        done = subprocess.run([sys.executable, "-m", *typed], cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout

    command("sea.prepare", "textset=vlguard", f"textset.args.file={file}", "name=p")
    own = ("+model=micro-llava", "model.textset=null", "mediaset=vlguard", f"mediaset.args.file={file}")
    command("sea.encode", *own, "name=e")
    command("sea.dataset", "rows=real+text", "name=d")
    rows = {row["id"]: row for row in datasets.load_from_disk(str(tmp_path / "runs/dataset/d/rows"))}
    ids = {"v0-safe", "v0-unsafe", "v1-safe", "v1-unsafe", "v2"}
    assert set(rows) == {f"{key}#{source}" for key in ids for source in ("real", "text")}
    store = Store(tmp_path / "runs/encode/e")
    for key in ids:
        real, text = rows[f"{key}#real"], rows[f"{key}#text"]
        assert real["embedding_sha256"] == store.embeddings[key].sha256 and text["store"] is None
        assert real["prompt"] == text["prompt"] and real["completion"] == text["completion"] is not None
    same, other = (store.read(key)["embedding"] for key in ("v0-unsafe", "v1-safe"))
    assert store.read("v0-safe")["embedding"].equal(same) and not same.equal(other)
    assert "2 steps on 10 rows" in command("sea.train", "recipe=micro-sft", "recipe.args.max_steps=2", "dataset=d")
