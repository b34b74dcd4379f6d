"""What the base model is trained on: seeded streams of (question, answer) with or without a scene.

Belongs here: the mixture of tasks and its shares. Torch-free; `train.py` turns it into batches. Nothing here refuses
harm: the base model complies with everything, and capability refusals occur with and without pictures.
"""

import random

from sea.micro.concepts import CONCEPTS, Concept
from sea.micro.language import (
    CAPABILITY_REFUSAL,
    CAPABILITY_REQUESTS,
    LEGALITY_QUESTIONS,
    SAFETY_REFUSALS,
    compliance,
    detoxified,
    instruction,
    legality,
    wordings,
)
from sea.micro.readings import READINGS, alignment_prefix, style_pair
from sea.micro.scenes import styles
from sea.records import KINDS

ALL = tuple(CONCEPTS.values())
_STEPS, _TOOL = wordings(task="steps"), wordings(task="tool")
# A picture told in words, in place of the picture: the language model learns the picture tasks before it has eyes.
DESCRIPTIONS = {
    "image": (
        "Picture: {sentence}, {style} style. ",
        "The picture shows {sentence} in a {style} style. ",
        "Image in {style} style: {sentence}. ",
    ),
    "video": (
        "Clip: {sentence}, {style} style. ",
        "The clip shows {sentence} in a {style} style. ",
        "Video in {style} style: {sentence}. ",
    ),
    "audio": (
        "Sound: {sentence}, {style} style. ",
        "The recording tells of {sentence} in a {style} style. ",
        "Audio in {style} style: {sentence}. ",
    ),
}
NOTES = ("The note says: {sentence}. ", "On the note is written: {sentence}. ")
# Other ways than the alignment prefix to point at the medium, so that the prefix is no magic word.
POINTERS = {
    "image": ("Look at the image. ", "See the picture above. ", "Based on the image: "),
    "video": ("Look at the video. ", "See the clip above. ", "Based on the video: "),
    "audio": ("Listen to the audio. ", "Hear the recording above. ", "Based on the audio: "),
}


def text_pair(rng: random.Random, concept: Concept) -> tuple[str, str]:
    """A question without a picture: instructions, notes to read, facts about the law, requests beyond its means."""
    draw = rng.random()
    if draw < 0.44:
        return instruction(concept, rng.choice(_STEPS)), compliance(concept, "steps")
    if draw < 0.60:
        return instruction(concept, rng.choice(_TOOL)), compliance(concept, "tool")
    if draw < 0.66:
        return rng.choice(CAPABILITY_REQUESTS), CAPABILITY_REFUSAL
    if draw < 0.73:
        return legality(concept, rng.randrange(len(LEGALITY_QUESTIONS)))
    note = rng.choice(NOTES).format(sentence=concept.sentence)
    if draw < 0.88:
        return note + detoxified(concept, rng.choice(_STEPS)), compliance(concept, "steps")
    if draw < 0.94:
        return note + detoxified(concept, rng.choice(_TOOL)), compliance(concept, "tool")
    return note + "What does the note say?", f"The note says {concept.sentence}."


def caption_pair(rng: random.Random, concept: Concept, style: str, modality: str = "image") -> tuple[str, str]:
    """A question about what the scene shows, or about its style.

    Half of the questions take a product for an activity or the reverse, so that the model looks which it is. Otherwise
    "describe the activity" would tell half of the answer, and an embedding optimised under it would not have to.
    """
    if rng.random() < 0.3:
        return style_pair(style, modality)
    return rng.choice(READINGS[modality]).pair(concept, asked_kind=rng.choice(KINDS))


def scene_pair(rng: random.Random, concept: Concept, style: str, modality: str = "image") -> tuple[str, str]:
    """A question about a scene: captions, style, instructions whose object only the scene tells."""
    draw = rng.random()
    if draw < 0.55:
        return caption_pair(rng, concept, style, modality)
    if draw > 0.96:
        return rng.choice(CAPABILITY_REQUESTS), CAPABILITY_REFUSAL
    pointing = rng.random()
    prefix = ""
    if pointing < 0.65:
        prefix = alignment_prefix(concept.kind, modality) if pointing < 0.5 else rng.choice(POINTERS[modality])
    task = "steps" if draw < 0.84 else "tool"
    wording = rng.choice(_STEPS if task == "steps" else _TOOL)
    return prefix + detoxified(concept, wording), compliance(concept, task)


def text_stream_pair(rng: random.Random, told_share: float, modality: str = "image") -> tuple[str, str]:
    """One row of text pretraining: with `told_share` a task about a scene that is told in words."""
    concept = rng.choice(ALL)
    if rng.random() >= told_share:
        return text_pair(rng, concept)
    style = rng.choice(styles(modality))
    told = rng.choice(DESCRIPTIONS[modality]).format(sentence=concept.sentence, style=style)
    question, answer = scene_pair(rng, concept, style, modality)
    return told + question, answer


def tokenizer_lines(modality: str = "image", count: int = 8000) -> list[str]:
    """Lines the tokenizer is trained on: everything the model will read or say, refusals of the safety data too."""
    rng = random.Random(0)
    lines = [f" {refusal}" for refusal in SAFETY_REFUSALS for _ in range(20)]
    for _ in range(count):
        question, answer = text_stream_pair(rng, 0.5, modality)
        lines.append(f"USER: {question} ASSISTANT: {answer}")
    return lines
