"""`accelerate launch -m sea.optimize +model=micro-llava`: text samples in, a store of verified embeddings out."""

from sea.config import OptimizeConfig, command


@command("optimize", OptimizeConfig)
def main(settings: OptimizeConfig) -> None:
    """Optimise one embedding per sample of a prepared text set."""
    from sea.optimize.stage import run_stage  # here, so that --help and --cfg start without torch

    run_stage(settings)


if __name__ == "__main__":
    main()
