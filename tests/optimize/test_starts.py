"""Other starts than the blank input: from a finished store, each sample's own, never its answer."""

import copy
import dataclasses

import pytest
import torch

from sea.config import EncodeConfig, OptimizeConfig, compose
from sea.console import SeaError
from sea.encode.stage import run_stage as encode
from sea.models.load import locate
from sea.optimize import optimize
from sea.optimize.embed import problems_of
from sea.optimize.stage import run_stage
from sea.optimize.starts import initial, open_earlier
from sea.optimize.verify import normalised
from sea.records import read_json
from sea.store import Store

MODEL = "+model=micro-llava"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two finished stores: real media of some samples (harmful and harmless), and embeddings of three."""
    root = tmp_path_factory.mktemp("starts")
    encode(compose("encode", EncodeConfig, MODEL, "mediaset=micro", "name=real", "limit=24", f"runs={root}"))
    run_stage(compose("optimize", OptimizeConfig, MODEL, "name=early", "limit=3", f"runs={root}"))
    return root


def settings(runs, *overrides) -> OptimizeConfig:
    return compose("optimize", OptimizeConfig, MODEL, f"runs={runs}", *overrides)


def begin(micro, config):
    """Where samples start under some settings."""
    return initial(config, micro.blank(), open_earlier(config, locate(config.model.id)))


def problems(micro, samples, config):
    return problems_of(micro, samples, config, micro.blank().slot)[0]


def test_at_the_blank_input_by_default(micro, runs):
    config = settings(runs)
    assert config.optim.start == "blank"
    assert open_earlier(config, locate(config.model.id)) is None
    assert begin(micro, config) is None


def mean(store, keys):
    return torch.stack([store.read(key)["embedding"] for key in keys]).mean(0)


def test_the_mean_of_a_store_but_for_the_samples_own(micro, samples, runs):
    """With it the start of a small store would be the answer; a sample that it does not hold has the whole mean."""
    start = begin(micro, settings(runs, "optim=mean", "start_store=early"))
    store = Store(runs / "optimize" / "early")
    phrases = {sample.id: sample.phrase for sample in samples}
    for problem in problems(micro, samples[:12], settings(runs)):
        others = [key for key in store.embeddings if phrases[key] != problem.sample.phrase]
        assert torch.allclose(start(problem), mean(store, others), atol=1e-6)
    left_out = [sum(phrases[key] == s.phrase for key in store.embeddings) for s in samples]
    assert 0 in left_out and max(left_out) > 0


def with_phrases(earlier, *phrases):
    """A store of as many harmless samples, shown phrase by phrase."""
    keys = [key for key in sorted(earlier.samples) if key in earlier.store.embeddings][: len(phrases)]
    shown = dict(zip(keys, phrases, strict=True))
    small = {key: dataclasses.replace(earlier.samples[key], phrase=shown[key], harmful=False) for key in keys}
    store = copy.copy(earlier.store)
    store.embeddings = {key: earlier.store.embeddings[key] for key in keys}
    return dataclasses.replace(earlier, store=store, samples=small), keys


@pytest.mark.parametrize("preset", ["mean", "media"])
def test_another_form_of_the_samples_words_is_its_answer_too(micro, samples, runs, preset):
    config = settings(runs, f"optim={preset}", "start_store=real")
    earlier = open_earlier(config, locate(config.model.id))
    small, keys = with_phrases(earlier, "washing a striped boat", "wash the striped boats", "a green lamp")
    (problem,) = problems(micro, [dataclasses.replace(samples[0], phrase="wash a striped boat")], config)
    expected = small.store.read(keys[2])["embedding"]
    for seed in range(6):
        start = initial(dataclasses.replace(config, seed=seed), micro.blank(), small)
        assert torch.allclose(start(problem), expected, atol=1e-6)


@pytest.mark.parametrize("preset", ["mean", "media"])
def test_a_store_of_one_phrase_is_refused_before_anything_is_spent(micro, runs, preset):
    config = settings(runs, f"optim={preset}", "start_store=real")
    small, _ = with_phrases(open_earlier(config, locate(config.model.id)), "wash a boat", "washing boats")
    with pytest.raises(SeaError, match="of two phrases"):
        initial(config, micro.blank(), small)


def test_the_mean_of_encoded_media_too(micro, samples, runs):
    start = begin(micro, settings(runs, "optim=mean", "start_store=real"))
    store = Store(runs / "encode" / "real")
    (problem,) = problems(micro, samples[:1], settings(runs))
    earlier = open_earlier(settings(runs, "optim=mean", "start_store=real"), locate(settings(runs).model.id))
    phrases = {key: sample.phrase for key, sample in earlier.samples.items()}
    others = [key for key in store.embeddings if normalised(phrases[key]) != normalised(problem.sample.phrase)]
    assert 0 < len(others) < len(store.embeddings)
    assert torch.allclose(start(problem), mean(store, others), atol=1e-5)


def test_a_harmless_medium_drawn_by_seed_and_id(micro, runs):
    config = settings(runs, "optim=media", "start_store=real")
    earlier = open_earlier(config, locate(config.model.id))
    store, everyone = earlier.store, list(earlier.samples.values())[:24]
    of_value = {tuple(store.read(key)["embedding"].flatten()[:8].tolist()): key for key in store.embeddings}

    def drawn(config, samples):
        start = initial(config, micro.blank(), earlier)
        return {p.sample.id: of_value[tuple(start(p).flatten()[:8].tolist())] for p in problems(micro, samples, config)}

    found = drawn(config, everyone)
    assert all(not earlier.samples[key].harmful for key in found.values())
    assert all(earlier.samples[key].phrase != earlier.samples[own].phrase for own, key in found.items())
    assert len(set(found.values())) > 3
    assert drawn(config, everyone[::-1][:5]) == {s.id: found[s.id] for s in everyone[::-1][:5]}  # whoever else is there
    assert drawn(dataclasses.replace(config, seed=1), everyone) != found


def test_embeddings_are_found_from_there_and_the_manifest_names_it(micro, samples, runs):
    """The stage: from another start to the same goal, and the store it came from is an input with its hash."""
    run_stage(settings(runs, "optim=media", "start_store=real", "name=from-media", "limit=3"))
    manifest = read_json(runs / "optimize" / "from-media" / "manifest.json")
    named = {entry["kind"]: entry for entry in manifest["inputs"]}["start_store"]
    recorded = read_json(runs / "encode" / "real" / "manifest.json")["outputs"]["store"]
    assert (named["name"], named["hash"]) == ("real", recorded)
    assert manifest["counts"]["osr"]["value"] == 1
    shaping = read_json(runs / "optimize" / "from-media" / "settings.json")
    assert shaping["start_store"] == recorded
    ours, blank = (Store(runs / "optimize" / name) for name in ("from-media", "early"))
    assert ours.embeddings.keys() == blank.embeddings.keys()
    for key in ours.embeddings:
        assert not torch.allclose(ours.read(key)["embedding"], blank.read(key)["embedding"], atol=0.1)


def test_the_function_needs_the_store(micro, samples, runs):
    with pytest.raises(SeaError, match=r"optim\.start=mean takes its embeddings from a finished store"):
        list(optimize(micro, samples[:1], settings(runs, "optim=mean", "start_store=early")))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["optim=media"], "type start_store=NAME of a run of sea.encode"),
        (["start_store=real"], "not read when embeddings start at the blank input"),
        (["optim=media", "start_store=early"], "no encode run 'early'.*valid: real"),
        (["optim=mean", "start_store=nowhere"], "no optimize run 'nowhere'.*no encode run 'nowhere'"),
        (["optim.start=noise"], "valid: blank, mean, media"),
    ],
)
def test_what_cannot_work_is_said(runs, overrides, message):
    with pytest.raises(SeaError, match=message):
        config = settings(runs, *overrides)
        open_earlier(config, locate(config.model.id))


def test_a_store_of_another_model_is_refused(runs):
    config = settings(runs, "optim=mean", "start_store=early")
    other = dataclasses.replace(locate(config.model.id), revision="another")
    with pytest.raises(SeaError, match=r"wanted are those of .* another image"):
        open_earlier(config, other)


def test_a_changed_store_is_refused(runs, tmp_path):
    import shutil

    shutil.copytree(runs, tmp_path / "runs")
    index = next((tmp_path / "runs" / "optimize" / "early").glob("index.*.jsonl"))
    index.write_text(index.read_text().splitlines()[0] + "\n")
    config = settings(tmp_path / "runs", "optim=mean", "start_store=early")
    with pytest.raises(SeaError, match=r"the index of .* is not the one that its manifest describes"):
        open_earlier(config, locate(config.model.id))


@pytest.mark.parametrize("preset", ["mean", "media"])
def test_a_store_laid_out_otherwise_is_refused(micro, samples, runs, preset):
    """E of another size, or the same size with something else beside it."""
    config = settings(runs, f"optim={preset}", "start_store=real")
    earlier, blank = open_earlier(config, locate(config.model.id)), micro.blank()
    larger = dataclasses.replace(blank, emb=torch.cat([blank.emb, blank.emb]))
    beside = dataclasses.replace(blank, companions={name: value + 1 for name, value in blank.companions.items()})
    for other in (larger, beside):
        with pytest.raises(SeaError, match="laid out as the blank input is"):
            initial(config, other, earlier)(problems(micro, samples[:1], config)[0])
