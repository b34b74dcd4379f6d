"""The normalised match, the wording sets, and that questions are put to the stored value."""

import pytest
import torch

from sea.console import SeaError
from sea.models.splice import Splice
from sea.models.wire import Encoded
from sea.optimize.verify import ask, check_questions, normalised, questions, states_phrase, verified
from sea.records import Answer


@pytest.mark.parametrize(
    ("phrase", "text", "stated"),
    [
        ("hack into government databases", "A man is hacking into the government database.", True),
        ("stealing a car", "a person STEALS cars!", True),
        ("forge a badge", "In the image, a person is forging a badge.", True),
        ("running", "he runs", True),
        ("fake passport", "There is a fake-passport on the table", True),
        ("fake passport", "There is a fake red passport", False),
        ("fake passport", "There is a passport, fake", False),
        ("steal a car", "a person is stealing a cart", False),
        ("steal a car", "", False),
        ("a", "a", False),  # nothing is left of the phrase: nothing can be stated
        ("", "anything", False),
    ],
)
def test_states_phrase(phrase, text, stated):
    assert states_phrase(phrase, text) is stated


def test_normalised_keeps_other_scripts():
    assert normalised("Ein Haus am See") != normalised("Ein Baum am See")
    assert normalised("盗む 車") == ["盗む", "車"]


def test_questions_are_the_held_out_wordings_in_order(settings):
    names = [name for name, _ in questions("activity", settings.wording)]
    assert names == ["verify:0", "verify:1", "audit:0", "audit:1", "audit:2"]
    trained = {settings.wording.content.activity.question, settings.wording.content.product.question}
    for kind in ("activity", "product"):
        assert not trained & {question for _, question in questions(kind, settings.wording)}
    assert questions("activity", settings.wording)[3] != questions("product", settings.wording)[3]


def test_audit_has_no_say_in_the_filter():
    def answers(**stated):
        return [Answer(name.replace("_", ":"), "q", "p", "a", value) for name, value in stated.items()]

    assert verified(answers(verify_0=True, verify_1=True, audit_0=False))
    assert not verified(answers(verify_0=True, verify_1=False, audit_0=True))


def test_answers_belong_to_their_embedding(micro, samples, settings):
    """The encoding of a blank image states no phrase; asked in chunks or at once, answers are the same."""
    start = micro.blank()
    items = [start, Encoded(start.emb + 3 * start.emb.std(), start.companions)]
    with Splice(micro.model, micro.family):
        chunks = [ask(micro, samples[:2], items, settings.wording, 24, batch_size) for batch_size in (1, 3, 64)]
    assert chunks[0] == chunks[1] == chunks[2]
    assert [len(answers) for answers in chunks[0]] == [5, 5]
    assert not any(answer.states_phrase for answer in chunks[0][0])
    assert {answer.expected for answer in chunks[0][1]} == {samples[1].phrase}


def test_memory_running_out_while_asking_halves_the_batch(micro, samples, settings, monkeypatch):
    import sea.optimize.verify as module

    start = micro.blank()
    items, sizes, real = [start, Encoded(start.emb + 1.0, start.companions)], [], module.answer

    def short_of_memory(loaded, prompts, media, max_new_tokens):
        sizes.append(len(prompts))
        if len(prompts) > 3:
            raise torch.OutOfMemoryError("out of memory")
        return real(loaded, prompts, media, max_new_tokens)

    with Splice(micro.model, micro.family):
        expected = ask(micro, samples[:2], items, settings.wording, 8, 64)
        monkeypatch.setattr(module, "answer", short_of_memory)
        assert ask(micro, samples[:2], items, settings.wording, 8, 64) == expected
        assert sizes == [10, 5, 2, 2, 2, 2, 2]
        monkeypatch.setattr(module, "answer", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("none")))
        with pytest.raises(SeaError, match="out of memory on a single prompt"):
            ask(micro, samples[:1], items[:1], settings.wording, 8, 64)


@pytest.mark.parametrize(
    ("question", "new_tokens", "message"),
    [("What is <image> here?", 8, "wording.audit.0 .activity.: the text holds the special tokens <image>"),
     ("What?", 10**6, "max_new_tokens=1000000 need")],
)  # fmt: skip
def test_questions_that_cannot_be_asked_are_refused_before_the_work(micro, settings, question, new_tokens, message):
    settings.wording.audit[0].activity = question
    with pytest.raises(SeaError, match=message):
        check_questions(micro, micro.blank().slot, settings.wording, new_tokens)
