"""Rows as ids and batches: what is a target, and whose E goes where."""

import dataclasses

import pytest
import torch

from sea.console import SeaError
from sea.runs import Run
from sea.train import trainers
from sea.train.collator import Collator
from sea.train.embeddings import Embeddings
from sea.train.rows import encode, read_rows


@pytest.fixture(scope="module")
def data(make_root, micro):
    run = Run("dataset", "mine", make_root(4) / "dataset" / "mine")
    rows = read_rows(run.path, run.manifest.outputs["rows"])
    return rows, Embeddings(run.path, rows, micro)


def batch(data, micro, trainer: str, places: list[int]):
    rows, embeddings = data
    module = trainers.load(trainer)
    examples = encode(rows, micro, embeddings, module.answers, None)
    return Collator(examples, embeddings, micro, module.targets)([{"row": place} for place in places])


def test_only_the_answer_and_its_end_of_turn_token_are_targets(data, micro):
    rows, _ = data
    made = batch(data, micro, "sft", [0, 1])
    for place, row in enumerate(rows[:2]):
        labels = made["labels"][place]
        targets = labels[labels != -100]
        assert targets[-1] in micro.stop_ids
        assert micro.processor.tokenizer.decode(targets[:-1]).strip() == row.chosen
        where = (labels != -100).nonzero().flatten()
        assert torch.equal(made["input_ids"][place, where], targets)
        assert where[-1] == made["attention_mask"][place].sum() - 1  # nothing but padding after it


def test_the_prompt_is_the_one_that_the_model_is_asked_with(data, micro):
    rows, embeddings = data
    made = batch(data, micro, "sft", [0])
    prompt = micro.chat.prompt(rows[0].prompt, embeddings.slot(rows[0]))
    assert made["input_ids"][0, : len(prompt)].tolist() == prompt
    assert prompt.count(micro.chat.token_id) == embeddings.tensors(rows[0])["embedding"].shape[0]


def test_the_media_argument_holds_the_rows_with_a_slot_in_order(data, micro):
    rows, embeddings = data
    mixed = batch(data, micro, "sft", [1, 2, 0])
    assert rows[1].store is None
    wanted = [embeddings.tensors(rows[place])["embedding"] for place in (2, 0)]
    assert torch.equal(mixed[micro.spec.argument], torch.stack(wanted))
    assert micro.spec.argument not in batch(data, micro, "sft", [1, 3])


def test_pairs_are_all_chosen_then_all_rejected_with_e_for_each(data, micro):
    rows, _ = data
    made = batch(data, micro, "dpo", [0, 1, 2])
    assert len(made["input_ids"]) == 6
    emb_SND = made[micro.spec.argument]
    assert torch.equal(emb_SND[:2], emb_SND[2:]) and not torch.equal(emb_SND[0], emb_SND[1])
    for place, text in enumerate([row.chosen for row in rows[:3]] + [row.rejected for row in rows[:3]]):
        answer = made["input_ids"][place][made["completion_mask"][place] == 1]
        assert micro.processor.tokenizer.decode(answer[:-1]).strip() == text


def test_rows_longer_than_the_limit_are_refused_never_cut(data, micro):
    rows, embeddings = data
    answers = trainers.load("dpo").answers
    longest = max(example.length for example in encode(rows, micro, embeddings, answers, None))
    encode(rows, micro, embeddings, answers, longest)
    with pytest.raises(SeaError, match=f"max_length={longest - 1} would cut .* type recipe.args.max_length={longest}"):
        encode(rows, micro, embeddings, answers, longest - 1)


def test_dpo_refuses_rows_without_a_rejected_answer(data, micro):
    rows, embeddings = data
    without = [dataclasses.replace(rows[0], chosen=None, rejected=None, completion="Yes.")]
    with pytest.raises(SeaError, match=r"has no rejected answer.*recipe=sft"):
        encode(without, micro, embeddings, trainers.load("dpo").answers, None)
    assert encode(without, micro, embeddings, trainers.load("sft").answers, None)


def test_rows_of_another_modality_are_refused(data, micro):
    rows, embeddings = data
    with pytest.raises(SeaError, match="about smell"):
        encode([dataclasses.replace(rows[0], modality="smell")], micro, embeddings, trainers.load("sft").answers, None)


def test_large_stores_stay_on_disk_and_give_the_same(data, micro, monkeypatch):
    rows, embeddings = data
    monkeypatch.setattr("sea.train.embeddings.IN_MEMORY_BYTES", 0)
    lazy = Embeddings(embeddings.folder, rows, micro)
    assert "embedding" not in next(iter(lazy._kept.values()))
    assert torch.equal(lazy.tensors(rows[0])["embedding"], embeddings.tensors(rows[0])["embedding"])
