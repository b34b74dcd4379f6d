"""Charts: numbers to W&B or TensorBoard from rank 0, never texts, and keys only from the environment."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

from sea.console import SeaError, rank


class Tracker:
    """Logs numbers by step to where `report_to` says; on other ranks, and for `none`, does nothing.

    Args:
        report_to: `none`, `wandb` or `tensorboard`.
        name: the run's name.
        folder: the run's folder; local files go below it.
        config: settings to show beside the charts.
    """

    def __init__(self, report_to: str, name: str, folder: Path, config: dict[str, Any]) -> None:
        self._wandb: Any = None
        self._board: Any = None
        if rank() != 0 or report_to == "none":
            return
        if report_to == "wandb":
            import wandb

            try:
                # The name is the id, so that a resumed run goes on in the same charts.
                self._wandb = wandb.init(
                    project="sea", name=name, id=name, resume="allow", dir=str(folder), config=config, save_code=False
                )
                self._wandb.define_metric(
                    "*", step_metric="step"
                )  # W&B's own counter refuses a resumed run's first steps
            except Exception as error:
                raise SeaError(
                    f"W&B did not start ({type(error).__name__}: {str(error).splitlines()[0]}). Type report_to=none, "
                    "set WANDB_MODE=offline, or log in by the WANDB_API_KEY environment variable"
                ) from error
        else:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(folder / "tensorboard")

    def log(self, numbers: dict[str, float], step: int) -> None:
        """Add a point to each chart."""
        if self._wandb is not None:
            self._wandb.log({**numbers, "step": step})
        if self._board is not None:
            for key, value in numbers.items():
                self._board.add_scalar(key, value, step)

    def __enter__(self) -> Tracker:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: BaseException | TracebackType | None) -> None:
        if self._wandb is not None:
            self._wandb.finish(exit_code=0 if kind is None else 1)
        if self._board is not None:
            self._board.close()
