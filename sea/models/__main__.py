"""`python -m sea.models`: the models that `+model=NAME` knows, and how large their embeddings are."""

import argparse
from collections.abc import Sequence

from sea.config import OptimizeConfig, compose, header, options
from sea.console import SeaError, friendly_errors, names, say

# Titles and widths. A row is printed as soon as it is known: all of them take some seconds.
COLUMNS = {"model": 25, "family": 22, "modality": 8, "E of the blank": 16, "MiB": 6, "status": 23, "checkpoint": 0}


def main() -> None:
    """Print a table of all models, or of those named."""
    parser = argparse.ArgumentParser(prog="python -m sea.models", description=__doc__)
    parser.add_argument("word", nargs="*", help="names as in +model=NAME (none: all), and settings: reads=video")
    words = parser.parse_args().word
    settings = [word for word in words if "=" in word]
    chosen = [word for word in words if "=" not in word]
    valid = options("model")
    if unknown := set(chosen) - set(valid):
        raise SeaError(f"there is no model {names(unknown)}; valid: {names(valid)}")
    show(list(COLUMNS))
    for name in chosen or valid:
        show(row(name, settings))
    say("MiB: a stored sample in bfloat16, E at model.blank. Not on disk: `hf download CHECKPOINT`, or model.id=/path.")


def row(name: str, settings: Sequence[str]) -> list[str]:
    """The cells of one model, with settings of sea.optimize in place of its file's."""
    from sea.models.sizes import size  # here, so that --help starts without torch

    model = compose("optimize", OptimizeConfig, f"+model={name}", *settings).model
    found = size(model)
    shape = "?" if found.shape is None else " x ".join(map(str, found.shape))
    mebibytes = "?" if found.bytes is None else f"{found.bytes / 2**20:.2f}"
    unverified = ", unverified" if "unverified" in header("model", name).lower() else ""
    return [name, str(model.family), model.modality, shape, mebibytes, found.status + unverified, model.id]


def show(cells: Sequence[str]) -> None:
    """Print one row."""
    say("  ".join(cell.ljust(width) for cell, width in zip(cells, COLUMNS.values(), strict=True)).rstrip())


if __name__ == "__main__":
    with friendly_errors():
        main()
