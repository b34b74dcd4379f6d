"""`python -m sea.evaluate benchmark=micro`: a model's answers to a benchmark, their verdicts, rates with intervals."""

from sea.config import EvaluateConfig, command


@command("evaluate", EvaluateConfig)
def main(settings: EvaluateConfig) -> None:
    """Put a benchmark to a model with an adapter, or to the base model, and judge the answers."""
    from sea.evaluate.stage import run_stage  # here, so that --help and --cfg start without torch

    run_stage(settings)


if __name__ == "__main__":
    main()
