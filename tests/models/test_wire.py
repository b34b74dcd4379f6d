"""How embeddings lie side by side in a model argument: shapes alone, by a family of three lines."""

import pytest
import torch

from sea.console import SeaError
from sea.models.spec import SLOT_TEXT, Modality
from sea.models.wire import Encoded, as_slot_text, groups, join, refuse_foreign, split


def spec(wire: str, padded: bool = False, companions: tuple[str, ...] = ()) -> Modality:
    return Modality(
        argument="x", encoder="m", projector="p", emitter="last", wire=wire, media=lambda medium: {},
        blank=lambda: None, placeholder=lambda processor: "<x>", padded=padded, companions=companions,
    )  # fmt: skip


def item(*shape: int, **companions: torch.Tensor) -> Encoded:
    return Encoded(torch.randn(shape), {SLOT_TEXT: as_slot_text("<x>"), **companions})


@pytest.mark.parametrize(
    ("wire", "shape", "argument"),
    [
        ("1ND", (5, 3), (2, 5, 3)),
        ("ND", (5, 3), (10, 3)),
        ("T1ND", (4, 5, 3), (8, 1, 5, 3)),
        ("1T1ND", (4, 5, 3), (2, 4, 1, 5, 3)),
    ],
)
def test_the_wire_says_how_embeddings_lie_in_the_argument(wire, shape, argument):
    items = [item(*shape), item(*shape)]
    joined = join(spec(wire), items)["x"]
    assert joined.shape == argument
    assert torch.equal(joined.flatten(), torch.cat([i.emb.flatten() for i in items]))


@pytest.mark.parametrize(("wire", "each"), [("1ND", (5, 3)), ("ND", (5, 3)), ("T1ND", (4, 5, 3))])
def test_what_m_gives_for_all_is_taken_apart(wire, each):
    items = [item(*each), item(*each)]
    output = join(spec(wire), items)["x"].reshape(-1, *each[-2:]) if wire == "T1ND" else join(spec(wire), items)["x"]
    for got, one in zip(split(spec(wire), output, 2), items, strict=True):
        assert torch.equal(got, one.emb)


@pytest.mark.parametrize("wire", ["", "N", "BND", "1TN", "ND1"])
def test_a_wire_that_says_nothing_is_refused(wire):
    with pytest.raises(SeaError, match="the family file says wire="):
        spec(wire)


def test_an_output_that_the_wire_does_not_describe_is_refused():
    for wire, output, count in (("1ND", (3, 5, 3), 2), ("1ND", (4, 5, 3), 2), ("ND", (7, 3), 2)):
        with pytest.raises(SeaError, match=f"wire='{wire}' does not describe"):
            split(spec(wire), torch.zeros(output), count)


def test_media_are_grouped_by_what_must_be_alike():
    sizes = [item(5, 3), item(4, 3), item(5, 3)]
    assert groups(spec("1ND"), sizes) == [[0, 2], [1]]
    assert groups(spec("ND"), sizes) == [[0, 1, 2]]
    assert groups(spec("1ND", padded=True), sizes) == [[0, 1, 2]]
    masks = [item(5, 3, mask=torch.ones(n)) for n in (8, 9, 8)]
    assert groups(spec("1ND", companions=("mask",)), masks) == [[0, 2], [1]]
    with pytest.raises(SeaError, match="media of one size in a batch"):
        join(spec("1ND"), sizes)


def test_companions_of_another_kind_are_refused():
    ours = spec("1ND", companions=("grid",))
    refuse_foreign(ours, item(5, 3, grid=torch.ones(3)), item(9, 3, grid=torch.ones(3)), "E")
    with pytest.raises(SeaError, match="grid has shape"):
        refuse_foreign(ours, item(5, 3, grid=torch.ones(1, 3)), item(5, 3, grid=torch.ones(3)), "E")
