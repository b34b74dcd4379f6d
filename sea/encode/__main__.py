"""`accelerate launch -m sea.encode +model=micro-llava`: media of the samples in, a store of embeddings out."""

from sea.config import EncodeConfig, command


@command("encode", EncodeConfig)
def main(settings: EncodeConfig) -> None:
    """Encode one real medium per sample of a prepared text set."""
    from sea.encode.stage import run_stage  # here, so that --help and --cfg start without torch

    run_stage(settings)


if __name__ == "__main__":
    main()
