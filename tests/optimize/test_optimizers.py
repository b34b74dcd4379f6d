"""Update rules against torch's own, and schedules by their numbers."""

import pytest
import torch

from sea.optimize.optimizers import RULES, SCHEDULES, adam, fresh_state, normalized, per_sample, rms, sign


def test_adam_is_torchs_adam():
    target = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    ours, theirs = torch.zeros(2, 3, 4), torch.zeros(2, 3, 4, requires_grad=True)
    optimizer = torch.optim.Adam([theirs], lr=0.1)
    state = fresh_state("adam", ours)
    for step in range(1, 8):
        ours = ours - 0.1 * adam(2 * (ours - target), state, torch.full((2,), float(step)))
        optimizer.zero_grad()
        (theirs - target).square().sum().backward()
        optimizer.step()
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_samples_count_their_own_steps():
    """One that enters late has Adam's first step then, beside others at their tenth."""
    grad = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    state = fresh_state("adam", grad)
    direction = adam(grad, state, torch.tensor([1.0, 10.0]))
    assert torch.allclose(direction[0], grad[0].sign(), atol=1e-4)
    assert not torch.allclose(direction[1], grad[1].sign(), atol=0.1)


def test_normalized_descent_takes_steps_of_unit_rms_whatever_the_gradient():
    grad = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    scale = torch.tensor([1e-6, 1e3])[:, None, None]
    direction = normalized(grad * scale, fresh_state("normalized", grad), torch.ones(2))
    assert torch.allclose(direction.square().mean((1, 2)), torch.ones(2), atol=1e-4)
    assert torch.nn.functional.cosine_similarity(direction.flatten(1), grad.flatten(1)).min() > 0.9999
    state = fresh_state("normalized", grad)
    normalized(grad, state, torch.ones(2))
    assert torch.allclose(normalized(grad, state, torch.ones(2)).square().mean((1, 2)).sqrt(), torch.tensor(1.9))


def test_sign_descent_moves_every_number_alike():
    grad = torch.tensor([[[1e-9, -5.0, 0.0]]])
    assert sign(grad, {}, torch.ones(1)).tolist() == [[[1.0, -1.0, 0.0]]]


@pytest.mark.parametrize("name", sorted(RULES))
def test_a_zero_gradient_moves_nothing(name):
    zero = torch.zeros(1, 2, 3)
    assert torch.equal(RULES[name].direction(zero, fresh_state(name, zero), torch.ones(1)), zero)


def test_only_adamw_decays():
    assert [name for name, rule in RULES.items() if rule.decays] == ["adamw"]


def test_schedules_begin_at_the_whole_step_and_end_where_they_say():
    steps = torch.tensor([1.0, 4.0, 51.0, 101.0])
    found = {name: schedule(steps, 100).tolist() for name, schedule in SCHEDULES.items()}
    assert found["constant"] == [1, 1, 1, 1]
    assert found["linear"] == pytest.approx([1, 0.97, 0.5, 0], abs=1e-6)
    assert found["cosine"] == pytest.approx([1, 0.99778, 0.5, 0], abs=1e-4)
    assert found["inverse_sqrt"] == pytest.approx([1, 0.5, 51**-0.5, 101**-0.5], abs=1e-6)


def test_rms_is_each_samples_own():
    emb = torch.stack([torch.full((2, 3), 2.0), torch.full((2, 3), -5.0)])
    assert rms(emb).shape == (2, 1, 1)
    assert rms(emb).flatten().tolist() == [2.0, 5.0]
    assert per_sample(torch.tensor([1.0, 2.0]), emb).shape == (2, 1, 1)
