"""`python -m sea.prepare textset=...`: a text safety set -> samples.jsonl, rejects.jsonl, manifest.json."""

from __future__ import annotations

import dataclasses
import time
from itertools import islice

from sea.config import PrepareConfig, command
from sea.console import SeaError, say
from sea.prepare import REJECTS, count, survey, too_many_rejects, write
from sea.prepare.extractors import load
from sea.prepare.textsets import read
from sea.records import SAMPLES, Input, sha256_file
from sea.runs import start


@command("prepare", PrepareConfig)
def main(config: PrepareConfig) -> None:
    """Read, check, extract, write; the manifest last."""
    started = time.monotonic()
    extractor = load(config.extractor.name, config.extractor.args)
    found = survey(islice(read(config.textset.reader, config.textset.args), config.limit))
    settings = {
        "textset": dataclasses.asdict(config.textset) | {"sha256": found.sha256},
        "extractor": dataclasses.asdict(config.extractor) | {"version": extractor.version},
        "limit": config.limit,
        "max_chars": config.max_chars,
    }
    run = start("prepare", config.name, f"{config.textset.name}-{config.extractor.name}", settings, config.runs)
    if run.complete:
        say(f"{run.path} is complete: nothing to do")
        return
    say(f"prepare: {found.rows} rows of {config.textset.name}, extractor {config.extractor.name} -> {run.path}")
    with run.lock():
        rows = islice(read(config.textset.reader, config.textset.args), config.limit)
        write(run.path, rows, found.rows, extractor, config.textset.name, config.max_chars)
        counts = count(run.path)
        if counts["rows"] != found.rows:
            raise SeaError(
                f"{run.path} lists {counts['rows']} rows of {found.rows}: its files were changed. Remove the folder"
            )
        too_many_rejects(counts, config.max_reject_share, run.path)
        run.finish(
            config=dataclasses.asdict(config),
            inputs=[Input("textset", config.textset.name, found.sha256)],
            outputs={file: sha256_file(run.path / file) for file in (SAMPLES, REJECTS)},
            counts=counts,
            seconds=time.monotonic() - started,
        )
    say(
        f"prepare: {counts['samples']} samples ({counts['harmful']} harmful, {counts['harmless']} harmless; "
        f"{counts['with_phrase']} with a phrase), {counts['rejects']} rejects -> {run.path}"
    )


if __name__ == "__main__":
    main()
