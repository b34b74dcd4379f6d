"""The embedded model and a few of its samples: small enough to optimise for real in a unit test."""

import pytest

from sea.config import OptimizeConfig, compose
from sea.models.load import load
from sea.records import Sample, read_jsonl
from sea.runs import find

OVERRIDES = ("+model=micro-llava", "optim.batch_size=8", "flush_every=4")


@pytest.fixture(scope="session")
def samples() -> list[Sample]:
    run = find("prepare", "builtin:micro", "runs", lambda manifest: None)
    return read_jsonl(run.path / "samples.jsonl", Sample)[:12]


@pytest.fixture
def settings() -> OptimizeConfig:
    return compose("optimize", OptimizeConfig, *OVERRIDES)


@pytest.fixture(scope="session")
def micro():
    return load(compose("optimize", OptimizeConfig, *OVERRIDES).model)
