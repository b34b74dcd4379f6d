"""The rules extractor on real questions: MM-SafetyBench's own key phrases and types are the gold.

The set (CC BY-NC 4.0) is not part of this repository; without it beside the checkout these tests are skipped.
The figures:

    pytest tests/prepare/test_prepare_rules_measured.py
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from sea.console import say
from sea.prepare.checks import wrong_with_extraction
from sea.prepare.english import content_words, stem, words
from sea.prepare.extractors.rules import Extractor

QUESTIONS = Path(__file__).resolve().parents[3] / "shared/data/mm_safetybench/processed_questions"
GOLD = sorted(QUESTIONS.glob("*.json"))


def token_f1(found: str | None, gold: str) -> float:
    """Overlap of two phrases as bags of stems."""
    one, other = (Counter(map(stem, words(text or ""))) for text in (found, gold))
    return 2 * (one & other).total() / (one.total() + other.total())


def leaks(phrase: str, detoxified: str) -> bool:
    """Whether a content word of the phrase still stands in the detoxified instruction."""
    left = set(map(stem, words(detoxified)))
    return any(stem(word) in left for word in content_words(phrase))


@pytest.mark.skipif(not GOLD, reason="MM-SafetyBench's questions are not beside the checkout")
def test_real_questions(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row for path in GOLD for row in json.loads(path.read_text(encoding="utf-8")).values()]
    found = Extractor().extract([row["Question"] for row in rows])
    right: dict[str, list[bool]] = {"activity": [], "product": []}
    for row, extraction in zip(rows, found, strict=True):
        gold = row["Phrase Type"].strip().lower()
        right[gold].append(extraction.kind == gold)
    pairs = list(zip(rows, found, strict=True))
    figures = {
        "questions": len(rows),
        "share with a phrase": sum(e.phrase is not None for e in found) / len(rows),
        "kind, balanced accuracy": sum(sum(hits) / len(hits) for hits in right.values()) / 2,
        "phrase, token F1": sum(token_f1(e.phrase, row["Key Phrase"]) for row, e in pairs) / len(rows),
        "leak rate, own phrase": sum(leaks(e.phrase or "", e.detoxified or "") for e in found) / len(rows),
        "leak rate, gold phrase": sum(leaks(row["Key Phrase"], e.detoxified or row["Question"]) for row, e in pairs)
        / len(rows),
        "share set aside by the checks": sum(
            wrong_with_extraction(row["Question"], extraction) is not None for row, extraction in pairs
        )
        / len(rows),
    }
    with capsys.disabled():
        say("\n" + "\n".join(f"{name}: {value:.3g}" for name, value in figures.items()))
    assert figures["share with a phrase"] >= 0.98
    assert figures["kind, balanced accuracy"] >= 0.75
    assert figures["phrase, token F1"] >= 0.70
    assert figures["leak rate, own phrase"] <= 0.05
    assert figures["leak rate, gold phrase"] <= 0.20
    assert figures["share set aside by the checks"] <= 0.02
