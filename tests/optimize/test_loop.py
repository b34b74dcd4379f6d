"""A sample's result is its own: alone or in a batch, in any order, with neighbours that fail, after memory ran out."""

import dataclasses

import pytest
import torch

import sea.optimize.loop as loop_module
import sea.optimize.objective as objective_module
from sea.console import SeaError
from sea.models.splice import Splice
from sea.optimize import optimize
from sea.optimize.objective import Packer, evaluate
from sea.optimize.optimizers import adam, fresh_state, normalized

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


def test_normalized_descent_takes_steps_of_unit_rms_whatever_the_gradient():
    grad = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    scale = torch.tensor([1e-6, 1e3])[:, None, None]
    direction = normalized(grad * scale, fresh_state("normalized", grad), torch.ones(2))
    assert torch.allclose(direction.square().mean((1, 2)), torch.ones(2), atol=1e-4)
    assert torch.nn.functional.cosine_similarity(direction.flatten(1), grad.flatten(1)).min() > 0.9999
    state = fresh_state("normalized", grad)
    normalized(grad, state, torch.ones(2))
    assert torch.allclose(normalized(grad, state, torch.ones(2)).square().mean((1, 2)).sqrt(), torch.tensor(1.9))


def test_a_zero_gradient_moves_nothing():
    zero = torch.zeros(1, 2, 3)
    for rule, name in ((adam, "adam"), (normalized, "normalized")):
        assert torch.equal(rule(zero, fresh_state(name, zero), torch.ones(1)), zero)


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
