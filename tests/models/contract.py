"""What the contract tests share: every family x modality on its tiny model, with random media, as a `Loaded`."""

from pathlib import Path

import numpy as np
from PIL import Image

from sea.models.load import Checkpoint, Loaded, assemble
from sea.models.spec import available, family_module

BLANKS = {"image": {"width": 40, "height": 36, "fill": 128}}
CASES = [(name, modality) for name in available() for modality in family_module(name).FAMILY.modalities]


def random_medium(modality: str, seed: int):
    generator = np.random.default_rng(seed)
    if modality == "image":
        return Image.fromarray(generator.integers(0, 255, (36, 40, 3), dtype=np.uint8))
    raise AssertionError(f"the contract tests do not know a random {modality} yet")


def tiny(family: str, modality: str) -> Loaded:
    module = family_module(family)
    model, processor = module.tiny()
    spec = module.FAMILY.modalities[modality]
    checkpoint = Checkpoint(f"tiny-{family}", Path(), "0")
    return assemble("tiny", checkpoint, model, processor, module.FAMILY, modality, spec, BLANKS[modality])
