"""The contract that every family x modality must pass (DESIGN section 3). New family files are picked up."""

import contextlib
import copy
import re
from pathlib import Path

import pytest
import torch

from sea.models.chat import split_at_slot
from sea.models.generate import answer
from sea.models.load import attention
from sea.models.spec import SLOT_TEXT
from sea.models.splice import Splice, core
from sea.models.wire import Encoded, mixes
from sea.optimize.layers import layers, recomputed, wrapped
from sea.optimize.objective import evaluate, gradient
from sea.optimize.packing import Packer
from sea.optimize.targets import Pair, Problem
from sea.records import Sample
from tests.models.contract import CASES, READ_IN_PART, padded, random_medium, real_inputs, spliced_inputs, tiny

QUESTIONS = ["what is in the picture ?", "describe the image briefly please"]
ONE = QUESTIONS[:1]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{Path(case[0]).stem}-{case[1]}")
def loaded(request):
    return tiny(*request.param)


@pytest.fixture(scope="module")
def media(loaded):
    """Two media, of two sizes where the family takes them in one batch."""
    return [random_medium(loaded.modality, 1), random_medium(loaded.modality, 2, larger=mixes(loaded.spec))]


@pytest.fixture(scope="module")
def items(loaded, media):
    return [loaded.encode([medium])[0] for medium in media]  # each alone: bit for bit what a forward of it computes


def noisy(items):
    made = torch.Generator().manual_seed(0)
    noise = [torch.randn(item.emb.shape, generator=made).to(item.emb) for item in items]
    return [Encoded(i.emb + i.emb.std() * own, i.companions) for i, own in zip(items, noise, strict=True)]


def test_there_are_families_to_test():
    assert ("llava", "image") in CASES


def test_forward_of_e_equals_forward_of_the_medium(loaded, media, items):
    """One medium bit for bit; two at once as each alone, but for the rounding of other matrix shapes."""
    expected = loaded.model(**real_inputs(loaded, ONE, media[:1], items[:1])).logits
    alone = [
        loaded.model(**real_inputs(loaded, [question], [medium], [item])).logits[0]
        for question, medium, item in zip(QUESTIONS, media, items, strict=True)
    ]
    used = padded(loaded, QUESTIONS, items)["attention_mask"].bool()
    with Splice(loaded.model, loaded.family):
        got = loaded.model(**spliced_inputs(loaded, ONE, items[:1])).logits
        changed = loaded.model(**spliced_inputs(loaded, ONE, noisy(items[:1]))).logits
        together = loaded.model(**spliced_inputs(loaded, QUESTIONS, items)).logits
    assert torch.equal(got, expected)
    assert torch.allclose(together[used], torch.cat(alone), atol=1e-4, rtol=0)
    assert not torch.allclose(changed, expected, atol=1e-2)  # E is read, not passed by


def test_media_of_one_size_are_encoded_together_as_alone(loaded):
    media = [random_medium(loaded.modality, seed) for seed in (3, 4)]
    together = loaded.encode([media[0], random_medium(loaded.modality, 5, larger=True), media[1]])
    for item, medium in zip((together[0], together[2]), media, strict=True):
        (alone,) = loaded.encode([medium])
        assert torch.allclose(item.emb, alone.emb, atol=1e-5)
        assert item.slot == alone.slot
        assert all(torch.equal(item.companions[name], alone.companions[name]) for name in alone.companions)
    assert not torch.allclose(together[0].emb, together[2].emb, atol=1e-2)


def test_gradient_reaches_e_and_no_parameter(loaded, items):
    leaves = [item.emb.clone().requires_grad_(True) for item in items]
    spliced = [Encoded(leaf, item.companions) for leaf, item in zip(leaves, items, strict=True)]
    with Splice(loaded.model, loaded.family):
        loaded.model(**spliced_inputs(loaded, QUESTIONS, spliced)).logits.square().mean().backward()
    for leaf in leaves:
        assert torch.isfinite(leaf.grad).all()
        reached = leaf.grad.flatten(0, -2).abs().amax(-1) > 0
        assert reached.float().mean() > 0.4
        assert reached.all() or (Path(loaded.checkpoint.path).stem, loaded.modality) in READ_IN_PART
    assert all(parameter.grad is None for parameter in loaded.model.parameters())


def test_greedy_generation_is_identical(loaded, media, items):
    prompts = [loaded.chat.prompt(question, item.slot) for question, item in zip(QUESTIONS, items, strict=True)]
    expected = []
    for question, prompt, medium, item in zip(QUESTIONS, prompts, media, items, strict=True):
        own = real_inputs(loaded, [question], [medium], [item])
        raw = {name: own[name] for name in (loaded.spec.argument, *loaded.spec.companions)}
        expected += answer(loaded, [prompt], raw, 12)
    with Splice(loaded.model, loaded.family):
        got = answer(loaded, prompts, loaded.media(items), 12)
        changed = answer(loaded, prompts, loaded.media(noisy(items)), 12)
    assert got == expected
    assert any(expected)
    assert changed != expected


def test_peft_wrapped_with_adapters_on_and_off(loaded, media, items):
    from peft import LoraConfig, get_peft_model

    own = real_inputs(loaded, ONE, media[:1], items[:1])
    plain = loaded.model(**own).logits
    # as sea/train/lora.py: of a model with experts PEFT would take a pattern apart
    names = [name for name, module in loaded.model.named_modules() if isinstance(module, torch.nn.Linear)]
    targets = [name for name in names if re.fullmatch(loaded.family.lora, name)]
    model = get_peft_model(copy.deepcopy(loaded.model), LoraConfig(target_modules=targets, r=2))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(generator=torch.Generator().manual_seed(0))
    assert not any("lora" in name for name, _ in core(model).get_submodule(loaded.spec.encoder).named_modules())
    assert not any("lora" in name for name, _ in core(model).get_submodule(loaded.spec.projector).named_modules())
    adapted = model(**own).logits
    assert not torch.allclose(adapted, plain, atol=1e-4)
    with Splice(model, loaded.family):
        assert torch.equal(model(**spliced_inputs(loaded, ONE, items[:1])).logits, adapted)
        with model.disable_adapter():
            assert torch.equal(model(**spliced_inputs(loaded, ONE, items[:1])).logits, plain)


def problem(loaded, slot, answers):
    """A packed problem of two pairs, with the answers given as texts."""
    pairs, prefix = [], []
    for name, question, text in zip(("content", "style"), QUESTIONS, answers, strict=True):
        prefix, suffix = split_at_slot(loaded.chat.prompt(question, slot), loaded.chat.token_id)
        pairs.append(Pair(name, tuple(suffix), tuple(loaded.chat.answer(question, text, slot))))
    sample = Sample("x", "", "", "", True, "", "p", "product", "p", "", "", "")
    return Problem(sample, tuple(prefix), tuple(pairs))


@pytest.mark.parametrize(("kind", "worth_keeping"), [("sdpa", None), ("sdpa", 1), ("eager", 1)])
def test_packed_objective_equals_separate_forwards(loaded, items, kind, worth_keeping):
    """In float64; the models' own norms compute in float32, which sets the tolerance.

    Both with the text before the slot in the sequence and with its keys and values kept.
    """
    twin = copy.copy(loaded)
    twin.model = copy.deepcopy(loaded.model).double()
    twin.model.set_attn_implementation(attention(twin.model.config, kind))
    start = items[0]
    problems = [
        problem(loaded, start.slot, ["a red dog runs on green grass", "yes"]),
        problem(loaded, start.slot, ["no", "cats sit on the mat near a blue lake"]),
    ]
    emb = torch.stack([item.emb for item in (items[0], *noisy(items[:1]))]).double().requires_grad_(True)
    packed = Packer(twin, start, worth_keeping)(problems)
    assert (packed.kept is not None) == (worth_keeping is not None)
    with Splice(twin.model, twin.family):
        nll, hit = evaluate(twin, packed, emb, start)
        (grad,) = torch.autograd.grad(nll.sum(), emb)
        for row, item in enumerate(problems):
            own = emb.detach()[row].requires_grad_(True)
            expected = []
            for pair in item.pairs:
                ids = torch.tensor([[*item.prefix, *pair.suffix, *pair.answer]])
                media = {**twin.media([Encoded(own, start.companions)]), **twin.token_types(ids)}
                logits = twin.model(input_ids=ids, attention_mask=torch.ones_like(ids), **media).logits
                predicted = logits[0, -len(pair.answer) - 1 : -1]
                expected.append(torch.nn.functional.cross_entropy(predicted, torch.tensor(pair.answer)))
            assert torch.allclose(nll[row].double(), torch.stack(expected).double(), atol=1e-6, rtol=0)
            (own_grad,) = torch.autograd.grad(sum(expected), own)
            assert torch.allclose(grad[row], own_grad, atol=1e-6, rtol=0)
            assert own_grad.abs().max() > 1e-4  # the tolerance above means something
    assert not hit.any()


def test_layers_recomputed_in_the_backward_pass_give_the_same(loaded, items):
    """Gradient checkpointing, which long samples fall back to: some layers hand on more than their output."""
    problems = [problem(loaded, items[0].slot, ["a red dog runs on green grass", "yes"])] * 2
    packed = Packer(loaded, items[0], worth_keeping=None)(problems)
    emb = items[0].emb.float().expand(2, *items[0].emb.shape)  # in whatever way its memory lies
    found, runs = [], []
    within = [part for layer in layers(loaded.model) for part in layer.modules() if part is not layer]
    hooks = [part.register_forward_pre_hook(lambda *_: runs.append(1)) for part in within]
    with Splice(loaded.model, loaded.family):
        for run in (contextlib.nullcontext(), wrapped(loaded.model, recomputed)):
            runs.clear()
            with run:
                found.append((gradient(loaded, packed, emb, items[0]), len(runs)))
    for hook in hooks:
        hook.remove()
    (plain, once), (again, more) = found
    assert more > once > 0
    assert all(torch.equal(own, other) for own, other in zip(plain, again, strict=True))
    assert plain[2].abs().max() > 0


def test_hit_means_that_greedy_decoding_says_the_target(loaded, items):
    """What the model itself answers to the two questions is taken for the target: then, and only then, it is a hit."""
    base = problem(loaded, items[0].slot, ["no", "yes"])
    with Splice(loaded.model, loaded.family):
        said = []
        for pair in base.pairs:
            ids = torch.tensor([[*base.prefix, *pair.suffix]])
            for _ in range(6):
                media = {**loaded.media(items[:1]), **loaded.token_types(ids)}
                logits = loaded.model(input_ids=ids, attention_mask=torch.ones_like(ids), **media).logits
                ids = torch.cat([ids, logits[:, -1:].argmax(-1)], 1)
            said.append(tuple(ids[0, -6:].tolist()))
        pairs = tuple(Pair(p.name, p.suffix, own) for p, own in zip(base.pairs, said, strict=True))
        wrong = (pairs[0], Pair("style", pairs[1].suffix, (*said[1][:-1], said[1][-1] ^ 1)))
        packed = Packer(loaded, items[0])([Problem(base.sample, base.prefix, p) for p in (pairs, wrong)])
        _, hit = evaluate(loaded, packed, torch.stack([items[0].emb] * 2), items[0])
    assert hit.tolist() == [True, False]


def test_rebuilt_ids_equal_the_processors(loaded, media, items):
    if loaded.spec.process is not None:
        pytest.skip("docs/families.md: the processor writes no prompt about this medium here")
    inputs = loaded.inputs(QUESTIONS, media)
    rebuilt = padded(loaded, QUESTIONS, items)
    assert torch.equal(rebuilt["input_ids"], inputs["input_ids"])
    for name in set(rebuilt) & set(inputs):
        assert torch.equal(rebuilt[name], inputs[name]), name


def test_what_is_stored_beside_e_is_all_that_a_prompt_and_a_forward_need(loaded, items):
    assert set(items[0].companions) == {*loaded.spec.companions, SLOT_TEXT}
    assert all(isinstance(value, torch.Tensor) for value in items[0].tensors.values())
    again = Encoded.of(items[0].tensors)
    assert torch.equal(again.emb, items[0].emb)
    assert again.slot == items[0].slot


def test_restoring_the_splice_restores_the_model(loaded, media, items):
    inputs = real_inputs(loaded, ONE, media[:1], items[:1])
    before = {name: type(module) for name, module in loaded.model.named_modules()}
    weights = {name: value.clone() for name, value in loaded.model.state_dict().items()}
    expected = loaded.model(**inputs).logits
    splice = Splice(loaded.model, loaded.family).install()
    assert splice.installed
    with splice.off():
        assert torch.equal(loaded.model(**inputs).logits, expected)
    loaded.model(**spliced_inputs(loaded, ONE, items[:1]))
    splice.restore()
    assert {name: type(module) for name, module in loaded.model.named_modules()} == before
    assert all(torch.equal(value, weights[name]) for name, value in loaded.model.state_dict().items())
    assert torch.equal(loaded.model(**inputs).logits, expected)


def test_splices_may_be_nested_and_leave_the_model_as_they_found_it(loaded, media, items):
    inputs = real_inputs(loaded, ONE, media[:1], items[:1])
    expected = loaded.model(**inputs).logits
    outer, inner = Splice(loaded.model, loaded.family), Splice(loaded.model, loaded.family)
    with outer:
        with inner, inner:
            assert torch.equal(loaded.model(**spliced_inputs(loaded, ONE, items[:1])).logits, expected)
        assert inner.installed
        with inner.off():  # also when another one installed it
            assert torch.equal(loaded.model(**inputs).logits, expected)
        (again,) = loaded.encode(media[:1])
        assert torch.equal(again.emb, items[0].emb)
        assert torch.equal(loaded.model(**spliced_inputs(loaded, ONE, items[:1])).logits, expected)
    assert not outer.installed


def test_splice_is_restored_after_an_error(loaded, media, items):
    inputs = real_inputs(loaded, ONE, media[:1], items[:1])
    with pytest.raises(ZeroDivisionError), Splice(loaded.model, loaded.family):
        raise ZeroDivisionError
    assert loaded.model(**inputs).logits.isfinite().all()
