"""Layers run in another way inside a block, and are themselves after it."""

import pytest
import torch

from sea.models.splice import Splice
from sea.optimize.embed import problems_of
from sea.optimize.layers import layers, recomputed, wrapped
from sea.optimize.objective import gradient
from sea.optimize.packing import Packer


@pytest.fixture
def step(micro, samples, settings):
    start = micro.blank()
    problems, _ = problems_of(micro, samples[:2], settings, start.slot)
    packed, emb = Packer(micro, start, worth_keeping=None)(problems), torch.stack([start.emb] * 2)

    def run():
        with Splice(micro.model, micro.family):
            return gradient(micro, packed, emb, start)

    return run


def test_recomputed_layers_run_twice_and_give_the_same(micro, step):
    runs = []
    hooks = [
        layer.mlp.register_forward_pre_hook(lambda *_: runs.append(1))
        for layer in micro.model.model.language_model.layers
    ]
    plain = step()
    once = len(runs)
    runs.clear()
    with wrapped(micro.model, recomputed):
        again = step()
    for hook in hooks:
        hook.remove()
    assert once == len(hooks)
    assert len(runs) == 2 * once
    assert all(torch.equal(own, other) for own, other in zip(plain, again, strict=True))


def test_a_layers_own_hooked_forward_is_put_back(micro, step):
    """Libraries that spread a model over devices hang their own forward onto a layer."""
    layer, calls = layers(micro.model)[-1], []
    own = layer.forward
    layer.forward = hooked = lambda *args, **kwargs: calls.append(1) or own(*args, **kwargs)
    try:
        with wrapped(micro.model, recomputed):
            step()
        assert layer.forward is hooked
        assert len(calls) == 2  # it is inside what is recomputed
    finally:
        del layer.forward


def test_layers_are_put_back_after_an_error(micro):
    with pytest.raises(ZeroDivisionError), wrapped(micro.model, recomputed):
        raise ZeroDivisionError
    assert all("forward" not in layer.__dict__ for layer in layers(micro.model))
