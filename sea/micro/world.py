"""The micro world's public face: safety data and evaluation items built from concepts, wordings and pictures.

Belongs here: what later stages import. Everything is a pure function of its arguments (frozen dataclasses, seeds, no
global state) and torch-free. Words and splits: `concepts.py`; sentences and judges: `language.py`; pixels: `images.py`.
"""

import random
from dataclasses import asdict, dataclass, replace

from sea.micro.concepts import (
    BENIGN_CATEGORY,
    CONCEPTS,
    HARM_CATEGORIES,
    SPLITS,
    UNSEEN_CATEGORIES,
    Concept,
    concepts,
    seed_of,
)
from sea.micro.images import MODES, STYLES, Picture, blank, render
from sea.micro.language import (
    SAFETY_REFUSALS,
    STYLE_ANSWER,
    STYLE_QUESTION,
    Wording,
    alignment_prefix,
    compliance,
    complied,
    detoxified,
    instruction,
    phrase,
    readings,
    refused,
    states,
    wordings,
)
from sea.records import KINDS

__all__ = [
    "BENIGN_CATEGORY",
    "CONCEPTS",
    "HARM_CATEGORIES",
    "KINDS",
    "MODES",
    "SPLITS",
    "STYLES",
    "STYLE_ANSWER",
    "STYLE_QUESTION",
    "UNSEEN_CATEGORIES",
    "Concept",
    "Item",
    "Picture",
    "SafetyRecord",
    "Wording",
    "alignment_prefix",
    "attack_items",
    "blank",
    "caption_items",
    "compliance",
    "complied",
    "concepts",
    "detoxified",
    "instruction",
    "phrase",
    "readings",
    "refused",
    "render",
    "safety_records",
    "states",
    "style_items",
    "tool_items",
    "twin_item",
    "wordings",
]


@dataclass(frozen=True, slots=True)
class SafetyRecord:
    """One row of the text safety set, with the gold answers of the extraction step."""

    id: str
    instruction: str
    chosen: str
    rejected: str
    harmful: bool
    category: str
    phrase: str
    kind: str
    sentence: str
    detoxified: str

    def as_dict(self) -> dict[str, str | bool]:
        """A row for a JSONL file."""
        return asdict(self)


def _distinct_pairs(
    pool: tuple[Concept, ...], forms: tuple[Wording, ...], count: int, rng: random.Random
) -> list[tuple[Concept, Wording]]:
    """Distinct (concept, wording) pairs, each concept as often as any other (one more at most)."""
    if count > len(pool) * len(forms):
        raise ValueError(f"{count} rows asked for, but there are only {len(pool) * len(forms)} distinct ones")
    members = rng.sample(pool, len(pool))
    orders = {concept.key: rng.sample(forms, len(forms)) for concept in members}
    pairs = [(concept, orders[concept.key][turn]) for turn in range(len(forms)) for concept in members]
    return pairs[:count]


def safety_records(
    split: str = "train", seed: int = 0, harmful_rows: int = 200, harmless_rows: int = 100
) -> list[SafetyRecord]:
    """The text safety set: concepts and wordings of one split, in a seeded order.

    Harmful: chosen refuses, rejected complies. Harmless: the other way round. Categories of `UNSEEN_CATEGORIES` are in
    no row of any split. An id names concept and wording, so it means the same instruction under every seed.
    """
    rng = random.Random(seed_of("safety", split, seed))
    records = []
    for harmful, count in ((True, harmful_rows), (False, harmless_rows)):
        pool = concepts(split=split, harmful=harmful, holdout="")
        for concept, wording in _distinct_pairs(pool, wordings(split), count, rng):
            refusal, comply = rng.choice(SAFETY_REFUSALS), compliance(concept, wording.task)
            records.append(
                SafetyRecord(
                    id=f"{concept.key.replace(' ', '-')}.{wording.id}",
                    instruction=instruction(concept, wording),
                    chosen=refusal if harmful else comply,
                    rejected=comply if harmful else refusal,
                    harmful=harmful,
                    category=concept.category,
                    phrase=phrase(concept, wording),
                    kind=concept.kind,
                    sentence=concept.sentence,
                    detoxified=detoxified(concept, wording),
                )
            )
    rng.shuffle(records)
    return records


@dataclass(frozen=True, slots=True)
class Item:
    """One question to a model, with or without a picture.

    task: text (the plain instruction), image (alignment prefix + detoxified instruction + picture), image_bare (the
    same without prefix), caption, style. `expected` is the base model's right answer; judge instructions with
    `complied` and `refused`, captions with `states`.
    """

    id: str
    task: str
    concept: Concept
    text: str
    picture: Picture | None
    expected: str
    wording: str


def _text_item(concept: Concept, wording: Wording) -> Item:
    return Item(
        id=f"text.{concept.key.replace(' ', '-')}.{wording.id}",
        task="text",
        concept=concept,
        text=instruction(concept, wording),
        picture=None,
        expected=compliance(concept, wording.task),
        wording=wording.id,
    )


def _image_item(picture: Picture, wording: Wording, prefix: bool) -> Item:
    concept, task = picture.concept, "image" if prefix else "image_bare"
    return Item(
        id=f"{task}.{picture.mode}.{concept.key.replace(' ', '-')}.{wording.id}",
        task=task,
        concept=concept,
        text=(alignment_prefix(concept.kind) if prefix else "") + detoxified(concept, wording),
        picture=picture,
        expected=compliance(concept, wording.task),
        wording=wording.id,
    )


def _picture(concept: Concept, mode: str, split: str, seed: int) -> Picture:
    """A picture whose style and jitter depend on the pair of twins, not on which of them it shows."""
    pair = sorted((concept.key, concept.twin_key))
    drawn = seed_of("item", seed, mode, *pair)
    return Picture(concept, mode, list(STYLES)[drawn % len(STYLES)], seed, split)


def attack_items(
    split: str,
    seed: int = 0,
    channel: str = "text",
    mode: str = "typographic",
    prefix: bool = True,
    harmful: bool = True,
    task: str | None = "steps",
) -> list[Item]:
    """Every concept of the split under every wording of the split, as text or through a picture.

    channel: "text" or "image"; `mode`, `prefix` apply to pictures. harmful=False gives the benign twins' own items,
    in the same order (`twin_item` maps one to the other).
    """
    if channel not in ("text", "image"):
        raise ValueError(f"channel {channel!r} is neither text nor image")
    items = []
    for harmful_concept in concepts(split=split, harmful=True):
        concept = harmful_concept if harmful else harmful_concept.twin
        for wording in wordings(split, task):
            if channel == "text":
                items.append(_text_item(concept, wording))
            else:
                items.append(_image_item(_picture(concept, mode, split, seed), wording, prefix))
    return items


def twin_item(item: Item) -> Item:
    """The same item about the twin: same wording, style, jitter seed and length class, the other word of the pair."""
    twin = item.concept.twin
    picture = item.picture and replace(item.picture, concept=twin)
    if item.task in ("text", "image", "image_bare"):
        wording = next(w for w in wordings() if w.id == item.wording)
        return _text_item(twin, wording) if picture is None else _image_item(picture, wording, item.task == "image")
    raise ValueError(f"a {item.task} item asks nothing that could be refused, so it has no twin")


def tool_items(split: str, seed: int = 0, mode: str = "typographic", harmful: bool = False) -> list[Item]:
    """Tool questions through a picture: the benign ability beside every attack success rate."""
    return attack_items(split, seed, "image", mode, harmful=harmful, task="tool")


def caption_items(split: str, seed: int = 0, mode: str = "typographic", role: str = "content") -> list[Item]:
    """Questions of one role about a picture of every concept of the split, harmful and harmless."""
    items = []
    for concept in concepts(split=split):
        picture = _picture(concept, mode, split, seed)
        for number, reading in enumerate(readings(role)):
            question, answer = reading.pair(concept)
            name = f"{role}-{number}"
            item_id = f"caption.{mode}.{concept.key.replace(' ', '-')}.{name}"
            items.append(Item(item_id, "caption", concept, question, picture, answer, name))
    return items


def style_items(split: str, seed: int = 0, mode: str = "typographic") -> list[Item]:
    """The style question about a picture of every concept of the split."""
    items = []
    for concept in concepts(split=split):
        picture = _picture(concept, mode, split, seed)
        item_id = f"style.{mode}.{concept.key.replace(' ', '-')}"
        answer = STYLE_ANSWER.format(style=picture.style)
        items.append(Item(item_id, "style", concept, STYLE_QUESTION, picture, answer, "style"))
    return items
