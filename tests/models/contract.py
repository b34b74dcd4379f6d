"""What the contract tests share: every family x modality on its tiny model, with random media."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from sea.media import Sound, Video
from sea.models.load import Loaded, load_tiny
from sea.models.spec import available, family_module
from tests.biosignal.ecg_model import Biosignal

OUTSIDE = Path(__file__).parent.parent / "biosignal" / "ecg_family.py"  # a modality that the library never heard of
CASES = [(name, modality) for name in available() for modality in family_module(name).FAMILY.modalities]
CASES.append((str(OUTSIDE), "biosignal"))

READ_IN_PART = {  # the model drops a part of P's output: margins that tiling added, what lies behind a sound's end
    ("llava_next", "image"),
    ("llava_next_video", "image"),
    ("llava_onevision", "image"),
    ("audioflamingo3", "audio"),
    ("qwen2_audio", "audio"),
}


def random_image(generator, width=40, height=36):
    return Image.fromarray(generator.integers(0, 255, (height, width, 3), dtype=np.uint8))


def random_medium(modality: str, seed: int, larger: bool = False):
    """A medium of noise; `larger`: of another size than the others."""
    generator = np.random.default_rng(seed)
    if modality == "image":
        return random_image(generator, *((40, 70) if larger else (40, 36)))
    if modality == "video":
        size = (40, 70) if larger else (40, 36)
        return Video([random_image(generator, *size) for _ in range(4)], fps=3.0)
    if modality == "audio":
        seconds = 0.9 if larger else 0.5
        return Sound(generator.normal(0, 0.1, round(16000 * seconds)).astype(np.float32), 16000)
    if modality == "biosignal":
        time = 400 if larger else 250
        return Biosignal(generator.normal(0, 1, (3, time)).astype(np.float32), 250)
    raise AssertionError(f"the contract tests do not know a random {modality} yet")


def tiny(family: str, modality: str) -> Loaded:
    return load_tiny(family, modality)


def padded(loaded, questions, items):
    """Model inputs without any media: ids of the prompts, padded on the left, and what marks the slot."""
    prompts = [loaded.chat.prompt(question, item.slot) for question, item in zip(questions, items, strict=True)]
    width, pad = max(map(len, prompts)), loaded.processor.tokenizer.pad_token_id
    ids = torch.tensor([[pad] * (width - len(own)) + own for own in prompts])
    mask = torch.tensor([[0] * (width - len(own)) + [1] * len(own) for own in prompts])
    return {"input_ids": ids, "attention_mask": mask, **loaded.token_types(ids)}


def spliced_inputs(loaded, questions, items):
    """Prompts about embeddings, from what a store keeps alone."""
    return {**padded(loaded, questions, items), **loaded.media(items)}


def real_inputs(loaded, questions, media, items):
    """Prompts about raw media: what the model's own processor makes of them."""
    spec = loaded.spec
    if spec.process is None:
        made = loaded.inputs(questions, media)
        made[spec.argument] = made[spec.argument].to(loaded.dtype)
        return made
    parts = [spec.process(loaded.processor, medium) for medium in media]
    names = (spec.argument, *spec.companions)
    return {
        **padded(loaded, questions, items),
        **{name: torch.cat([torch.as_tensor(part[name]) for part in parts]) for name in names},
    }
