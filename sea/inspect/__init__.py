"""Look into a store: its numbers in words and a figure, its embeddings read back. Reads run folders, changes none.

Belongs here: showing what a run's own files say. Does not belong here: measuring anything anew (`sea.evaluate`).
"""

from __future__ import annotations

from pathlib import Path

from sea.records import Answer, Embedding, Manifest, sha256
from sea.runs import Run
from sea.statistics import rate_text
from sea.store import Store, evenly

SHARES = {
    "osr": "OSR: greedy decoding says every target",
    "margin_reached": "hit, and every pair's loss is under the margin",
    "verified": "verified: the phrase is in the answer to every verify wording",
    "vsr": "VSR on the verify wordings (mean)",
    "audit_vsr": "audit VSR: on wordings used for nothing else (mean)",
    "audit_vsr_harmful": "audit VSR, harmful samples",
    "audit_vsr_harmless": "audit VSR, harmless samples",
}


def table(run: Run, store: Store, rows: int, show_harmful: bool) -> str:
    """The run as Markdown: provenance, shares, and embeddings read back."""
    manifest = run.manifest
    lines = [f"# {run.name}", "", *_provenance(manifest), "", "| share | value [95 % interval] |", "|---|---|"]
    lines += [f"| {meaning} | {rate_text(manifest.counts[key])} |" for key, meaning in SHARES.items()]
    lines += ["", "## Embeddings read back", "", _note(show_harmful), ""]
    lines += ["| id | hit | steps | question | expected | answer | stated |", "|---|---|---|---|---|---|---|"]
    for embedding in evenly(store.embeddings, rows):
        for answer in embedding.answers:
            lines.append(_row(embedding, answer, show_harmful))
    return "\n".join(lines) + "\n"


def _provenance(manifest: Manifest) -> list[str]:
    inputs = "; ".join(f"{i.kind} {i.name} ({i.hash[:12]})" for i in manifest.inputs)
    counts = manifest.counts
    return [
        f"Made {manifest.created} by sea {manifest.sea_version} from {inputs}; "
        f"{manifest.seconds:.0f} s of work, summed over processes; "
        f"seed {manifest.config['seed']}.",
        f"{counts['attempted']} samples attempted, {counts['set_aside']} set aside, {counts['without_phrase']} without "
        f"a phrase; {counts['mean_steps']} steps and {counts['mean_seconds']} s a sample.",
    ]


def _note(show_harmful: bool) -> str:
    if show_harmful:
        return "Answers are the model's own, by greedy decoding, to wordings that were not optimised."
    return "Phrases and answers stand as 8 hex digits of their sha256; type `show_harmful=true` for the texts."


def _row(embedding: Embedding, answer: Answer, show_harmful: bool) -> str:
    texts = [answer.expected, answer.answer]
    shown = [_cell(text) if show_harmful else sha256(text.encode())[:8] for text in texts]
    cells = [embedding.id, _yes(embedding.hit), str(embedding.steps), _cell(answer.question), *shown]
    return "| " + " | ".join([*cells, _yes(answer.states_phrase)]) + " |"


def _cell(text: str) -> str:
    """A model's text inside a Markdown table: one line, nothing in it is read as markup."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "&#124;").replace("`", "&#96;")
    return " ".join(escaped.split())


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def figure(run: Run, store: Store, path: Path) -> None:
    """Draw steps, losses at the stop, and verification by wording with intervals, as one PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    embeddings = list(store.embeddings.values())
    drawing, (left, middle, right) = pyplot.subplots(1, 3, figsize=(13, 3.6), layout="constrained")
    steps = [e.steps for e in embeddings]
    width = 1 + (max(steps) - min(steps)) // 40  # whole steps a bar, or bars between them stay empty
    left.hist(steps, bins=range(min(steps), max(steps) + 2 * width, width), color="#4477aa")
    left.set(xlabel="steps to the stop", ylabel="embeddings")
    for pair, colour in zip(sorted(embeddings[0].losses), ("#4477aa", "#ee6677", "#228833"), strict=False):
        middle.hist([e.losses[pair] for e in embeddings], bins=30, alpha=0.6, label=pair, color=colour)
    middle.set(xlabel="loss at the stop (nats a token)", ylabel="embeddings")
    middle.legend()
    counts = run.manifest.counts
    bars = {wording: share for group in ("vsr", "audit_vsr") for wording, share in counts[group]["by_wording"].items()}
    values = [share["value"] for share in bars.values()]
    errors = [
        [value - share["low"] for value, share in zip(values, bars.values(), strict=True)],
        [share["high"] - value for value, share in zip(values, bars.values(), strict=True)],
    ]
    colours = ["#bbbbbb" if wording.startswith("verify") else "#4477aa" for wording in bars]
    right.bar(list(bars), values, yerr=errors, color=colours, capsize=3)
    right.set(ylabel="share that states the phrase", ylim=(0, 1.05))
    right.tick_params(axis="x", rotation=30)
    drawing.suptitle(f"{run.name}: {len(embeddings)} embeddings, 95 % Wilson intervals")
    path.parent.mkdir(parents=True, exist_ok=True)
    drawing.savefig(path, dpi=110)
    pyplot.close(drawing)
