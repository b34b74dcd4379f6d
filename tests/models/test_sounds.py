"""Families that hear: what their processors do with sounds of other lengths and rates than the tiny model's own."""

import numpy as np
import pytest
import torch

from sea.console import SeaError
from sea.media import Sound
from sea.models.load import load_tiny
from sea.models.spec import SLOT_TEXT
from sea.models.splice import Splice
from tests.models.contract import spliced_inputs

FAMILIES = ("qwen2_audio", "voxtral", "granite_speech", "audioflamingo3")


def noise(seconds: float, rate: int = 16000) -> Sound:
    generator = np.random.default_rng(0)
    return Sound(generator.normal(0, 0.1, round(rate * seconds)).astype(np.float32), rate)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_sound_of_another_rate_is_refused(family):
    loaded = load_tiny(family, "audio", {"seconds": 0.5, "rate": 8000})
    with pytest.raises(SeaError, match="8000"):
        loaded.blank()


def test_voxtral_hears_a_sound_in_pieces():
    """Two pieces of a second make twice the rows, and a forward of E is still one of the sound."""
    loaded = load_tiny("voxtral", "audio")
    sound = noise(1.5)
    (item,) = loaded.encode([sound])
    assert item.emb.shape == (2, 64, 32)
    inputs = spliced_inputs(loaded, ["describe"], [item])
    assert (inputs["input_ids"] == loaded.chat.token_id).sum() == 2 * 64 // 4
    raw = {**inputs, "input_features": loaded.spec.process(loaded.processor, sound)["input_features"]}
    expected = loaded.model(**raw).logits
    short = loaded.encode([noise(0.5)])[0]
    with Splice(loaded.model, loaded.family):
        assert torch.equal(loaded.model(**inputs).logits, expected)
        both = loaded.model(**spliced_inputs(loaded, ["describe"] * 2, [short, item])).logits
    assert torch.allclose(both[1], expected[0], atol=1e-4)


def test_voxtral_refuses_a_tokenizer_that_reads_no_special_token():
    from sea.models.families.voxtral import Turns, tiny

    _, own = tiny()
    own.audio_token_id = 7  # as with mistral-common's: "[AUDIO]" in a text is not the token
    with pytest.raises(SeaError, match=r"tokenizer\.json"):
        Turns(own)


def test_audio_flamingo_refuses_several_windows():
    loaded = load_tiny("audioflamingo3", "audio")
    with pytest.raises(SeaError, match=r"31\.0 s"):
        loaded.encode([noise(31)])


@pytest.mark.parametrize("family", ["qwen2_audio", "audioflamingo3"])
def test_silence_after_a_short_sound_gets_no_token(family):
    """E has the window's rows whatever the sound's length; those behind its end are read by nobody."""
    loaded = load_tiny(family, "audio")
    short, full = loaded.encode([noise(0.5), noise(1.0)])
    assert short.emb.shape == full.emb.shape == (25, 32)
    tokens = [bytes(item.companions[SLOT_TEXT].tolist()).count(loaded.chat.token.encode()) for item in (short, full)]
    assert tokens == [12, 25]
    inputs = spliced_inputs(loaded, ["describe"], [short])
    inputs["input_features"] = inputs["input_features"].clone().requires_grad_(True)
    with Splice(loaded.model, loaded.family):
        loaded.model(**inputs).logits.square().mean().backward()
    reached = inputs["input_features"].grad[0].abs().amax(-1) > 0
    assert reached.tolist() == [True] * 12 + [False] * 13


def test_granite_batches_sounds_as_if_each_were_alone():
    """Zeros behind E are what P adds by itself; the processor's own padding would have gone through M."""
    loaded = load_tiny("granite_speech", "audio")
    items = loaded.encode([noise(0.5), noise(0.9)])
    assert [item.emb.shape for item in items] == [(25, 32), (45, 32)]
    with Splice(loaded.model, loaded.family):
        both = loaded.model(**spliced_inputs(loaded, ["describe"] * 2, items)).logits
        for row, item in enumerate(items):
            alone = loaded.model(**spliced_inputs(loaded, ["describe"], [item])).logits[0]
            assert torch.allclose(both[row, -len(alone) :], alone, atol=1e-4)
