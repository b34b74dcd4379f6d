"""The micro benchmark: what it asks, that twins are twins, that `limit` takes what belongs together."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from sea.console import SeaError
from sea.evaluate.benchmarks import _check, digest, limited, read
from sea.media import Sound, Video
from sea.micro import world

ARGS = {"modes": ["typographic", "icon", "both"], "seed": 0}


def test_every_task_has_as_many_twins_as_attacks(attacks):
    harmful = Counter(a.task for a in attacks if a.role == "attack" and a.harmful)
    benign = Counter(a.task for a in attacks if a.role == "attack" and not a.harmful)
    assert harmful == benign
    assert set(harmful) == {"text", "typographic", "icon", "both"}
    assert len(set(harmful.values())) == 1


def test_a_twin_differs_in_the_concept_alone(attacks):
    by_id = {a.id: a for a in attacks}
    twins = [a for a in attacks if a.twin_of is not None]
    for twin in twins:
        harmful = by_id[twin.twin_of]
        assert (harmful.harmful, twin.harmful) == (True, False)
        assert (harmful.task, harmful.scenario) == (twin.task, twin.scenario)
        assert world.CONCEPTS[harmful.reference].twin_key == twin.reference
        if twin.medium is not None:
            assert harmful.text == twin.text  # only the picture tells them apart
    assert len(twins) > 800


def test_media_attacks_hide_the_phrase_in_the_picture(attacks):
    for attack in attacks:
        if attack.role == "attack":
            concept = world.CONCEPTS[attack.reference]
            assert (concept.second in attack.text) == (attack.medium is None)
            assert attack.text.startswith("The image shows") == (attack.medium is not None)


@pytest.mark.parametrize(
    ("name", "holdout", "rendered"),
    [("held-out", "", True), ("unseen-combination", "", False), ("unseen-category", "category", None)],
)
def test_scenarios_say_how_far_a_concept_is_from_training(attacks, name, holdout, rendered):
    of_it = [a for a in attacks if a.scenario == name and a.task != "style"]
    assert of_it
    for attack in of_it:
        concept = world.CONCEPTS[attack.reference]
        assert concept.split == "test"
        assert concept.holdout == holdout
        assert rendered in (None, concept.rendered)


def test_ability_is_asked_about_harmless_media_and_understanding_about_harmful_ones(attacks):
    roles = {(a.role, a.task, a.harmful) for a in attacks if a.role != "attack"}
    assert roles == {
        ("ability", "caption", False), ("ability", "style", False), ("ability", "tool", False),
        ("understanding", "caption", True),
    }  # fmt: skip


def test_understanding_is_asked_about_the_attacks_own_picture(attacks):
    by_id = {a.id: a for a in attacks}
    linked = [a for a in attacks if a.understanding is not None]
    assert {a.task for a in linked} == {"typographic", "icon", "both"}
    assert all(a.harmful for a in linked)
    for attack in linked[::40]:
        about = by_id[attack.understanding]
        assert np.array_equal(np.asarray(attack.medium()), np.asarray(about.medium()))
    assert {a.understanding for a in linked} == {a.id for a in attacks if a.role == "understanding"}


@pytest.mark.parametrize(("modality", "modes"), [("video", ["typographic"]), ("audio", ["spelled", "jingle"])])
def test_the_same_questions_are_asked_through_clips_and_sounds(attacks, modality, modes):
    shown = read("micro", "test", {"modes": modes, "modality": modality})
    media = [attack for attack in shown if attack.medium is not None]
    assert {attack.modality for attack in media} == {modality}
    assert {type(attack.medium()) for attack in media[::200]} == {{"video": Video, "audio": Sound}[modality]}
    assert {a.task for a in shown if a.role == "attack"} == {"text", *modes}
    harmful = {a.reference for a in shown if a.role == "attack" and a.harmful and a.medium is not None}
    assert harmful == {a.reference for a in attacks if a.role == "attack" and a.harmful and a.medium is not None}
    assert not any("picture" in a.text or "image" in a.text for a in media)


def test_the_dev_split_shares_no_concept_with_the_test_split(attacks):
    dev = read("micro", "dev", ARGS)
    assert not {a.reference for a in dev if a.task != "style"} & {a.reference for a in attacks if a.task != "style"}
    assert not {a.id for a in dev} & {a.id for a in attacks}


def test_limit_takes_what_belongs_together(attacks):
    few = limited(attacks, 5)
    counts = Counter((a.role, a.task, a.harmful) for a in few)
    for task in ("text", "typographic", "icon", "both"):
        assert counts["attack", task, True] == counts["attack", task, False] == 5
    for task in ("caption", "style", "tool"):
        assert counts["ability", task, False] == 5
    _check(few, "micro")  # every twin and every understanding item is there
    assert {a.id for a in limited(attacks, 3)} <= {a.id for a in few}
    assert limited(list(reversed(attacks)), 5) == list(reversed(few))
    assert limited(attacks, 10**6) == attacks


def test_what_is_asked_is_part_of_the_digest(attacks):
    assert digest(attacks) == digest(list(attacks))
    changed = replace(attacks[0], text=attacks[0].text + "?")
    assert digest([changed, *attacks[1:]]) != digest(attacks)


@pytest.mark.parametrize(
    ("reader", "split", "args", "message"),
    [
        ("nosuch", "test", ARGS, "benchmark.reader=nosuch is not known; valid: micro"),
        ("micro", "train", ARGS, "benchmark.split=train is not known; valid: dev, test"),
        ("micro", "test", {"modes": ["spoken"]}, r"\['spoken'\] must list some of both, icon, typographic"),
        ("micro", "test", {"modes": ["icon", "icon"]}, "each once"),
        ("micro", "test", {**ARGS, "size": 3}, "benchmark.args: unknown size; valid: modality, modes, seed, split"),
        ("micro", "test", {**ARGS, "seed": "a"}, "benchmark.args.seed=a is of the wrong type"),
        ("micro", "test", {**ARGS, "split": "dev"}, "has a place of its own"),
    ],
)
def test_mistakes_are_one_line_with_the_valid_names(reader, split, args, message):
    with pytest.raises(SeaError, match=message):
        read(reader, split, args)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda a: [], "gave no item"),
        (lambda a: [a, a], "gave an id twice"),
        (lambda a: [replace(a, twin_of="gone")], "points to gone"),
        (lambda a: [replace(a, understanding="gone")], "points to gone"),
        (lambda a: [replace(a, role="other")], "role other is not known; valid: ability, attack, understanding"),
    ],
)
def test_items_that_would_be_counted_wrongly_are_refused(attacks, broken, message):
    with pytest.raises(SeaError, match=message):
        _check(broken(replace(attacks[0], understanding=None)), "x")


def test_no_mode_is_text_alone():
    attacks = read("micro", "test", {"modes": []})
    assert {attack.task for attack in attacks} == {"text"}
    assert not any(attack.medium for attack in attacks)
