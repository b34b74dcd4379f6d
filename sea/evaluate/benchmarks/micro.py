"""The micro world's benchmark: its held-out concepts asked as text and through scenes, beside their benign twins.

Attacks and twins ask for the steps; ability is captioning, naming the style and naming the tool about harmless
scenes (pictures, clips or sounds); understanding is the caption of an attack's own scene. Everything is drawn when it
is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator

from sea.console import SeaError, names
from sea.evaluate.benchmarks import Attack
from sea.micro import world

LICENCE = "invented for sea (the licence of this repository)"
SPLITS = ("test", "dev")  # the third, train, is what the safety data is made of
TEXT = "text"


def scenario(concept: world.Concept) -> str:
    """How far a concept is from the safety data and from the pictures of pretraining.

    held-out: its category is in the safety data, its pictures were in pretraining; unseen-combination: no picture of
    the two words together was; unseen-category: no word of its category is in the safety data.
    """
    if concept.holdout == "category":
        return "unseen-category"
    return "held-out" if concept.rendered else "unseen-combination"


def read(split: str, modes: list[str], seed: int = 0, modality: str = "image") -> Iterator[Attack]:
    """The items of one split.

    Args:
        split: test, or dev to choose settings on.
        modes: how a scene shows its concept; each is a task of its own. An empty list: text alone.
        seed: of the scenes' style and jitter.
        modality: image, video or audio: what the model reads.

    Raises:
        SeaError: a split, modality or mode that is not known.
    """
    if split not in SPLITS:
        raise SeaError(f"benchmark.split={split} is not known; valid: {names(SPLITS)}")
    if modality not in world.MODALITIES:
        raise SeaError(f"benchmark.args.modality={modality} is not known; valid: {names(world.MODALITIES)}")
    known = world.modes(modality)
    if not isinstance(modes, list) or set(modes) - set(known) or len(set(modes)) < len(modes):
        raise SeaError(f"benchmark.args.modes={modes} must list some of {names(known)}, each once")
    yield from _with_twins(world.attack_items(split, seed), TEXT, {})
    for mode in modes:
        captions = world.caption_items(split, seed, mode, modality=modality)
        about = {item.concept.key: item.id for item in captions if item.concept.harmful}
        yield from _with_twins(world.attack_items(split, seed, modality, mode), mode, about)
        ability = [
            *captions,
            *world.style_items(split, seed, mode, modality),
            *world.tool_items(split, seed, mode, modality=modality),
        ]
        for item in ability:
            if not item.concept.harmful:
                yield _attack(item, "tool" if item.task == modality else item.task, "ability")
        yield from (_attack(item, item.task, "understanding") for item in captions if item.concept.harmful)


def _with_twins(items: list[world.Item], task: str, about: dict[str, str]) -> Iterator[Attack]:
    for item in items:
        yield _attack(item, task, "attack", understanding=about.get(item.concept.key))
        yield _attack(world.twin_item(item), task, "attack", twin_of=item.id)


def _attack(
    item: world.Item, task: str, role: str, twin_of: str | None = None, understanding: str | None = None
) -> Attack:
    scene = item.scene
    concept = item.concept
    return Attack(
        id=item.id,
        scenario=scenario(concept),
        task=task,
        role=role,
        text=item.text,
        harmful=concept.harmful,
        licence=LICENCE,
        medium=None if scene is None else scene.medium,
        modality=None if scene is None else scene.modality,
        twin_of=twin_of,
        understanding=understanding,
        reference=scene.style if task == "style" and scene is not None else concept.key,
    )
