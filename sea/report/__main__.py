"""`python -m sea.report`: complete evaluate runs of one benchmark in, one page in Markdown and HTML out."""

from sea.config import ReportConfig, command
from sea.report.stage import run_stage


@command("report", ReportConfig)
def main(settings: ReportConfig) -> None:
    """Compare the arms over their seeds, and write the page with its figures and its provenance."""
    run_stage(settings)


if __name__ == "__main__":
    main()
