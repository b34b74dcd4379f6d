"""FLOPs of one step of one sample at the sizes of three 7B models, counted on the meta device: nothing is executed.

    python bench/optimize.py flops

What is compared, all on the same sample (text before the slot, slot, two pairs of question and answer):

- naive, weights trainable: a forward for each pair, all logits, `backward()` with the weights' gradients.
- naive, frozen: the same with `requires_grad=False` on the weights.
- packed: both pairs after one slot in one sequence, weights frozen, all logits.
- ours: `sea.optimize.objective.gradient` on what its `Packer` makes of the sample.
- floor: by formula (`floor`), what a packed step cannot do without.

A multiply-add is two FLOPs. Attention counts with all its entries, masked ones too, in every row and in the floor; what
is elementwise counts nowhere. M, the encoder, runs in none of them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from naive import gradient as naive_gradient
from shapes import SHAPES, Shape, build, problems
from torch import Tensor, nn

from sea.models.load import Loaded
from sea.models.sizes import ShapesOnly
from sea.models.splice import Splice, core
from sea.models.wire import Encoded
from sea.optimize.cost import FlopCount
from sea.optimize.objective import gradient
from sea.optimize.packing import Packer
from sea.optimize.targets import Pair, Problem


def floor(loaded: Loaded, problem: Problem, prefix: bool) -> int:
    """FLOPs of a packed step by formula.

    In it: forward and input gradient of every linear layer of the language model, over the tokens of slot, questions
    and answers; the products of attention (two forward, four backward) of those tokens over all of the sequence; the
    projector over the slot and the LM head over the answers' tokens, forward and input gradient. Not in it: M, weight
    gradients, an answer's last token as an input (nothing is predicted from it), anything elementwise. Every layer
    counts for every token, as the models' own code runs it: what the last layer puts out at places that predict
    nothing, and the gradient of the text's own embeddings, are not deducted.

    Args:
        prefix: whether the text before the slot is computed in every step. Else it is kept as keys and values: its
            tokens are looked at by attention, and that is all.
    """
    model: Any = loaded.model
    text = model.config.get_text_config()
    head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    queries, keys = text.num_attention_heads * head, text.num_key_value_heads * head
    layer = 2 * text.hidden_size * (queries + keys) + 3 * text.hidden_size * text.intermediate_size
    slot = problem.prefix.count(loaded.chat.token_id)
    before = len(problem.prefix) - slot
    sequence = before + slot + sum(len(pair.suffix) + len(pair.answer) - 1 for pair in problem.pairs)
    computed = sequence if prefix else sequence - before
    answers = sum(len(pair.answer) for pair in problem.pairs)
    projector = core(model).get_submodule(loaded.spec.projector)
    linear = (
        computed * text.num_hidden_layers * layer
        + slot * sum(part.weight.numel() for part in projector.modules() if isinstance(part, nn.Linear))
        + answers * text.hidden_size * text.vocab_size
    )
    attention = text.num_hidden_layers * computed * sequence * queries  # of one of the products
    return int(2 * (2 * linear + (2 + 4) * attention))


def count_naive(loaded: Loaded, problem: Problem, start: Encoded, trainable: bool = False) -> int:
    """FLOPs of a step of the naive loop; inside `ShapesOnly`.

    Args:
        trainable: whether the weights' gradients are computed as well.
    """
    loaded.model.requires_grad_(trainable)
    try:
        with Splice(loaded.model, loaded.family), FlopCount() as count:
            naive_gradient(loaded, problem, _emb(start), start)
    finally:
        loaded.model.requires_grad_(False)
        loaded.model.zero_grad(set_to_none=True)
    return int(count.total)


def count_packed(loaded: Loaded, problem: Problem, start: Encoded) -> int:
    """FLOPs of both pairs in one sequence with all its logits; inside `ShapesOnly`.

    What a mask hides and where positions restart changes no count, so this is a naive forward over a sequence of that
    length: everything but the last pair's answer is taken for its question.
    """
    *others, last = problem.pairs
    between = tuple(token for pair in others for token in (*pair.suffix, *pair.answer))
    whole = Problem(problem.sample, problem.prefix, (Pair("packed", between + last.suffix, last.answer),))
    return count_naive(loaded, whole, start)


def count_ours(loaded: Loaded, samples: list[Problem], start: Encoded) -> int:
    """FLOPs of a step of the engine on a batch; inside `ShapesOnly`. What is made once a run is not in it."""
    packed = Packer(loaded, start)(samples)
    with Splice(loaded.model, loaded.family), FlopCount() as count:
        gradient(loaded, packed, _emb(start, len(samples)), start)
    return int(count.total)


def _emb(start: Encoded, count: int = 1) -> Tensor:
    return start.emb.float().expand(count, *start.emb.shape)


def measure(shape: Shape, question: int, answer: int, tiny: bool = False) -> dict[str, Any]:
    """One row: the counts of a shape, and what they were counted on."""
    loaded = build(shape, tiny=tiny)
    with ShapesOnly():  # type: ignore[no-untyped-call]
        start = loaded.blank()
        (problem,) = problems(loaded, shape, start, question, answer)
        slot = problem.prefix.count(loaded.chat.token_id)
        row: dict[str, Any] = {
            "shape": loaded.name,
            "text_before": len(problem.prefix) - slot,
            "slot": slot,
            "question": question,
            "answer": answer,
            "naive_trainable": count_naive(loaded, problem, start, trainable=True),
            "naive_frozen": count_naive(loaded, problem, start),
            "packed": count_packed(loaded, problem, start),
            "ours": count_ours(loaded, [problem], start),
            "floor_with_prefix": floor(loaded, problem, prefix=True),
            "floor": floor(loaded, problem, prefix=False),
        }
    return {**row, "ours_over_floor": row["ours"] / row["floor"]}


COUNTS = {
    "naive_trainable": "naive, weights trainable",
    "naive_frozen": "naive, frozen",
    "packed": "packed",
    "ours": "ours",
    "floor_with_prefix": "floor with the prefix",
    "floor": "floor, prefix kept",
}


def table(rows: list[dict[str, Any]]) -> str:
    """The rows in Markdown."""
    lines = [
        f"| TFLOP a sample-step | tokens: before + slot + pairs | {' | '.join(COUNTS.values())} | ours / floor |",
        "|---|---|" + "---:|" * (len(COUNTS) + 1),
    ]
    for row in rows:
        counts = " | ".join(f"{row[key] / 1e12:.3g}" if row[key] < 1e11 else f"{row[key] / 1e12:.2f}" for key in COUNTS)
        pair = f"2 x ({row['question']} + {row['answer']})"
        tokens = f"{row['text_before']} + {row['slot']} + {pair}"
        lines.append(f"| {row['shape']} | {tokens} | {counts} | {row['ours_over_floor']:.4f} |")
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="optimize.py flops", description="FLOPs a sample-step, on the meta device.")
    parser.add_argument("--question", type=int, default=20, help="tokens between slot and answer, of each pair")
    parser.add_argument("--answer", type=int, default=80, help="tokens of the target, of each pair")
    parser.add_argument("--shape", choices=SHAPES, action="append", help="only this one; may be repeated")
    parser.add_argument("--tiny", action="store_true", help="the families' tiny models, to see that it runs")
    parser.add_argument("--json", type=Path, help="write the rows here as well")
    given = parser.parse_args(arguments)
    chosen = [SHAPES[name] for name in given.shape or SHAPES]
    rows = [measure(shape, given.question, given.answer, given.tiny) for shape in chosen]
    print(table(rows))
    for shape in chosen:
        print(f"\nBefore the slot of {shape.title}: {shape.text_before} tokens, {shape.template}.")
    if given.json is not None:
        given.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
