"""`python -m sea.micro modality=image seed=0 out=FOLDER`: a micro model from scratch (docs/micro-world.md)."""

from pathlib import Path

from sea.config import MicroConfig, command
from sea.console import Progress, SeaError, say


@command("micro", MicroConfig)
def main(settings: MicroConfig) -> None:
    """Train every part and write a Hugging Face folder."""
    if settings.out is None:
        raise SeaError("no folder to write to: type python -m sea.micro seed=0 out=FOLDER")
    import torch  # here, so that --help and a mistyped argument are answered at once

    from sea.micro.modality import MODALITIES
    from sea.micro.train import BUDGETS, train

    torch.set_num_threads(settings.threads)
    budget = BUDGETS[settings.modality]
    line = Progress(MODALITIES[settings.modality].model, budget.total_steps)
    train(settings.seed, Path(settings.out), budget, line.update, MODALITIES[settings.modality])
    line.close()
    say(f"wrote {settings.out}; measure it by: python -m sea.micro.check model={settings.out}")


if __name__ == "__main__":
    main()
