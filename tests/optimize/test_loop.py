"""A sample's result is its own: alone or in a batch, in any order, with neighbours that fail, after memory ran out."""

import dataclasses

import pytest
import torch

import sea.optimize.batch as batch_module
import sea.optimize.embed as embed_module
import sea.optimize.layers as layers_module
import sea.optimize.loop as loop_module
import sea.optimize.objective as objective_module
from sea.console import SeaError
from sea.models.splice import Splice
from sea.optimize import optimize
from sea.optimize.objective import evaluate
from sea.optimize.packing import WORTH_KEEPING, Packer

# Batch size changes the rounding of matrix products; over some tens of steps that grows to this, relative to E's RMS.
TOLERANCE = 2e-3


def run(micro, samples, settings, **optim):
    """id -> (record, E), and the rejects."""
    settings = dataclasses.replace(settings, optim=dataclasses.replace(settings.optim, **optim))
    found, rejects = {}, {}
    for results in optimize(micro, samples, settings):
        found |= {record.id: (record, tensors["embedding"]) for record, tensors in results.embeddings}
        rejects |= {reject.id: reject.reason for reject in results.rejects}
    return found, rejects


def agree(found, expected):
    assert found.keys() == expected.keys()
    for key, (record, emb) in found.items():
        other, other_emb = expected[key]
        assert (record.hit, record.margin_reached, record.steps) == (other.hit, other.margin_reached, other.steps)
        assert [a.answer for a in record.answers] == [a.answer for a in other.answers]
        scale = other_emb.square().mean().sqrt()
        assert (emb - other_emb).abs().max() < TOLERANCE * scale


@pytest.fixture(scope="module")
def alone(micro, samples):
    from sea.config import OptimizeConfig, compose
    from tests.optimize.conftest import OVERRIDES

    settings = compose("optimize", OptimizeConfig, *OVERRIDES)
    found = {}
    for sample in samples:
        found |= run(micro, [sample], settings, batch_size=1)[0]
    return found


def test_embeddings_are_found_and_differ(alone, samples):
    assert alone.keys() == {sample.id for sample in samples}
    assert all(record.hit and record.margin_reached for record, _ in alone.values())
    assert all(1 <= record.steps <= 100 for record, _ in alone.values())
    embeddings = [emb for _, emb in alone.values()]
    assert min((a - b).abs().max() for i, a in enumerate(embeddings) for b in embeddings[:i]) > 0.1


@pytest.mark.parametrize("batch_size", [2, 5, 64])
def test_alone_equals_any_batch(micro, samples, settings, alone, batch_size):
    agree(run(micro, samples, settings, batch_size=batch_size)[0], alone)


def test_order_does_not_matter(micro, samples, settings, alone):
    agree(run(micro, samples[::-1], settings, batch_size=5)[0], alone)


def test_fewer_neighbours_do_not_matter(micro, samples, settings, alone):
    found, _ = run(micro, samples[::2], settings)
    agree(found, {key: alone[key] for key in found})


def test_the_model_is_left_as_it_was(micro, samples, settings):
    before = {name: value.clone() for name, value in micro.model.state_dict().items()}
    kinds = [type(module) for module in micro.model.modules()]
    run(micro, samples[:2], settings)
    assert all(torch.equal(value, before[name]) for name, value in micro.model.state_dict().items())
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in micro.model.parameters())
    assert [type(module) for module in micro.model.modules()] == kinds


def test_the_model_reads_real_media_whenever_results_are_out(micro, samples, settings):
    expected = micro.blank().emb
    for _ in optimize(micro, samples[:8], settings):
        assert torch.equal(micro.blank().emb, expected)


def test_a_finished_sample_leaves_and_the_next_enters(micro, samples, settings):
    """Places are refilled at once: launches stay full until nothing waits, and no sample is stepped after its stop."""
    reports = []
    settings = dataclasses.replace(settings, optim=dataclasses.replace(settings.optim, batch_size=3))
    steps = [r.steps for results in optimize(micro, samples, settings, reports.append) for r, _ in results.embeddings]
    assert all(report.active == 3 for report in reports if report.waiting)
    assert sum(report.active for report in reports) == sum(steps) + len(samples)  # + each one's last look


def test_memory_running_out_halves_the_batch_and_loses_nothing(micro, samples, settings, alone, monkeypatch, capsys):
    real, calls = objective_module.evaluate, []

    def short_of_memory(loaded, packed, emb, start):
        calls.append(len(emb))
        if len(emb) > 2 and len(calls) > 4:  # memory goes short only once some steps are done
            raise torch.OutOfMemoryError("out of memory")
        return real(loaded, packed, emb, start)

    monkeypatch.setattr(objective_module, "evaluate", short_of_memory)
    agree(run(micro, samples, settings, batch_size=8)[0], alone)
    assert calls[:5] == [8] * 5
    assert calls[-1] <= 2
    assert "going on with 2" in capsys.readouterr().out
    steps = sum(record.steps + 1 for record, _ in alone.values())
    failed = sum(n for n in calls[4:] if n > 2)
    assert sum(calls) - failed == steps  # no step was done twice


def test_a_batch_that_memory_halved_grows_again(micro, samples, settings, alone, monkeypatch, capsys):
    """After some steps without trouble it is tried again; if that fails, the next attempt waits for twice as long."""
    real, calls = objective_module.evaluate, []
    monkeypatch.setattr(batch_module, "PATIENCE", 3)

    def short_of_memory(loaded, packed, emb, start):
        calls.append(len(emb))
        if (len(emb) > 4 and len(calls) == 3) or (len(emb) > 2 and 3 < len(calls) < 12):
            raise torch.OutOfMemoryError("out of memory")
        return real(loaded, packed, emb, start)

    monkeypatch.setattr(objective_module, "evaluate", short_of_memory)
    agree(run(micro, samples, settings, batch_size=8)[0], alone)
    assert calls[:9] == [8, 8, 8, 4, 2, 2, 2, 4, 2]  # halved twice, grown after three steps, halved again
    assert calls[9:14] == [2, 2, 2, 2, 2]  # six steps until the next attempt
    assert calls[14] == 4


def test_a_sample_that_does_not_fit_is_recomputed_layer_by_layer(micro, samples, settings, alone, monkeypatch, capsys):
    """Gradient checkpointing: the same results, with the layers' activations computed again in the backward pass."""
    real, runs = objective_module.evaluate, []
    layer = layers_module.layers(micro.model)[-1]

    def short_of_memory(loaded, packed, emb, start):
        if "forward" not in layer.__dict__ and runs:  # goes short after the first step
            raise torch.OutOfMemoryError("out of memory")
        runs.append(len(emb))
        assert packed.kept is None or len(runs) == 1
        return real(loaded, packed, emb, start)

    monkeypatch.setattr(objective_module, "evaluate", short_of_memory)
    monkeypatch.setattr(batch_module, "PATIENCE", 2)
    monkeypatch.setattr(loop_module, "WORTH_KEEPING", 1)
    agree(run(micro, samples, settings, batch_size=4)[0], alone)
    assert "from here with gradient checkpointing" in capsys.readouterr().out
    assert "forward" not in layer.__dict__  # the model is as it was
    assert max(runs[1:]) == 4  # and the batch grew again


def test_compiled_layers_give_the_same(micro, samples, settings, alone, monkeypatch):
    """Without the compiler's backend, which only takes time here: what is traced, and for which shapes, is the same."""
    monkeypatch.setattr(layers_module, "BACKEND", "aot_eager")
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    agree(run(micro, samples, settings, compile=True, batch_size=5)[0], alone)
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert 1 <= graphs <= 4  # shared by all layers, and by all sizes of the batch
    assert all("forward" not in layer.__dict__ for layer in layers_module.layers(micro.model))


def test_the_text_before_the_slot_is_run_once(micro, samples, settings, alone, monkeypatch):
    """Its keys and values are kept from as many tokens on as make up for joining them."""
    real, widths = objective_module.evaluate, []

    def noted(loaded, packed, emb, start):
        widths.append((packed.kept is not None, packed.ids_BL.shape[1]))
        return real(loaded, packed, emb, start)

    monkeypatch.setattr(objective_module, "evaluate", noted)
    problems = problems_of(micro, samples[:4], settings)
    before = problems[0].prefix.index(micro.chat.token_id)
    assert 1 < before < WORTH_KEEPING
    run(micro, samples[:4], settings)
    longest = widths[0][1]
    assert not any(kept for kept, _ in widths)
    widths.clear()
    monkeypatch.setattr(loop_module, "WORTH_KEEPING", before)
    agree(run(micro, samples[:4], settings)[0], {sample.id: alone[sample.id] for sample in samples[:4]})
    assert all(kept for kept, _ in widths)
    assert widths[0][1] == longest - before


def test_text_before_the_slot_that_differs_is_not_kept(micro, samples, settings):
    first, second = problems_of(micro, samples[:2], settings)
    other = dataclasses.replace(second, prefix=(second.prefix[0] + 1, *second.prefix[1:]))
    pack = Packer(micro, micro.blank(), worth_keeping=1)
    assert pack([first, second]).kept is not None
    assert pack([first, other]).kept is None


@pytest.mark.parametrize("worth_keeping", [None, 1])
def test_widths_are_padded_to_a_multiple(micro, samples, settings, worth_keeping):
    """Of what a place may see: kernels want the width of a mask in eights; and nothing is changed by it."""
    problems, start = problems_of(micro, samples[:3], settings), micro.blank()
    emb = torch.stack([start.emb] * 3)
    with Splice(micro.model, micro.family), torch.no_grad():
        plain, _ = evaluate(micro, Packer(micro, start, worth_keeping)(problems), emb, start)
        packed = Packer(micro, start, worth_keeping, multiple=64)(problems)
        padded, _ = evaluate(micro, packed, emb, start)
    assert packed.mask.shape[-1] == 64
    assert torch.allclose(plain, padded, atol=1e-5)


def test_a_sample_may_start_elsewhere(micro, samples, settings):
    """At its own place, with steps relative to that place's own RMS, also where samples enter one after another."""
    problems, blank = problems_of(micro, samples[:5], settings), micro.blank()
    factors = dict(zip([p.sample.id for p in problems], (2.0, 5.0, 1.0, 9.0, 3.0), strict=True))
    alone = {}
    for batch_size in (1, 2):
        optim = dataclasses.replace(settings.optim, max_steps=6, step_size=0.03, batch_size=batch_size)
        loop = loop_module.Loop(micro, problems, blank, optim, initial=lambda p: blank.emb * factors[p.sample.id])
        found = {outcome.problem.sample.id: outcome for outcome in loop}
        assert found.keys() == factors.keys()
        assert (
            len({outcome.steps for outcome in found.values()}) > 1
        )  # they left at different steps, and others entered
        for key, outcome in found.items():
            expected = alone.setdefault(key, outcome)
            apart = (outcome.emb - expected.emb).square().mean().sqrt() / expected.emb.square().mean().sqrt()
            assert outcome.steps == expected.steps and apart < TOLERANCE
    one = dataclasses.replace(settings.optim, max_steps=1, step_size=0.03)
    for outcome in loop_module.Loop(micro, problems, blank, one, initial=lambda p: blank.emb * factors[p.sample.id]):
        start = blank.emb * factors[outcome.problem.sample.id]
        moved = (outcome.emb - start).square().mean().sqrt() / start.square().mean().sqrt()
        assert moved == pytest.approx(0.03, rel=1e-3)


def test_a_schedule_follows_each_samples_own_steps(micro, samples, settings):
    """With inverse_sqrt the second step is 1/sqrt(2) of the first, also for a sample that entered late."""
    problems, blank = problems_of(micro, samples[:3], settings), micro.blank()
    moved = {}

    class Noted(loop_module.Loop):
        def _update(self, active, grad):
            ids, before = [problem.sample.id for problem in active.problems], active.emb_B___.clone()
            super()._update(active, grad)
            lengths = (active.emb_B___ - before).square().mean((1, 2)).sqrt() if ids else []
            for key, length in zip(ids, lengths, strict=True):
                moved.setdefault(key, []).append(float(length))

    optim = dataclasses.replace(
        settings.optim, optimizer="sign", schedule="inverse_sqrt", max_steps=3, batch_size=2, margin=0.0
    )
    list(Noted(micro, problems, blank, optim))
    scale = float(blank.emb.square().mean().sqrt()) * optim.step_size
    assert len(moved) == 3
    for lengths in moved.values():
        assert lengths == pytest.approx([scale, scale / 2**0.5, scale / 3**0.5], rel=1e-2)


def test_adamw_is_torchs_adamw_in_units_of_the_start(micro, samples, settings):
    """On the embeddings of a real loop: the same path as torch's, whose learning rate is step size x RMS."""
    problems, blank = problems_of(micro, samples[:1], settings), micro.blank()
    scale = float(blank.emb.square().mean().sqrt())
    optim = dataclasses.replace(
        settings.optim, optimizer="adamw", weight_decay=2.0, step_size=0.05, max_steps=4, margin=0.0
    )
    grads = []

    class Noted(loop_module.Loop):
        def _update(self, active, grad):
            grads.append(grad.clone())
            super()._update(active, grad)

    (outcome,) = Noted(micro, problems, blank, optim)
    theirs = (blank.emb[None] / scale).requires_grad_(True)  # at RMS 1, where the units agree
    optimizer = torch.optim.AdamW([theirs], lr=0.05, weight_decay=2.0, eps=1e-8)
    for grad in grads[:4]:
        theirs.grad = grad * scale
        optimizer.step()
    assert torch.allclose(outcome.emb / scale, theirs.detach()[0], atol=1e-3)
    assert not torch.allclose(outcome.emb / scale, blank.emb / scale, atol=0.1)


def test_memory_too_short_for_one_sample_is_said(micro, samples, settings, monkeypatch):
    def never(*args):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(objective_module, "evaluate", never)
    with pytest.raises(SeaError, match="out of memory with a single sample"):
        run(micro, samples, settings)


def test_a_sample_that_goes_to_nan_is_set_aside_and_harms_no_neighbour(micro, samples, settings, alone, monkeypatch):
    victim = samples[3].id
    real = objective_module.evaluate

    def poisoned(loaded, packed, emb, start):
        nll, hit = real(loaded, packed, emb, start)
        rows = [problem.sample.id == victim for problem in poisoned.loop_problems()]
        return nll + torch.where(torch.tensor(rows)[:, None], torch.nan, 0.0), hit

    original = loop_module.Loop._gradient

    def gradient(self, active, packed):
        poisoned.loop_problems = lambda: active.problems
        return original(self, active, packed)

    monkeypatch.setattr(objective_module, "evaluate", poisoned)
    monkeypatch.setattr(loop_module.Loop, "_gradient", gradient)
    found, rejects = run(micro, samples, settings)
    assert rejects == {victim: "loss or gradient is not finite at step 0"}
    agree(found, {key: value for key, value in alone.items() if key != victim})


def test_a_sample_is_given_up_on_after_max_steps(micro, samples, settings):
    found, _ = run(micro, samples[:3], settings, max_steps=2)
    assert [(record.steps, record.margin_reached) for record, _ in found.values()] == [(2, False)] * 3


def test_margin_zero_never_stops_early(micro, samples, settings):
    found, _ = run(micro, samples[:2], settings, max_steps=30, margin=0.0)
    assert [(record.steps, record.margin_reached) for record, _ in found.values()] == [(30, False)] * 2


@pytest.mark.parametrize(("dtype", "attention"), [("float32", "eager"), ("bfloat16", "sdpa"), ("bfloat16", "eager")])
def test_hit_and_losses_are_those_of_the_stored_value(samples, settings, alone, dtype, attention):
    """What the record says is measured again on the tensor that the store would hold, in the model's own dtype."""
    from sea.models.load import load

    model = load(dataclasses.replace(settings.model, dtype=dtype, attention=attention))
    for results in optimize(model, samples[:6], settings):
        embeddings = dict(zip([r.id for r, _ in results.embeddings], results.embeddings, strict=True))
        problems = problems_of(model, [s for s in samples if s.id in embeddings], settings)
        emb = torch.stack([embeddings[p.sample.id][1]["embedding"] for p in problems])
        assert emb.dtype == getattr(torch, dtype)
        start = model.blank()
        with Splice(model.model, model.family), torch.no_grad():
            nll, hit = evaluate(model, Packer(model, start)(problems), emb, start)
        for row, problem in enumerate(problems):
            record = embeddings[problem.sample.id][0]
            assert record.hit == bool(hit[row])
            tolerance = 1e-4 if dtype == "float32" else 2e-2  # bfloat16 rounds with the batch's shape
            assert nll[row].tolist() == pytest.approx(list(record.losses.values()), abs=tolerance)
            if dtype == "float32":
                assert record.steps == alone[record.id][0].steps


def problems_of(model, samples, settings):
    from sea.optimize.targets import build

    slot = model.blank().slot
    return [build(sample, settings.wording, settings.seed, model, slot) for sample in samples]


def test_step_size_is_relative_to_the_start(micro, samples, settings):
    """The first step of normalised descent moves E by step_size times the RMS of the start, whatever the scale."""
    start = micro.blank().emb
    found, _ = run(micro, samples[:2], settings, max_steps=1, step_size=0.03)
    for _, emb in found.values():
        moved = (emb - start).square().mean().sqrt() / start.square().mean().sqrt()
        assert moved == pytest.approx(0.03, rel=1e-3)


def test_the_batch_loss_is_a_sum(micro, samples, settings):
    """Each sample's gradient is the one it has alone, not divided by the number of its neighbours."""
    problems = problems_of(micro, samples[:3], settings)
    start = micro.blank()

    def gradient(chosen):
        loop = loop_module.Loop(micro, chosen, start, settings.optim)
        active = loop._refill(None)
        return loop._gradient(active, loop.pack(active.problems))[2]

    together, alone_ = gradient(problems), gradient(problems[:1])
    assert torch.allclose(together[:1], alone_, rtol=1e-3, atol=1e-6 * alone_.abs().max())


def test_like_lengths_go_together_and_seconds_add_up(micro, samples, settings):
    import time

    began = time.perf_counter()
    ended, settings = [], dataclasses.replace(settings, flush_every=1)
    settings = dataclasses.replace(settings, optim=dataclasses.replace(settings.optim, batch_size=1))
    for results in optimize(micro, samples[:6], settings):
        ended += [record for record, _ in results.embeddings]
    wall = time.perf_counter() - began
    assert 0.5 * wall < sum(record.seconds for record in ended) <= wall
    lengths = {problem.sample.id: problem.length for problem in problems_of(micro, samples[:6], settings)}
    assert [lengths[record.id] for record in ended] == sorted(lengths.values())


def test_what_is_finished_is_yielded_before_an_interruption(micro, samples, settings):
    def observe(report):
        if report.waiting < 4:
            raise KeyboardInterrupt

    settings = dataclasses.replace(settings, flush_every=1000)
    settings = dataclasses.replace(settings, optim=dataclasses.replace(settings.optim, batch_size=2))
    found = []
    with pytest.raises(KeyboardInterrupt):
        for results in optimize(micro, samples, settings, observe):
            found += results.embeddings
    assert found
    assert all(record.margin_reached for record, _ in found)


def test_an_interruption_of_the_questions_loses_none_of_what_they_are_about(micro, samples, settings, monkeypatch):
    real, asked = embed_module.ask, []

    def interrupted(loaded, those, *others):
        asked.append([sample.id for sample in those])
        if len(asked) == 1:
            raise KeyboardInterrupt
        return real(loaded, those, *others)

    monkeypatch.setattr(embed_module, "ask", interrupted)
    found = []
    with pytest.raises(KeyboardInterrupt):
        for results in optimize(micro, samples, settings):
            found += [record.id for record, _ in results.embeddings]
    assert found == asked[0] == asked[1] and found


@pytest.mark.parametrize("message", ["CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"])
def test_other_libraries_say_otherwise_that_memory_ran_out(micro, samples, settings, alone, monkeypatch, message):
    real, calls = objective_module.evaluate, []

    def short_of_memory(loaded, packed, emb, start):
        calls.append(len(emb))
        if len(calls) == 2:
            raise RuntimeError(message)
        return real(loaded, packed, emb, start)

    monkeypatch.setattr(objective_module, "evaluate", short_of_memory)
    agree(run(micro, samples, settings, batch_size=8)[0], alone)
    assert calls[:3] == [8, 8, 4]


def test_an_error_of_the_model_is_no_shortage_of_memory(micro, samples, settings, monkeypatch):
    def broken(*args):
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(objective_module, "evaluate", broken)
    with pytest.raises(RuntimeError, match="shapes differ"):
        run(micro, samples[:2], settings)


def test_what_cannot_be_compiled_is_said(micro, samples, settings, monkeypatch):
    """As without a C++ compiler, or triton."""

    def no_compiler(graph, inputs):
        raise ImportError("no compiler found")

    monkeypatch.setattr(layers_module, "BACKEND", no_compiler)
    torch._dynamo.reset()
    with pytest.raises(SeaError, match=r"cannot be compiled here \(.*no compiler found.*type optim.compile=false"):
        run(micro, samples[:2], settings, compile=True)


def test_a_sample_that_does_not_fit_alone_is_set_aside(micro, samples, settings, alone, monkeypatch):
    longest = max(problems_of(micro, samples, settings), key=lambda p: (p.length, p.sample.id)).sample.id
    real = loop_module.Loop._gradient

    def gradient(self, active, packed):
        if any(problem.sample.id == longest for problem in active.problems):
            raise torch.OutOfMemoryError("out of memory")
        return real(self, active, packed)

    monkeypatch.setattr(loop_module.Loop, "_gradient", gradient)
    found, rejects = run(micro, samples, settings, batch_size=4)
    assert rejects == {longest: "out of memory: out of memory"}
    agree(found, {key: value for key, value in alone.items() if key != longest})


def test_models_whose_layers_see_otherwise_are_refused(micro, samples, settings, monkeypatch):
    monkeypatch.setattr(micro.model.config.get_text_config(), "layer_types", ["chunked_attention"], raising=False)
    with pytest.raises(SeaError, match="layers of type chunked_attention"):
        run(micro, samples[:1], settings)


def test_what_a_model_does_to_its_logits_is_in_the_loss(micro, samples, settings, monkeypatch):
    """The LM head sees the answers alone, and what the model's own forward does after it stays."""
    start, problems = micro.blank(), problems_of(micro, samples[:2], settings)
    emb, own, widths = torch.stack([start.emb] * 2), type(micro.model).forward, []

    def scaled(self, *args, **kwargs):
        output = own(self, *args, **kwargs)
        widths.append(output.logits.shape[:2].numel())
        output.logits = output.logits * 0.5
        return output

    with Splice(micro.model, micro.family):
        plain, _ = evaluate(micro, Packer(micro, start)(problems), emb, start)
        monkeypatch.setattr(type(micro.model), "forward", scaled)
        changed, _ = evaluate(micro, Packer(micro, start)(problems), emb, start)
    assert not torch.allclose(plain, changed, atol=1e-2)
    assert widths == [sum(len(pair.answer) for problem in problems for pair in problem.pairs)]
