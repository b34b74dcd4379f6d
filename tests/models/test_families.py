"""What single families say beyond the contract."""

import pytest
import torch

from sea.console import SeaError
from sea.models.families import gemma4
from sea.models.load import assemble, locate
from sea.models.splice import Splice
from tests.models.contract import random_medium, real_inputs, spliced_inputs, tiny

QUESTION = ["what is in the picture ?"]


def test_a_checkpoint_without_one_of_its_familys_encoders_reads_the_rest_and_names_what_it_reads():
    whole = tiny("gemma4", "image")
    model, processor = whole.model, whole.processor
    model.model.audio_tower = model.model.embed_audio = None
    own = ("deaf", locate("tiny:gemma4"), model, processor, gemma4.FAMILY)
    image = assemble(*own, "image", gemma4.FAMILY.modalities["image"], {})
    media = [random_medium("image", 1)]
    items = image.encode(media)
    with Splice(model, gemma4.FAMILY):
        got = model(**spliced_inputs(image, QUESTION, items)).logits
    assert torch.equal(got, model(**real_inputs(image, QUESTION, media, items)).logits)
    with pytest.raises(SeaError, match=r"no encoder for audio: type reads=\.\.\. for image, video"):
        assemble(*own, "audio", gemma4.FAMILY.modalities["audio"], {})


def test_pictures_that_a_processor_fills_up_to_one_size_keep_their_own_number_of_rows():
    loaded = tiny("gemma4", "image")
    media = [random_medium("image", 1), random_medium("image", 2, larger=True)]
    first, second = loaded.encode(media)
    assert first.companions["image_position_ids"].shape == second.companions["image_position_ids"].shape
    assert first.emb.shape[0] == first.slot.count("<|image|>") != second.slot.count("<|image|>") == second.emb.shape[0]


@pytest.mark.parametrize("family", ["smolvlm", "idefics3"])
def test_tiles_are_full_so_the_pixel_mask_that_does_not_travel_says_nothing(family):
    loaded = tiny(family, "image")
    for seed, larger in ((1, False), (2, True)):
        made = loaded.inputs(QUESTION, [random_medium("image", seed, larger)])
        assert made["pixel_attention_mask"].all()
    together = loaded.inputs(QUESTION * 2, [random_medium("image", 1), random_medium("image", 2, larger=True)])
    tiles = loaded.encode([random_medium("image", 1), random_medium("image", 2, larger=True)])
    real = (together["pixel_values"] != 0).flatten(2).any(-1)
    assert real.sum(1).tolist() == [item.emb.shape[0] for item in tiles]
    assert loaded.media(tiles)["pixel_values"].shape[:2] == together["pixel_values"].shape[:2]
