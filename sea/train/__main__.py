"""`python -m sea.train recipe=dpo`: a dataset of rows in, a checked LoRA adapter out."""

from sea.config import TrainConfig, command


@command("train", TrainConfig)
def main(settings: TrainConfig) -> None:
    """Train an adapter on the rows of a dataset."""
    from sea.train.stage import run_stage  # here, so that --help and --cfg start without torch

    run_stage(settings)


if __name__ == "__main__":
    main()
