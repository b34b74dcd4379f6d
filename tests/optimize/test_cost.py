"""What a step costs: FLOPs against hand formulas, and what is timed."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sea.models.sizes import ShapesOnly
from sea.optimize import cost
from sea.optimize.cost import FlopCount, StepCost, measure, peak_memory
from sea.optimize.embed import problems_of

B, L, H, A, D = 2, 7, 12, 3, 4  # samples, tokens, width, heads, width of a head
LINEAR = 2 * B * L * H * H
ATTENTION = 2 * 2 * B * A * L * L * D  # queries with keys, weights with values


def attend(x_BLH, masked):
    heads_BALD = x_BLH.view(B, L, A, D).transpose(1, 2)
    mask = torch.zeros(L, L) if masked else None
    return F.scaled_dot_product_attention(heads_BALD, heads_BALD, heads_BALD, attn_mask=mask).sum()


@pytest.mark.parametrize("masked", [False, True])
def test_a_linear_layer_and_attention_count_by_hand_formula_under_autograd_grad(masked):
    """Frozen weights: backward costs the gradient of the input alone; fused attention computes its scores again."""
    layer = nn.Linear(H, H).requires_grad_(False)
    x_BLH = torch.randn(B, L, H, requires_grad=True)
    with FlopCount() as forward:
        result = attend(layer(x_BLH), masked)
    assert forward.total == LINEAR + ATTENTION
    with FlopCount() as backward:
        torch.autograd.grad(result, x_BLH)
    assert backward.total == LINEAR + ATTENTION * 5 // 2


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_nothing_is_missed_or_counted_twice_without_autograd(context):
    layer, x_BLH = nn.Linear(H, H), torch.randn(B, L, H)
    with context(), FlopCount() as count:
        F.conv1d(layer(x_BLH).transpose(1, 2), torch.randn(5, H, 3))
    assert count.total == LINEAR + 2 * B * (L - 2) * 5 * H * 3


def test_shared_keys_are_counted_for_every_head_that_reads_them():
    query, key = torch.randn(B, 4, L, D), torch.randn(B, 2, L, D)
    with FlopCount() as count:
        F.scaled_dot_product_attention(query, key, key, enable_gqa=True)
    assert count.total == 2 * 2 * B * 4 * L * L * D
    shapes = cost._by_query_head(query, key, key[..., :2])
    assert shapes == [(B, 4, L, D), (B, 4, L, D), (B, 4, L, 2)]  # torch 2.11 refuses others


@pytest.mark.parametrize("counting_first", [False, True])
def test_shapes_alone_count_the_same(counting_first):
    layer, count = nn.Linear(H, H).to("meta"), FlopCount()
    modes = [count, ShapesOnly()] if counting_first else [ShapesOnly(), count]
    with modes[0], modes[1]:
        attend(layer(torch.randn(B, L, H)), masked=True)
    assert count.total == LINEAR + ATTENTION


# ------------------------------------------------------------------------------------------------ a step of the model


@pytest.fixture
def problems(micro, samples, settings):
    found, _ = problems_of(micro, samples, settings, micro.blank().slot)
    return found


class Clock:
    """Every look at it is a tenth of a second after the one before."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        self.now += 0.1
        return self.now


def longer(problem, tokens):
    """The same problem with a longer question in its first pair."""
    first, *others = problem.pairs
    return replace(problem, pairs=(replace(first, suffix=first.suffix[:1] * tokens + first.suffix), *others))


def test_flops_grow_with_the_tokens_by_hand_formula(micro, problems):
    """A weight of the layers costs a token two FLOPs forward and two backward; attention its two products, and five."""
    text = micro.model.config.get_text_config()
    weights = sum(
        module.weight.numel()
        for name, module in micro.model.named_modules()
        if "language_model" in name and isinstance(module, nn.Linear) and "head" not in name
    )
    alone, more = problems[0], longer(problems[0], 40)
    squares = more.length**2 - alone.length**2
    attention = (2 + 5) * 2 * squares * text.num_attention_heads * text.head_dim * text.num_hidden_layers
    found = [measure(micro, [problem], micro.blank(), 1).flops for problem in (alone, more)]
    assert found[1] - found[0] == 40 * (2 + 2) * weights + attention
    assert attention > 0 < weights


def test_the_sample_of_middle_length_is_counted(micro, problems):
    short, middle, long = (longer(problems[0], tokens) for tokens in (0, 20, 60))
    together = measure(micro, [short, middle, long], micro.blank(), 3)
    assert together.flops == measure(micro, [middle], micro.blank(), 1).flops


def test_a_fast_step_is_timed_as_a_batch(micro, problems, monkeypatch):
    monkeypatch.setattr(cost, "time", Clock())
    found = measure(micro, problems, micro.blank(), 4)
    assert found == StepCost(found.flops, pytest.approx(0.1 / 4), 4)
    assert measure(micro, problems, micro.blank(), 100).samples == len(problems)  # no more than there are


def test_a_slow_step_is_timed_alone(micro, problems, monkeypatch):
    monkeypatch.setattr(cost, "time", Clock())
    monkeypatch.setattr(cost, "WORTH_BATCHING_S", 0.05)
    found = measure(micro, problems, micro.blank(), 4)
    assert found == StepCost(found.flops, pytest.approx(0.1), 1)


@pytest.mark.parametrize(("fits", "expected"), [(1, (1, 4)), (0, None)])
def test_what_does_not_fit_is_told(micro, problems, monkeypatch, fits, expected):
    real = cost.gradient

    def limited(loaded, packed, *rest):
        if len(packed.ids_BL) > fits:
            raise torch.OutOfMemoryError("out of memory")
        return real(loaded, packed, *rest)

    monkeypatch.setattr(cost, "gradient", limited)
    monkeypatch.setattr(cost, "time", Clock())
    found = measure(micro, problems, micro.blank(), 4)
    assert (found and (found.samples, found.too_many)) == expected
    assert found is None or (found.flops > 0 and found.seconds == pytest.approx(0.1))


def test_peak_memory_on_a_gpu_and_elsewhere(monkeypatch):
    gib, in_words = peak_memory(torch.device("cpu"))
    assert 0.05 < gib < 100 and in_words == f"{gib:.1f} GiB"  # torch alone takes more than the one
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 3 * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=80 * 2**30))
    assert peak_memory(torch.device("cuda")) == (3.0, "3.0 of 80.0 GiB")
