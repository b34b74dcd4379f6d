"""Small sets in the formats of the published ones; their texts are abstract stand-ins, their images grey."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.media_files import png


def vlguard(folder: Path) -> Path:
    """Two safe images, of two questions each, and one unsafe image."""
    (folder / "pictures").mkdir(parents=True)
    rows: list[dict[str, Any]] = []
    for place in range(3):
        (folder / "pictures" / f"{place}.png").write_bytes(png(place))
        row: dict[str, Any] = {"id": f"v{place}", "image": f"pictures/{place}.png", "safe": place < 2}
        if place < 2:
            row["instr-resp"] = [
                {"safe_instruction": "What is shown?", "response": f"A grey area, {place}."},
                {"unsafe_instruction": f"Do bad thing {place} with it.", "response": "I can't do that."},
            ]
        else:
            row["instr-resp"] = [{"instruction": "Say more about it.", "response": "I can't say that."}]
            row |= {"harmful_category": "privacy", "harmful_subcategory": "personal data"}
        rows.append(row)
    (folder / "train.json").write_text(json.dumps(rows))
    return folder / "train.json"


def spa_vl(folder: Path, count: int = 6) -> Path:
    """Two Parquet files with the images inside, as `datasets` writes them."""
    folder.mkdir(parents=True)
    rows = [
        {
            "image": {"bytes": png(place), "path": None},
            "question": f"Question {place}?",
            "chosen": f"Good answer {place}.",
            "rejected": f"Bad answer {place}.",
            "class1": "Toxicity Harms",
            "class2": f"kind {place % 2}",
            "class3": None,
        }
        for place in range(count)
    ]
    for number, part in enumerate((rows[: count // 2], rows[count // 2 :])):
        pq.write_table(pa.Table.from_pylist(part), folder / f"train-0000{number}-of-00002.parquet", row_group_size=2)
    return folder


def jsonl(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
