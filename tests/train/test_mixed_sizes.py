"""Rows of every kind in one batch: synthetic and real embeddings of several sizes, and text, for every family."""

import pytest
import torch

from sea.console import SeaError
from sea.models.splice import Splice
from sea.models.wire import Encoded, mixes
from sea.records import Embedding
from sea.store import Store, Writer
from sea.train import trainers
from sea.train.collator import Collator
from sea.train.embeddings import Embeddings
from sea.train.rows import encode
from tests.models.contract import CASES, random_medium, tiny
from tests.train.conftest import slot_row, text_row

TEXTS = {"prompt": "what is in the picture ?", "chosen": "a red dog runs", "rejected": "yes"}


def write(folder, loaded, items):
    writer = Writer(folder, "p1of1-r0")
    records = [
        Embedding(
            f"e{i}", "", "", "", [], "", [], loaded.modality, source, {}, 1, 0.0, True, True, True, [], 0,
            loaded.checkpoint.id, loaded.checkpoint.revision,
        )
        for i, (source, _) in enumerate(items)
    ]  # fmt: skip
    writer.add([(record, item.tensors) for record, (_, item) in zip(records, items, strict=True)])
    writer.close()
    return Store(folder)


def made_rows(tmp_path, loaded, items):
    folder = tmp_path / "dataset"
    folder.mkdir()
    store = write(tmp_path / "store", loaded, items)
    slots = [slot_row(store, folder, f"e{i}", i, **{**TEXTS, "chosen": f"{i} dogs"}) for i in range(len(items))]
    return folder, [slots[0], text_row(9, **TEXTS), *slots[1:]]


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def loaded(request):
    return tiny(*request.param)


@pytest.mark.parametrize("trainer", ["sft", "dpo"])
def test_a_mixed_batch_equals_separate_batches(loaded, tmp_path, trainer):
    blank = loaded.blank()
    synthetic = Encoded(blank.emb + blank.emb.std() * torch.randn_like(blank.emb), blank.companions)
    larger = mixes(loaded.spec)
    real = loaded.encode([random_medium(loaded.modality, 1), random_medium(loaded.modality, 2, larger=larger)])
    items = [("synthetic", synthetic), *(("real", item) for item in real)]
    if not larger:  # such families take media of one size at a time
        items = [("synthetic", Encoded(real[0].emb.flip(0), real[0].companions)), *items[1:]]
    folder, rows = made_rows(tmp_path, loaded, items)
    module, embeddings = trainers.load(trainer), Embeddings(folder, rows, loaded)
    collator = Collator(encode(rows, loaded, embeddings, module.answers, None), embeddings, loaded, module.targets)

    def answer_logits(places):
        batch = collator([{"row": place} for place in places])
        batch.pop("labels", None)
        answers = batch.pop("completion_mask", None)
        if answers is None:
            answers = collator([{"row": place} for place in places])["labels"] != -100
        with Splice(loaded.model, loaded.family), torch.no_grad():
            logits = loaded.model(**batch).logits
        turns = len(batch["input_ids"]) // len(places)
        return {
            (place, turn): logits[turn * len(places) + row][answers[turn * len(places) + row].bool()]
            for turn in range(turns)
            for row, place in enumerate(places)
        }

    together = answer_logits(range(len(rows)))
    assert len(together) == len(rows) * (2 if trainer == "dpo" else 1)
    for place in range(len(rows)):
        for key, alone in answer_logits([place]).items():
            assert torch.allclose(together[key], alone, atol=1e-4), (rows[place].id, key)
    assert not torch.allclose(together[0, 0][0], together[2, 0][0], atol=1e-3)  # another E, another answer


def test_sizes_that_a_family_does_not_mix_are_refused_by_name(tmp_path):
    cases = [case for case in CASES if not mixes(tiny(*case).spec) and case[1] == "video"]
    if not cases:
        pytest.skip("every family mixes sizes")
    loaded = tiny(*cases[0])
    blank = loaded.blank()
    shorter = Encoded(blank.emb[:2], blank.companions)
    with pytest.raises(SeaError, match="media of one size in a batch"):
        loaded.media([blank, shorter])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e: {**e, "embedding": e["embedding"][..., :-1]}, "made with another model"),
        (lambda e: {**e, "embedding": e["embedding"][None]}, "made with another model"),
        (lambda e: {**e, "embedding": e["embedding"].long()}, "floating-point numbers"),
        (lambda e: {**e, "embedding": e["embedding"] / 0}, "not finite"),
        (lambda e: {**e, "grid": torch.ones(3)}, "comes with grid"),
        (lambda e: {"embedding": e["embedding"]}, "this model needs slot_text"),
    ],
)
def test_embeddings_that_the_model_could_not_have_made_are_refused(tmp_path, micro, change, message):
    tensors = change(micro.blank().tensors)
    folder, rows = made_rows(tmp_path, micro, [("synthetic", Encoded.of(tensors))])
    with pytest.raises(SeaError, match=message):
        Embeddings(folder, rows, micro)


def test_sizes_that_a_family_does_not_mix_are_refused_before_the_first_step(tmp_path):
    from sea.train.stage import _refuse_sizes
    from tests.train.conftest import settings

    loaded = tiny("video_llava", "video")
    blank = loaded.blank()
    items = [("synthetic", blank), ("real", Encoded(blank.emb[:2], blank.companions))]
    folder, rows = made_rows(tmp_path, loaded, items)
    embeddings = Embeddings(folder, rows, loaded)
    two, one = (f"recipe.args.per_device_train_batch_size={n}" for n in (2, 1))
    with pytest.raises(SeaError, match="of 2 sizes, and tiny-video_llava takes media of one size"):
        _refuse_sizes(embeddings, loaded, settings(tmp_path, "recipe=sft", two))
    _refuse_sizes(embeddings, loaded, settings(tmp_path, "recipe=sft", one))
    _refuse_sizes(Embeddings(folder, rows[:1], loaded), loaded, settings(tmp_path, "recipe=sft", two))


@pytest.mark.parametrize("mode", ["full", "lora"])
def test_the_projector_of_a_family_with_levels_is_all_of_its_mergers(tmp_path, mode):
    import peft

    from sea.train.lora import peft_config
    from tests.train.conftest import settings

    loaded = tiny("qwen3_vl", "image")
    recipe = settings(tmp_path, "recipe=sft", f"recipe.projector={mode}").recipe
    model = peft.get_peft_model(loaded.model, peft_config(recipe, loaded))
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad and "visual" in name}
    tops = {name.split("visual.")[1].split(".")[0] for name in trained}
    assert tops == {"merger", "deepstack_merger_list"}
    numbers = {name.split("deepstack_merger_list.")[1][0] for name in trained if "deepstack_merger_list" in name}
    assert numbers == {str(i) for i in range(len(loaded.model.model.visual.deepstack_merger_list))}
