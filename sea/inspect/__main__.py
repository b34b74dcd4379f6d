"""`python -m sea.inspect RUN`: the numbers of a run, a figure, and its embeddings read back."""

import sys
from pathlib import Path

from sea.config import InspectConfig, command
from sea.console import SeaError, say
from sea.inspect import figure, table
from sea.records import write_atomically
from sea.runs import find
from sea.store import Store


@command("inspect", InspectConfig)
def main(settings: InspectConfig) -> None:
    """Print the table of a complete optimize run and write it beside its figure."""
    run = find("optimize", settings.run, settings.runs, accepts=lambda manifest: None)
    store = Store(run.path)
    store.check_manifest(run.manifest.outputs.get("store"))
    if not store.embeddings:
        raise SeaError(f"{run.path} holds no embedding: there is nothing to show")
    text = table(run, store, settings.rows, settings.show_harmful)
    out = Path(settings.out) if settings.out else Path(settings.runs) / "inspect" / run.name
    write_atomically(out / "embeddings.md", lambda path: path.write_text(text, encoding="utf-8"))
    figure(run, store, out / "embeddings.png")
    say(text)
    say(f"written: {out / 'embeddings.md'}, {out / 'embeddings.png'}")


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1][0] not in "-+~" and "=" not in sys.argv[1]:
        quoted = sys.argv[1].replace("\\", "\\\\").replace("'", "\\'")
        sys.argv[1] = f"run='{quoted}'"  # RUN alone, without Hydra's key and grammar
    main()
