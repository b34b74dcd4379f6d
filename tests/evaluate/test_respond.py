"""Answers in fixed batches; an item that cannot be asked is recorded with its reason and disturbs no other."""

from dataclasses import replace

import pytest
import torch

from sea.console import SeaError
from sea.evaluate.benchmarks import limited
from sea.evaluate.respond import partition, respond


@pytest.fixture(scope="module")
def few(attacks):
    return limited(attacks, 2)


def answers(micro, batches, max_new_tokens=16):
    return {r.id: r for batch in respond(micro, batches, "micro", max_new_tokens, "hash") for r in batch}


def test_batches_depend_on_the_items_and_the_size_alone(attacks):
    batches = partition(attacks, 64)
    assert partition(list(reversed(attacks)), 64) == batches
    assert sorted(a.id for batch in batches for a in batch) == sorted(a.id for a in attacks)
    for batch in batches:
        assert len(batch) <= 64
        assert len({a.medium is None for a in batch}) == 1
    lengths = [len(a.text) for batch in batches for a in batch if a.medium is not None]
    assert lengths == sorted(lengths)


def test_every_item_is_answered_with_its_own_facts(micro, few):
    found = answers(micro, partition(few, 16))
    assert set(found) == {a.id for a in few}
    for attack in few:
        r = found[attack.id]
        assert (r.scenario, r.task, r.harmful, r.twin_of) == (
            attack.scenario,
            attack.task,
            attack.harmful,
            attack.twin_of,
        )
        assert (r.benchmark, r.settings, r.error) == ("micro", "hash", None)
        assert r.response
    media = {found[a.id].response for a in few if a.task == "style"}
    assert all(text.startswith("The style of the image is") for text in media)


def test_the_answer_is_the_models_own_to_the_picture(micro, few):
    """Through E and the splice as without it: the processor's pixels straight into generate."""
    attack = next(a for a in few if a.task == "caption")
    inputs = micro.inputs([attack.text], [attack.medium()])
    out = micro.model.generate(**inputs, max_new_tokens=16, do_sample=False)
    text = micro.processor.tokenizer.decode(out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip()
    assert answers(micro, [[attack]])[attack.id].response == text


def test_the_same_batch_gives_the_same_bytes_whatever_came_before(micro, few):
    batches = partition(few, 8)
    whole = answers(micro, batches)
    assert answers(micro, batches[-2:]) == {a.id: whole[a.id] for batch in batches[-2:] for a in batch}


def test_a_medium_that_cannot_be_read_is_recorded_and_the_others_are_answered(micro, few):
    def gone():
        raise FileNotFoundError("picture.png")

    media = [a for a in few if a.medium is not None][:4]
    batch = [
        replace(media[0], medium=gone),
        replace(media[1], medium=lambda: "no picture"),
        replace(media[2], medium=lambda: 3),
        media[3],
    ]
    found = answers(micro, [batch])
    assert "the medium cannot be read: FileNotFoundError: picture.png" in found[media[0].id].error
    for attack in media[1:3]:
        assert found[attack.id].error.startswith("the medium cannot be processed")
        assert found[attack.id].response == ""
    assert found[media[3].id].error is None
    assert found[media[3].id].response == answers(micro, [[media[3]]])[media[3].id].response


def test_a_text_that_cannot_be_asked_is_recorded(micro, few):
    text = next(a for a in few if a.medium is None)
    end = micro.processor.tokenizer.eos_token
    found = answers(micro, [[text, replace(text, id="long", text="why " * 4000), replace(text, id="end", text=end)]])
    assert found[text.id].error is None
    assert "the model's context holds" in found["long"].error
    assert "special tokens" in found["end"].error
    assert found["long"].response == found["end"].response == ""


def test_a_batch_of_nothing_but_failures_goes_through(micro, few):
    text = replace(next(a for a in few if a.medium is None), text="why " * 4000)
    assert answers(micro, [[text]])[text.id].error is not None


def test_another_modality_is_refused_before_the_work(micro, few):
    spoken = [replace(a, modality="audio") for a in few if a.medium is not None]
    with pytest.raises(SeaError, match=r"media are of audio, micro-llava is to read image"):
        next(respond(micro, [spoken], "micro", 8))


def test_out_of_memory_says_what_to_type(micro, few, monkeypatch):
    def full(*args):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("sea.evaluate.respond.answer", full)
    with pytest.raises(SeaError, match=r"out of memory on 8 items side by side.*batch_size=4 under a new one"):
        next(respond(micro, partition(few, 8)[-2:-1], "micro", 8))
