"""Benchmarks of stage 2: `python bench/optimize.py flops|wall|scale|options [arguments]` (bench/README.md)."""

from __future__ import annotations

import importlib
import sys

from sea.console import friendly_errors

COMMANDS = ("flops", "wall", "scale", "options")


def main() -> None:
    """Hand the arguments to the command's own module."""
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.exit(f"usage: python bench/optimize.py {'|'.join(COMMANDS)} [arguments]; each explains itself by --help")
    with friendly_errors():
        importlib.import_module(sys.argv[1]).main(sys.argv[2:])


if __name__ == "__main__":
    main()
