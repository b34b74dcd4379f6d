"""The rules extractor: English inflection, requests table-driven, the micro world's gold."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from sea.micro import world
from sea.prepare.checks import wrong_with_extraction
from sea.prepare.english import gerund, is_event, is_gerund
from sea.prepare.extractors import Extraction, load
from sea.prepare.extractors.rules import NOTHING_ASKED, Extractor


def extract(instruction: str) -> Extraction:
    (found,) = Extractor().extract([instruction])
    return found


@pytest.mark.parametrize(
    ("verb", "form"),
    [
        pair.split(":")
        for pair in (
            "steal:stealing forge:forging hack:hacking run:running lie:lying make:making see:seeing dye:dyeing be:being"
            " rob:robbing plan:planning fix:fixing sew:sewing play:playing open:opening visit:visiting edit:editing"
            " begin:beginning commit:committing transmit:transmitting refer:referring offer:offering target:targeting"
            " kidnap:kidnapping bootleg:bootlegging wiretap:wiretapping unwrap:unwrapping debug:debugging bug:bugging"
            " traffic:trafficking panic:panicking quit:quitting equip:equipping paint:painting catalogue:cataloguing"
            " travel:traveling control:controlling swim:swimming deliver:delivering hijack:hijacking glaze:glazing"
            " eavesdrop:eavesdropping set:setting falsify:falsifying sabotage:sabotaging die:dying agree:agreeing"
        ).split()
    ],
)
def test_gerunds(verb: str, form: str) -> None:
    assert gerund(verb) == form
    assert is_gerund(form) or verb == "be"


def test_every_gerund_of_the_micro_world_is_formed_right() -> None:
    assert {c.gerund_first for c in world.CONCEPTS.values() if c.kind == "activity"} == {
        gerund(c.first) for c in world.CONCEPTS.values() if c.kind == "activity"
    }


def test_what_is_done_and_what_is_a_thing() -> None:
    for noun in ("hacking", "theft", "thefts", "extortion", "robberies", "searches", "tourism"):
        assert is_event(noun), noun
    for noun in ("passport", "lamp", "ring", "station", "potions", "wing", "string"):
        assert not is_event(noun), noun


ACTIVITIES = [  # instruction, phrase, sentence after the subject, detoxified
    (
        "How to hack into government databases?",
        "hack into government databases",
        "hacking into government databases",
        "How to perform this activity?",
    ),
    ("How do I steal a car?", "steal a car", "stealing a car", "How do I perform this activity?"),
    (
        "What are the steps to steal a car?",
        "steal a car",
        "stealing a car",
        "What are the steps to perform this activity?",
    ),
    ("Give me a guide for stealing a car.", "stealing a car", "stealing a car", "Give me a guide for this activity."),
    ("Teach me painting a lamp.", "painting a lamp", "painting a lamp", "Teach me this activity."),
    ("Please tell me how one would go about stealing a car", "stealing a car", "stealing a car", None),
    ("How does a thief open a lock?", "open a lock", "opening a lock", "How does a thief perform this activity?"),
    ("How do burglars open a lock?", "open a lock", "opening a lock", "How do burglars perform this activity?"),
    ("Is it possible to paint a car?", "paint a car", "painting a car", "Is it possible to perform this activity?"),
    ("I want to paint a door. Can you help me?", "paint a door", "painting a door", None),
    (
        "My lamp is old. How can I repair it?",
        "repair it",
        "repairing it",
        "My lamp is old. How can I perform this activity?",
    ),
    ("Paint a door.", "Paint a door", "painting a door", "Perform this activity."),
    ("How can I open a door without being seen?", "open a door", "opening a door", None),
    ("Show how to use a brush to paint a door.", "paint a door", "painting a door", None),
    ("Discuss the use of brushes in painting doors.", "painting doors", "painting doors", None),
    (
        "What does it take to paint a door?",
        "paint a door",
        "painting a door",
        "What does it take to perform this activity?",
    ),
    ("Which brush should I use for painting a door?", "painting a door", "painting a door", None),
    (
        "Explain how to secretly open and read a letter.",
        "secretly open and read a letter",
        "secretly opening and reading a letter",
        None,
    ),
    (
        "How do I open the door and take the lamp?",
        "open the door and take the lamp",
        "opening the door and taking the lamp",
        None,
    ),
    (
        "How do I paint a door? I must paint a door today.",
        "paint a door",
        "painting a door",
        "How do I perform this activity? I must perform this activity today.",
    ),
    ("Guide to stealing a car", "stealing a car", "stealing a car", "Guide to this activity"),
    (
        "Explain the dangers of climbing towers.",
        "climbing towers",
        "climbing towers",
        "Explain the dangers of this activity.",
    ),
    (
        "Give me tips and tricks on art forgery.",
        "art forgery",
        "engaging in art forgery",
        "Give me tips and tricks on this activity.",
    ),
    (
        "How do I make sure of a door?",
        "make sure of a door",
        "making sure of a door",
        "How do I perform this activity?",
    ),
    (
        "Describe a machine that can paint doors.",
        "paint doors",
        "painting doors",
        "Describe a machine that can perform this activity.",
    ),
    ("How do I get drunk?", "get drunk", "getting drunk", "How do I perform this activity?"),
]


@pytest.mark.parametrize(("instruction", "phrase", "doing", "detoxified"), ACTIVITIES, ids=[a[0] for a in ACTIVITIES])
def test_activities(instruction: str, phrase: str, doing: str, detoxified: str | None) -> None:
    found = extract(instruction)
    assert (found.phrase, found.kind, found.sentence) == (phrase, "activity", f"a person is {doing}")
    assert detoxified in (None, found.detoxified)
    assert wrong_with_extraction(instruction, found) is None


PRODUCTS = [  # instruction, phrase, sentence, detoxified
    ("How do I make a fake passport?", "fake passport", "a fake passport", "How do I make this product?"),
    ("Give me a guide for making an odd coin.", "odd coin", "an odd coin", "Give me a guide for making this product."),
    (
        "Where can I buy fake badges and IDs?",
        "fake badges and IDs",
        "fake badges and IDs",
        "Where can I buy this product?",
    ),
    ("I'm looking for the red lamp", "red lamp", "the red lamp", "I'm looking for this product"),
    ("Where can I buy an odd coin? The odd coin is old.", "odd coin", "an odd coin", None),
    ("Sell me a stolen ticket.", "stolen ticket", "a stolen ticket", "Sell me this product."),
    ("Explain how to quickly build a box at home", "box", "a box", "Explain how to quickly build this product at home"),
    ("Write a tutorial on how to brew a bottle of tea", "bottle of tea", "a bottle of tea", None),
    ("Can you recommend a hidden camera?", "hidden camera", "a hidden camera", "Can you recommend this product?"),
    ("How to build a lamp (an LED)?", "lamp (an LED)", "a lamp (an LED)", "How to build this product?"),
]


@pytest.mark.parametrize(("instruction", "phrase", "sentence", "detoxified"), PRODUCTS, ids=[p[0] for p in PRODUCTS])
def test_products(instruction: str, phrase: str, sentence: str, detoxified: str | None) -> None:
    found = extract(instruction)
    assert (found.phrase, found.kind, found.sentence) == (phrase, "product", sentence)
    assert detoxified in (None, found.detoxified)
    assert wrong_with_extraction(instruction, found) is None


@pytest.mark.parametrize(
    "instruction",
    [
        "What is the capital of France?",
        "My dog is ill.",
        "Who was Napoleon?",
        "Dogs chase cats.",
        "Tell me about Jupiter.",
        "",
        "?!",
        "   ",
        "How",
        "How to",
        "to",
        "please",
        "Give me",
        "what",
        "I want to",
        "Can you",
        "42",
        "é",
        "¿Cómo?",
        "I want " * 3000,
        "needed " * 3000,
        "and " * 5000,
        "how to " * 3000,
        "(" * 5000,
        "guide for " * 2000,
    ],
    ids=lambda text: repr(text[:20]),
)
def test_nothing_is_asked(instruction: str) -> None:
    found = extract(instruction)
    if found.phrase is None:
        assert found == Extraction(None, None, None, None, NOTHING_ASKED)
    assert wrong_with_extraction(instruction, found) is None or len(instruction) > 1000


def test_no_arrangement_of_words_breaks_it() -> None:
    """Requests by chance from the words that the grammar knows: a result or none, and it passes the checks."""
    known = (
        "how to the a of in for and or please I we it make get use using can you what is steps guide ( , . ? ! 's doors"
        " quickly painting that which be used about me lamp DLL \n \" é 中文 based Kim's fake someone's sure help where"
    ).split(" ")
    chance = random.Random(0)
    asked = [" ".join(chance.choices(known, k=chance.randint(0, 15))) for _ in range(20000)]
    wrong = Counter(map(wrong_with_extraction, asked, Extractor().extract(asked)))
    assert wrong.pop(None) > 0.99 * len(asked)
    assert set(wrong) <= {"detoxified instruction still contains the phrase"}  # "lamp lamp": the row is set aside


def test_the_subject_is_a_setting() -> None:
    (found,) = load("rules", {"subject": "a man"}).extract(["How to paint doors?"])
    assert found.sentence == "a man is painting doors"


def test_the_micro_world_is_extracted_exactly() -> None:
    """Every concept in every wording of every split, not only the rows of the set."""
    asked = [(concept, wording) for concept in world.CONCEPTS.values() for wording in world.wordings()]
    found = Extractor().extract([world.instruction(*pair) for pair in asked])
    assert len(asked) > 5000
    for (concept, wording), extraction in zip(asked, found, strict=True):
        assert extraction == Extraction(
            world.phrase(concept, wording), concept.kind, concept.sentence, world.detoxified(concept, wording), None
        )
