"""`python -m sea.dataset`: samples and stores in, training rows out (`rows/`, and `controls/` when asked)."""

from sea.config import DatasetConfig, command


@command("dataset", DatasetConfig)
def main(settings: DatasetConfig) -> None:
    """Join the samples of a prepared text set with their embeddings."""
    from sea.dataset.stage import run_stage  # here, so that --help and --cfg start without torch

    run_stage(settings)


if __name__ == "__main__":
    main()
