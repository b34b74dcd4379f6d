"""The contract that every family x modality must pass (DESIGN section 3). New family files are picked up."""

import copy

import pytest
import torch

from sea.models.chat import Slot, split_at_slot
from sea.models.generate import answer
from sea.models.splice import Splice, core
from sea.optimize.objective import evaluate, pack
from sea.optimize.targets import Pair, Problem
from sea.records import Sample
from tests.models.contract import CASES, random_medium, tiny

QUESTIONS = ["what is in the picture ?", "describe the image briefly please"]


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def loaded(request):
    return tiny(*request.param)


@pytest.fixture(scope="module")
def encoded(loaded):
    """Two prompts about two random media: the processor's inputs, and E = M(media) with its companions."""
    media = [random_medium(loaded.modality, seed) for seed in (1, 2)]
    inputs = loaded.inputs(QUESTIONS, media)
    emb, companions = loaded.encode(media)
    return inputs, emb, companions


def spliced_inputs(loaded, inputs, emb):
    return {**inputs, loaded.spec.argument: emb}


def test_there_are_families_to_test():
    assert ("llava", "image") in CASES


def test_forward_of_e_equals_forward_of_the_medium(loaded, encoded):
    inputs, emb, _ = encoded
    expected = loaded.model(**inputs).logits
    with Splice(loaded.model, loaded.family):
        got = loaded.model(**spliced_inputs(loaded, inputs, emb)).logits
        shifted = loaded.model(**spliced_inputs(loaded, inputs, emb.flip(0))).logits
    assert torch.equal(got, expected)
    assert not torch.allclose(shifted, expected, atol=1e-4)  # E is read, not passed by


def test_gradient_reaches_e_and_no_parameter(loaded, encoded):
    inputs, emb, _ = encoded
    emb = emb.clone().requires_grad_(True)
    with Splice(loaded.model, loaded.family):
        loaded.model(**spliced_inputs(loaded, inputs, emb)).logits.square().mean().backward()
    assert torch.isfinite(emb.grad).all()
    assert (emb.grad.flatten(2).abs().amax(-1) > 0).all()  # every row of every sample
    assert all(parameter.grad is None for parameter in loaded.model.parameters())


def test_greedy_generation_is_identical(loaded, encoded):
    inputs, emb, companions = encoded
    slot = Slot(tuple(emb.shape[1:]), companions)
    prompts = [loaded.chat.prompt(question, slot) for question in QUESTIONS]
    expected = answer(loaded, prompts, {loaded.spec.argument: inputs[loaded.spec.argument], **companions}, 12)
    with Splice(loaded.model, loaded.family):
        got = answer(loaded, prompts, {loaded.spec.argument: emb, **companions}, 12)
    assert got == expected
    assert any(expected)


def test_peft_wrapped_with_adapters_on_and_off(loaded, encoded):
    from peft import LoraConfig, get_peft_model

    inputs, emb, _ = encoded
    plain = loaded.model(**inputs).logits
    model = get_peft_model(copy.deepcopy(loaded.model), LoraConfig(target_modules=loaded.family.lora, r=2))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(generator=torch.Generator().manual_seed(0))
    assert not any("lora" in name for name, _ in core(model).get_submodule(loaded.spec.encoder).named_modules())
    adapted = model(**inputs).logits
    assert not torch.allclose(adapted, plain, atol=1e-4)
    with Splice(model, loaded.family):
        assert torch.equal(model(**spliced_inputs(loaded, inputs, emb)).logits, adapted)
        with model.disable_adapter():
            assert torch.equal(model(**spliced_inputs(loaded, inputs, emb)).logits, plain)


def problem(loaded, slot, answers):
    """A packed problem of two pairs, with the answers given as texts."""
    pairs, prefix = [], []
    for name, question, text in zip(("content", "style"), QUESTIONS, answers, strict=True):
        prefix, suffix = split_at_slot(loaded.chat.prompt(question, slot), loaded.chat.placeholder_id)
        pairs.append(Pair(name, tuple(suffix), tuple(loaded.chat.answer(question, text, slot))))
    sample = Sample("x", "", "", "", True, "", "p", "product", "p", "", "", "")
    return Problem(sample, tuple(prefix), tuple(pairs))


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_packed_objective_equals_separate_forwards(loaded, encoded, attention):
    """In float64; the models' own norms compute in float32, which sets the tolerance."""
    twin = copy.copy(loaded)
    twin.model = copy.deepcopy(loaded.model).double()
    twin.model.set_attn_implementation(attention)
    _, emb, companions = encoded
    slot = Slot(tuple(emb.shape[1:]), companions)
    problems = [
        problem(loaded, slot, ["a red dog runs on green grass", "yes"]),
        problem(loaded, slot, ["no", "cats sit on the mat near a blue lake"]),
    ]
    emb = emb.double().requires_grad_(True)
    with Splice(twin.model, twin.family):
        packed = pack(problems, 0, emb.device, torch.float64 if attention == "eager" else None)
        nll, hit = evaluate(twin, packed, emb, companions)
        (grad,) = torch.autograd.grad(nll.sum(), emb)
        for row, item in enumerate(problems):
            own = emb.detach()[row : row + 1].requires_grad_(True)
            expected = []
            for pair in item.pairs:
                ids = torch.tensor([[*item.prefix, *pair.suffix, *pair.answer]])
                media = {twin.spec.argument: own, **{k: v[row : row + 1] for k, v in companions.items()}}
                logits = twin.model(input_ids=ids, attention_mask=torch.ones_like(ids), **media).logits
                predicted = logits[0, -len(pair.answer) - 1 : -1]
                expected.append(torch.nn.functional.cross_entropy(predicted, torch.tensor(pair.answer)))
            assert torch.allclose(nll[row].double(), torch.stack(expected), atol=1e-6, rtol=0)
            (own_grad,) = torch.autograd.grad(sum(expected), own)
            assert torch.allclose(grad[row], own_grad[0], atol=1e-6, rtol=0)
            assert own_grad.abs().max() > 1e-3  # the tolerance above means something
    assert not hit.any()


def test_hit_means_that_greedy_decoding_says_the_target(loaded, encoded):
    """What the model itself answers to the two questions is taken for the target: then, and only then, it is a hit."""
    _, emb, companions = encoded
    slot = Slot(tuple(emb.shape[1:]), companions)
    base = problem(loaded, slot, ["no", "yes"])
    with Splice(loaded.model, loaded.family):
        said = []
        for pair in base.pairs:
            ids = torch.tensor([[*base.prefix, *pair.suffix]])
            media = {loaded.spec.argument: emb[:1], **{k: v[:1] for k, v in companions.items()}}
            for _ in range(6):
                logits = loaded.model(input_ids=ids, attention_mask=torch.ones_like(ids), **media).logits
                ids = torch.cat([ids, logits[:, -1:].argmax(-1)], 1)
            said.append(tuple(ids[0, -6:].tolist()))
        pairs = tuple(Pair(p.name, p.suffix, own) for p, own in zip(base.pairs, said, strict=True))
        wrong = (pairs[0], Pair("style", pairs[1].suffix, (*said[1][:-1], said[1][-1] ^ 1)))
        packed = pack([Problem(base.sample, base.prefix, p) for p in (pairs, wrong)], 0, emb.device, None)
        both = {name: value[:1].repeat(2, *[1] * (value.ndim - 1)) for name, value in companions.items()}
        _, hit = evaluate(loaded, packed, emb[:1].repeat(2, 1, 1), both)
    assert hit.tolist() == [True, False]


def test_rebuilt_ids_equal_the_processors(loaded, encoded):
    inputs, emb, companions = encoded
    for row, question in enumerate(QUESTIONS):
        own = {name: value[row] for name, value in companions.items()}
        ids = inputs["input_ids"][row][inputs["attention_mask"][row] == 1]
        assert loaded.chat.prompt(question, Slot(tuple(emb.shape[1:]), own)) == ids.tolist()


def test_restoring_the_splice_restores_the_model(loaded, encoded):
    inputs, emb, _ = encoded
    before = {name: type(module) for name, module in loaded.model.named_modules()}
    weights = {name: value.clone() for name, value in loaded.model.state_dict().items()}
    expected = loaded.model(**inputs).logits
    splice = Splice(loaded.model, loaded.family).install()
    assert splice.installed
    with splice.off():
        assert torch.equal(loaded.model(**inputs).logits, expected)
    loaded.model(**spliced_inputs(loaded, inputs, emb))
    splice.restore()
    assert {name: type(module) for name, module in loaded.model.named_modules()} == before
    assert all(torch.equal(value, weights[name]) for name, value in loaded.model.state_dict().items())
    assert torch.equal(loaded.model(**inputs).logits, expected)


def test_splices_may_be_nested_and_leave_the_model_as_they_found_it(loaded, encoded):
    inputs, emb, _ = encoded
    expected = loaded.model(**inputs).logits
    outer, inner = Splice(loaded.model, loaded.family), Splice(loaded.model, loaded.family)
    with outer:
        with inner, inner:
            assert torch.equal(loaded.model(**spliced_inputs(loaded, inputs, emb)).logits, expected)
        assert inner.installed
        with inner.off():  # also when another one installed it
            assert torch.equal(loaded.model(**inputs).logits, expected)
        assert torch.equal(inner.encode(inputs, loaded.modality), emb)
        assert torch.equal(loaded.model(**spliced_inputs(loaded, inputs, emb)).logits, expected)
    assert not outer.installed


def test_splice_is_restored_after_an_error(loaded, encoded):
    inputs, _, _ = encoded
    with pytest.raises(ZeroDivisionError), Splice(loaded.model, loaded.family):
        raise ZeroDivisionError
    assert loaded.model(**inputs).logits.isfinite().all()
