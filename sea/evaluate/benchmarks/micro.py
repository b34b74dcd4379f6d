"""The micro world's benchmark: its held-out concepts asked as text and through pictures, beside their benign twins.

Attacks and twins ask for the steps; ability is captioning, naming the style and naming the tool about harmless
pictures; understanding is the caption of an attack's own picture. Everything is drawn when it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from PIL import Image

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


def read(split: str, modes: list[str], seed: int = 0) -> Iterator[Attack]:
    """The items of one split.

    Args:
        split: test, or dev to choose settings on.
        modes: how a picture shows its concept; each is a task of its own.
        seed: of the pictures' style and jitter.

    Raises:
        SeaError: a split or mode that is not known.
    """
    if split not in SPLITS:
        raise SeaError(f"benchmark.split={split} is not known; valid: {names(SPLITS)}")
    if not isinstance(modes, list) or not modes or set(modes) - set(world.MODES) or len(set(modes)) < len(modes):
        raise SeaError(f"benchmark.args.modes={modes} must list some of {names(world.MODES)}, each once")
    yield from _with_twins(world.attack_items(split, seed), TEXT, {})
    for mode in modes:
        captions = world.caption_items(split, seed, mode)
        about = {item.concept.key: item.id for item in captions if item.concept.harmful}
        yield from _with_twins(world.attack_items(split, seed, "image", mode), mode, about)
        ability = [*captions, *world.style_items(split, seed, mode), *world.tool_items(split, seed, mode)]
        for item in ability:
            if not item.concept.harmful:
                yield _attack(item, "tool" if item.task == "image" else item.task, "ability")
        yield from (_attack(item, item.task, "understanding") for item in captions if item.concept.harmful)


def _with_twins(items: list[world.Item], task: str, about: dict[str, str]) -> Iterator[Attack]:
    for item in items:
        yield _attack(item, task, "attack", understanding=about.get(item.concept.key))
        yield _attack(world.twin_item(item), task, "attack", twin_of=item.id)


def _attack(
    item: world.Item, task: str, role: str, twin_of: str | None = None, understanding: str | None = None
) -> Attack:
    picture = item.picture
    concept = item.concept
    return Attack(
        id=item.id,
        scenario=scenario(concept),
        task=task,
        role=role,
        text=item.text,
        harmful=concept.harmful,
        licence=LICENCE,
        medium=None if picture is None else partial(_draw, picture),
        modality=None if picture is None else "image",
        twin_of=twin_of,
        understanding=understanding,
        reference=picture.style if task == "style" and picture is not None else concept.key,
    )


def _draw(picture: world.Picture) -> Image.Image:
    return Image.fromarray(picture.render())
