"""The loop that the engine is compared with does the same, its own way; and wall.py compares the two."""

import dataclasses
import os

import naive
import pytest
import torch
import wall

from sea.config import OptimizeConfig, compose
from sea.console import SeaError
from sea.models.load import load
from sea.models.splice import Splice
from sea.optimize import objective, packing
from sea.optimize.loop import Loop

OVERRIDES = ("+model=micro-llava", "samples=builtin:micro")
TOLERANCE = 2e-3  # of E's RMS: what rounding grows to over the steps of a sample (tests/optimize/test_loop.py)


@pytest.fixture(scope="module")
def settings():
    return compose("optimize", OptimizeConfig, *OVERRIDES)


@pytest.fixture(scope="module")
def micro(settings):
    return load(settings.model)


@pytest.fixture(scope="module")
def start(micro):
    return micro.blank()


@pytest.fixture(scope="module")
def problems(settings, micro, start):
    return wall.problems(settings, micro, start, 4)


@pytest.mark.parametrize(
    "optim",
    [
        {},
        {"optimizer": "adam", "step_size": 0.05},
        {"optimizer": "adamw", "step_size": 0.05, "schedule": "cosine", "weight_decay": 5.0, "max_steps": 6},
        {"optimizer": "sign", "schedule": "inverse_sqrt", "margin": 0.0, "max_steps": 4},  # a margin never reached
    ],
    ids=lambda optim: optim.get("optimizer", "default"),
)
def test_it_ends_where_the_engine_does(settings, micro, start, problems, optim):
    own = dataclasses.replace(settings.optim, **optim)
    expected = {outcome.problem.sample.id: outcome for outcome in Loop(micro, problems, start, own)}
    assert len(expected) == len(problems)
    for problem in problems:
        found, other = naive.optimise(micro, problem, start, own), expected[problem.sample.id]
        assert (found.steps, found.hit, found.margin_reached) == (other.steps, other.hit, other.margin_reached)
        assert found.steps > 1
        assert (found.emb - other.emb).abs().max() < TOLERANCE * other.emb.square().mean().sqrt()
        assert (found.emb - start.emb).abs().max() > 10 * TOLERANCE * other.emb.square().mean().sqrt()


def test_its_step_is_the_engines_step_by_two_forwards_with_all_logits(micro, start, problems, monkeypatch):
    problem = problems[-1]
    emb = start.emb.float()[None] + 0.1 * torch.randn(1, *start.emb.shape, generator=torch.Generator().manual_seed(0))
    with Splice(micro.model, micro.family):
        expected = objective.gradient(micro, packing.Packer(micro, start)([problem]), emb, start)

    def refuse(*_):
        raise AssertionError("the naive loop is to pack nothing")

    monkeypatch.setattr(packing.Packer, "__init__", refuse)
    monkeypatch.setattr(objective, "evaluate", refuse)
    scored = []
    hook = micro.model.get_output_embeddings().register_forward_hook(lambda _, __, out: scored.append(out.shape[:2]))
    try:
        with Splice(micro.model, micro.family):
            nll, hit, grad = naive.gradient(micro, problem, emb, start)
    finally:
        hook.remove()
    lengths = [len(problem.prefix) + len(pair.suffix) + len(pair.answer) for pair in problem.pairs]
    assert scored == [(1, length) for length in lengths]
    assert torch.allclose(nll, expected[0], atol=1e-5)
    assert torch.equal(hit, expected[1])
    assert grad.shape == emb.shape
    assert torch.allclose(grad, expected[2], atol=1e-5 * float(expected[2].abs().max()), rtol=1e-3)
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in micro.model.parameters())


@pytest.fixture
def unpinned(monkeypatch):
    """`pin` leaves the process of the tests where it is."""
    monkeypatch.setattr(os, "sched_setaffinity", lambda *_: None)


def test_wall_measures_both_on_the_same_samples(unpinned, settings):
    found = wall.measure(settings, count=2, repeats=2, threads=1)
    assert {name: len(seconds) for name, seconds in found["seconds"].items()} == {"naive, threads: 1": 2, "ours": 2}
    assert found["compared_with"] == "naive, threads: 1"
    slow, fast = found["seconds"].values()
    assert found["ratios"] == [a / b for a, b in zip(slow, fast, strict=True)]
    assert found["agreement"]["samples"] == found["agreement"]["same_step"] == 2
    assert 0 < found["agreement"]["farthest_emb"] < TOLERANCE
    lines = wall.table(found).splitlines()
    assert len({line.count("|") for line in lines[:4]}) == 1
    assert "the same stop step for 2 of 2" in lines[-1]


def test_wall_compares_with_the_faster_naive_loop(unpinned, settings, monkeypatch):
    """A second thread that costs more than it brings must not flatter the engine."""
    clock, threads = [0.0], []
    monkeypatch.setattr(wall.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    ends = {"a": (1, torch.ones(1))}

    def slow(loaded, todo, *_):
        clock[0] += 90.0 if threads[-1] == 2 else 30.0
        return ends

    def fast(loaded, todo, *_):
        clock[0] += 6.0
        return ends

    monkeypatch.setattr(wall, "with_naive", slow)
    monkeypatch.setattr(wall, "with_engine", fast)
    found = wall.measure(settings, count=1, repeats=3, threads=2)
    assert found["seconds"] == {"naive, threads: 2": [90.0] * 3, "naive, threads: 1": [30.0] * 3, "ours": [6.0] * 3}
    assert found["ratios"] == [5.0] * 3
    assert "| ours | 6.0000 (6.0000 - 6.0000) | 5.00 (5.00 - 5.00) |" in wall.table(found)


def test_wall_says_when_the_loops_ended_apart():
    ones = torch.ones(4)
    found = wall.agreement({"a": (5, ones), "b": (7, ones)}, {"a": (5, 1.5 * ones), "b": (10, ones)})
    assert (found["same_step"], found["farthest_step"], found["farthest_emb"]) == (1, 3, 0.5)
    assert found["mean_steps"] == [6.0, 7.5]


def test_wall_takes_samples_from_all_over_the_set(settings, micro, start):
    every = wall.problems(settings, micro, start)
    assert [p.sample.id for p in wall.problems(settings, micro, start, 3)] == [
        every[place].sample.id for place in (0, len(every) // 3, 2 * len(every) // 3)
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--samples", "301"], "between 1 and the 300"),
        (["--threads", "4096"], "type --threads"),
        (["--set", "optim.nonsense=1"], "nonsense"),
        (["--set", "optim=media", "start_store=x"], "start at the blank input"),
    ],
)
def test_wall_refuses(unpinned, arguments, said):
    with pytest.raises(SeaError, match=said):
        wall.main(["--threads", "1", *arguments])
