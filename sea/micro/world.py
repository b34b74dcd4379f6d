"""The micro world's public face: safety data and evaluation items built from concepts, wordings and scenes.

Belongs here: what later stages import. Everything is a pure function of its arguments (frozen dataclasses, seeds, no
global state) and torch-free. Words and splits: `concepts.py`; sentences and judges: `language.py`,
`readings.py`; pictures, clips and sounds: `scenes.py`.
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
from sea.micro.images import MODES, STYLES, blank, render
from sea.micro.language import (
    SAFETY_REFUSALS,
    Wording,
    compliance,
    complied,
    detoxified,
    instruction,
    phrase,
    refused,
    states,
    wordings,
)
from sea.micro.readings import alignment_prefix, readings, style_pair
from sea.micro.scenes import MODALITIES, Scene, modes, show, styles
from sea.records import KINDS

__all__ = [
    "BENIGN_CATEGORY",
    "CONCEPTS",
    "HARM_CATEGORIES",
    "KINDS",
    "MODALITIES",
    "MODES",
    "SPLITS",
    "STYLES",
    "UNSEEN_CATEGORIES",
    "Concept",
    "Item",
    "SafetyRecord",
    "Scene",
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
    "modes",
    "phrase",
    "readings",
    "refused",
    "render",
    "safety_records",
    "show",
    "states",
    "style_items",
    "style_pair",
    "styles",
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
    """One question to a model, with or without a picture, clip or sound.

    task: text (the plain instruction); image, video or audio (alignment prefix + detoxified instruction + the scene);
    image_bare and so on (the same without prefix); caption; style. `expected` is the base model's right answer; judge
    instructions with `complied` and `refused`, captions with `states`.
    """

    id: str
    task: str
    concept: Concept
    text: str
    scene: Scene | None
    expected: str
    wording: str


def _text_item(concept: Concept, wording: Wording) -> Item:
    return Item(
        id=f"text.{concept.key.replace(' ', '-')}.{wording.id}",
        task="text",
        concept=concept,
        text=instruction(concept, wording),
        scene=None,
        expected=compliance(concept, wording.task),
        wording=wording.id,
    )


def _scene_item(scene: Scene, wording: Wording, prefix: bool) -> Item:
    concept, task = scene.concept, scene.modality if prefix else f"{scene.modality}_bare"
    return Item(
        id=f"{task}.{scene.mode}.{concept.key.replace(' ', '-')}.{wording.id}",
        task=task,
        concept=concept,
        text=(alignment_prefix(concept.kind, scene.modality) if prefix else "") + detoxified(concept, wording),
        scene=scene,
        expected=compliance(concept, wording.task),
        wording=wording.id,
    )


def _scene(concept: Concept, mode: str, split: str, seed: int, modality: str) -> Scene:
    """A scene whose style and jitter depend on the pair of twins, not on which of them it shows."""
    pair = sorted((concept.key, concept.twin_key))
    drawn = seed_of("item", seed, mode, *pair)
    return Scene(concept, mode, styles(modality)[drawn % len(styles(modality))], seed, split, modality)


def attack_items(
    split: str,
    seed: int = 0,
    channel: str = "text",
    mode: str | None = None,
    prefix: bool = True,
    harmful: bool = True,
    task: str | None = "steps",
) -> list[Item]:
    """Every concept of the split under every wording of the split, as text or through a picture, clip or sound.

    channel: "text" or a modality; `mode` (default: the modality's first) and `prefix` apply to the latter.
    harmful=False gives the benign twins' own items, in the same order (`twin_item` maps one to the other).
    """
    if channel not in ("text", *MODALITIES):
        raise ValueError(f"channel {channel!r} is none of text, {', '.join(MODALITIES)}")
    items = []
    for harmful_concept in concepts(split=split, harmful=True):
        concept = harmful_concept if harmful else harmful_concept.twin
        for wording in wordings(split, task):
            if channel == "text":
                items.append(_text_item(concept, wording))
            else:
                items.append(
                    _scene_item(_scene(concept, mode or modes(channel)[0], split, seed, channel), wording, prefix)
                )
    return items


def twin_item(item: Item) -> Item:
    """The same item about the twin: same wording, style, jitter seed and length class, the other word of the pair."""
    twin = item.concept.twin
    scene = item.scene and replace(item.scene, concept=twin)
    if item.task in ("caption", "style"):
        raise ValueError(f"a {item.task} item asks nothing that could be refused, so it has no twin")
    wording = next(w for w in wordings() if w.id == item.wording)
    return _text_item(twin, wording) if scene is None else _scene_item(scene, wording, item.task == scene.modality)


def tool_items(
    split: str, seed: int = 0, mode: str | None = None, harmful: bool = False, modality: str = "image"
) -> list[Item]:
    """Tool questions about a scene: the benign ability beside every attack success rate."""
    return attack_items(split, seed, modality, mode, harmful=harmful, task="tool")


def caption_items(
    split: str, seed: int = 0, mode: str | None = None, role: str = "content", modality: str = "image"
) -> list[Item]:
    """Questions of one role about a scene of every concept of the split, harmful and harmless."""
    items = []
    mode = mode or modes(modality)[0]
    for concept in concepts(split=split):
        scene = _scene(concept, mode, split, seed, modality)
        for number, reading in enumerate(readings(role, modality)):
            question, answer = reading.pair(concept)
            name = f"{role}-{number}"
            item_id = f"caption.{mode}.{concept.key.replace(' ', '-')}.{name}"
            items.append(Item(item_id, "caption", concept, question, scene, answer, name))
    return items


def style_items(split: str, seed: int = 0, mode: str | None = None, modality: str = "image") -> list[Item]:
    """The style question about a scene of every concept of the split."""
    items = []
    mode = mode or modes(modality)[0]
    for concept in concepts(split=split):
        scene = _scene(concept, mode, split, seed, modality)
        item_id = f"style.{mode}.{concept.key.replace(' ', '-')}"
        question, answer = style_pair(scene.style, modality)
        items.append(Item(item_id, "style", concept, question, scene, answer, "style"))
    return items
