"""Counts of bench/flops.py: at full size on the meta device, where nothing is executed."""

import json
from dataclasses import replace

import flops
import pytest
import torch
from shapes import SHAPES, build, problems

from sea.models.sizes import ShapesOnly
from sea.optimize import packing

KEYS = [*flops.COUNTS]


def at_full_depth(name):
    """The counts of a model at its full width, from two shallow ones: each further layer costs the same."""
    shape = SHAPES[name]
    shallow = [replace(shape, language={**shape.language, "num_hidden_layers": layers}) for layers in (1, 2)]
    one, two = (flops.measure(less, question=20, answer=80) for less in shallow)
    more = shape.language["num_hidden_layers"] - 1
    return {**one, **{key: one[key] + more * (two[key] - one[key]) for key in KEYS}}


@pytest.mark.parametrize("name", SHAPES)
def test_ours_is_at_the_floor_for_the_three_shapes(name):
    row = at_full_depth(name)
    assert row["floor"] <= row["ours"] <= 1.05 * row["floor"]  # the goal of DESIGN section 8
    assert row["floor"] < row["floor_with_prefix"] < row["packed"] < row["naive_frozen"] < row["naive_trainable"]
    if name == "llava-1.5-7b":
        assert (row["text_before"], row["slot"]) == (35, 576)
        # The design's trial, counted by other code: 58.1, 39.3, 22.5 and 21.2 TFLOP.
        counts = [row[key] / 1e12 for key in ("naive_trainable", "naive_frozen", "packed", "ours")]
        assert counts == pytest.approx([58.1, 39.3, 22.5, 21.2], abs=0.05)


@pytest.fixture(scope="module")
def tiny():
    """A tiny model on the meta device, what it starts from, and two samples."""
    shape = SHAPES["qwen2-vl-7b-video"]
    loaded = build(shape, tiny=True)
    with ShapesOnly():
        start = loaded.blank()
        yield loaded, start, problems(loaded, shape, start, question=5, answer=7, count=2)


def test_weights_of_the_model_have_no_numbers(tiny):
    assert all(parameter.is_meta for parameter in tiny[0].model.parameters())


def test_a_batch_counts_as_its_samples(tiny):
    loaded, start, samples = tiny
    assert flops.count_ours(loaded, samples, start) == pytest.approx(
        2 * flops.count_ours(loaded, samples[:1], start), rel=1e-3
    )


def test_the_floor_grows_with_what_must_be_computed(tiny):
    loaded, _, (problem, _) = tiny
    token = loaded.chat.token_id
    text = loaded.model.config.get_text_config()
    layers, head = text.num_hidden_layers, text.hidden_size // text.num_attention_heads

    def grown(changed, prefix):
        return flops.floor(loaded, changed, prefix) - flops.floor(loaded, problem, prefix)

    # One more token before the slot, when kept, is one more column of attention: six products with it.
    longer = replace(problem, prefix=(problem.prefix[0], *problem.prefix))
    slot = problem.prefix.count(token)
    computed = slot + sum(len(pair.suffix) + len(pair.answer) - 1 for pair in problem.pairs)
    assert grown(longer, False) == 6 * 2 * layers * computed * text.num_attention_heads * head
    assert grown(longer, True) > grown(longer, False)


def test_an_all_logits_loss_is_not_at_the_floor(tiny, monkeypatch):
    """The count sees what it is for: the engine without its answer-only hook costs more."""
    loaded, start, samples = tiny
    before = flops.count_ours(loaded, samples, start)
    pack = packing.Packer.__call__

    def with_every_place(self, batch):
        packed = pack(self, batch)
        places = torch.arange(packed.ids_BL.numel())
        return replace(packed, predicts_T=places, target_T=0 * places, cell_T=0 * places)

    monkeypatch.setattr(packing.Packer, "__call__", with_every_place)
    assert flops.count_ours(loaded, samples, start) > 1.01 * before


def test_the_command_prints_a_table_and_writes_json(tmp_path, capsys):
    path = tmp_path / "flops.json"
    flops.main(["--tiny", "--shape", "qwen2-audio", "--question", "4", "--answer", "6", "--json", str(path)])
    (row,) = json.loads(path.read_text())
    assert row["question"] == 4 and row["answer"] == 6
    assert row["ours_over_floor"] == row["ours"] / row["floor"]
    head, _, line = capsys.readouterr().out.splitlines()[:3]
    assert head.count("|") == line.count("|") and line.startswith("| Qwen2-Audio-7B, tiny | 20 + 12 + 2 x (4 + 6) |")
