"""What every test process shares: one thread, no hub, a clean launcher environment, and the paths of the checkout."""

from __future__ import annotations

import os
from pathlib import Path

# Before anything imports torch or tokenizers, which read these once. One thread a process: `make test` runs two.
os.environ.update(
    OMP_NUM_THREADS="1",
    MKL_NUM_THREADS="1",
    TOKENIZERS_PARALLELISM="false",
    HF_HUB_OFFLINE="1",
    WANDB_MODE="disabled",
)
for _inherited in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "PYTHONPATH", "HYDRA_FULL_ERROR"):
    os.environ.pop(_inherited, None)  # a test that wants one sets it

import pytest  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(autouse=True)
def _one_torch_thread() -> None:
    """Hold torch to one thread without being the one that imports it."""
    import sys

    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(1)
