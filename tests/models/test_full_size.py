"""Embeddings at full size, on the meta device, against docs/families.md; shapes without weights against real ones."""

import re
from pathlib import Path

import pytest
import torch
import yaml

from sea.config import OptimizeConfig, compose
from sea.models import sizes
from sea.models.families import REFUSED
from sea.models.load import assemble, load_tiny
from sea.models.spec import available, family_module
from sea.records import read_json

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "families.md").read_text(encoding="utf-8")
MODELS = ROOT / "conf" / "model"


def table(first):
    """The rows of the table whose first column is `first`, as lists of cells without backticks."""
    (block,) = re.findall(rf"^\| {re.escape(first)} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", DOCUMENT, re.MULTILINE)
    return [[cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in block.splitlines()]


ROWS = {(row[0], row[1]): row[2:] for row in table("family | modality")}
CASES = [(name, modality) for name in available() for modality in family_module(name).FAMILY.modalities]
IDS = ["-".join(case) for case in CASES]


def test_the_document_has_every_family_and_no_other():
    assert set(ROWS) == set(CASES)


@pytest.mark.parametrize(("family", "modality"), CASES, ids=IDS)
def test_the_document_says_what_the_family_file_says(family, modality):
    spec = family_module(family).FAMILY.modalities[modality]
    encoder, projector, emitter, wire, companions, *_ = ROWS[family, modality]
    assert (encoder, projector, emitter, wire) == (spec.encoder, spec.projector, spec.emitter, spec.wire)
    assert companions == (", ".join(spec.companions) or "-")


@pytest.mark.parametrize(("family", "modality"), CASES, ids=IDS)
def test_e_at_full_size(family, modality):
    shape, typed = ROWS[family, modality][-2:]
    name, *overrides = typed.split()
    model = compose("optimize", OptimizeConfig, f"+model={name}", *overrides).model
    assert (model.family, model.modality) == (family, modality)
    found = sizes.size(model)
    assert found.status == "not on disk"
    assert " x ".join(map(str, found.shape)) == shape
    count = torch.Size(found.shape).numel()
    assert 2 * count < found.bytes < 2 * count + 200_000  # bfloat16, and what is stored beside it


@pytest.mark.parametrize(("family", "modality"), CASES, ids=IDS)
def test_without_weights_the_shape_and_the_companions_are_the_real_ones(family, modality):
    real = load_tiny(family, modality)
    expected = real.blank()
    model, processor = family_module(family).tiny()
    empty = sizes.weightless(lambda: type(model)(model.config))
    loaded = assemble("x", real.checkpoint, empty, processor, real.family, modality, real.spec, real.blank_settings)
    found = sizes.encode_blank(loaded)
    assert found.emb.is_meta and found.emb.dtype == torch.bfloat16
    assert found.emb.shape == expected.emb.shape
    assert found.companions.keys() == expected.companions.keys()
    for name, value in expected.companions.items():
        assert torch.equal(found.companions[name], value), name


def test_every_published_size_belongs_to_a_model_file():
    ids = {yaml.safe_load(path.read_text(encoding="utf-8"))["model"]["id"] for path in MODELS.glob("*.yaml")}
    assert set(read_json(sizes.PUBLISHED)) == {model_id for model_id in ids if not model_id.startswith("builtin:")}


def test_the_document_lists_what_is_refused_and_why():
    assert {row[0]: row[1] for row in table("type")} == REFUSED
