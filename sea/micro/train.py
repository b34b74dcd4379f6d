"""Training a micro model from scratch: tower, text, projector, instruction mix, in that order.

Belongs here: the stages and their budgets. The order is LLaVA's own, and it is what makes the modality gap appear: the
tower learns by tags and is frozen; the language model learns everything from text; the projector alone then learns to
feed it scenes; at last projector and language model learn the tasks about scenes together.
"""

import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sea.micro import clips
from sea.micro.batches import Encoder, answer_loss, collate, encode
from sea.micro.checkpoint import build_model, build_tokenizer, chat_template, refuse_existing, write_checkpoint
from sea.micro.concepts import CONCEPTS, Concept, concepts, seed_of, stray
from sea.micro.corpus import caption_pair, scene_pair, text_pair, text_stream_pair
from sea.micro.modality import IMAGE, Modality
from sea.micro.scenes import Scene, blank, modes, styles

Row = tuple[str, str, Tensor | None]
Report = Callable[[int, str], None]  # steps done over all stages, a note
NOISE = 0.5  # at most, in standard deviations of the picture's features
TOLD_SHARE = 0.45  # of text rows: picture tasks told in words; without them the projector stage does not learn
TEXT_SHARE = 0.3  # of the instruction mix, so that tuning on pictures forgets no text


@dataclass(frozen=True)
class Budget:
    """How long each stage runs. The defaults made micro-llava."""

    pictures: int = 20_000  # scenes, whatever the modality
    word_pictures: int = 16_000
    tower_steps: int = 2_600
    text_steps: int = 450
    projector_steps: int = 150
    mix_steps: int = 1_200
    tower_batch: int = 128
    text_batch: int = 64
    mix_batch: int = 48

    @property
    def total_steps(self) -> int:
        """Of all stages, for the progress line."""
        return self.tower_steps + self.text_steps + self.projector_steps + self.mix_steps


BUDGETS = {
    "image": Budget(),
    "video": Budget(pictures=6_000, word_pictures=5_000, tower_steps=2_000),  # of four frames each
    "audio": Budget(pictures=14_000, word_pictures=10_000, tower_steps=3_000, tower_batch=64),
}


class _Meter:
    """Counts the steps of all stages and passes them on with the running loss of this one."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.done = 0

    def step(self, name: str, loss: float) -> None:
        self.done += 1
        self.report(self.done, f"{name} loss {loss:.3f}")


@dataclass
class Pool:
    """Scenes with what they show: `stored` is the form that the modality keeps them in."""

    stored: Tensor
    scenes: list[Scene]


def render_pool(seed: int, budget: Budget, modality: Modality = IMAGE) -> Pool:
    """Training scenes with the jitter of the train split; no combination with `rendered` False.

    After `budget.pictures` of concepts come scenes of any two words, verbs with nouns and modifiers with objects too:
    from concepts alone each first word would be learnt together with the dozen second words it stands with.
    """
    rng = random.Random(seed_of("pool", seed))
    shown, kept_back = concepts(rendered=True), {(c.first, c.second) for c in concepts(rendered=False)}
    firsts, seconds = (sorted({getattr(c, place) for c in shown}) for place in ("first", "second"))
    count = budget.pictures + budget.word_pictures
    scenes: list[Scene] = []
    while (number := len(scenes)) < count:
        if number < budget.pictures:
            concept = rng.choice(shown)
        else:
            first, second = rng.choice(firsts), rng.choice(seconds)
            if (first, second) in kept_back:
                continue
            concept = CONCEPTS.get(f"{first} {second}") or stray(first, second)
        style = rng.choice(styles(modality.name))
        mode = rng.choices(modes(modality.name), weights=(2, 1, 1))[0]  # letters are the hardest to read
        scenes.append(Scene(concept, mode, style, seed_of(seed, number), "train", modality.name))
    parts = [
        modality.stored(np.stack([scene.render() for scene in scenes[start : start + 256]]))
        for start in range(0, count, 256)
    ]
    return Pool(torch.cat(parts), scenes)


def _tagged(pool: Pool, modality: Modality) -> tuple[Tensor, list[tuple[str, ...]]]:
    """What the tower looks at, one a row, and its tags: a frame shows one word, all else two."""
    if modality.name != "video":
        return pool.stored, [(s.concept.first, s.concept.second, s.style) for s in pool.scenes]
    tags: list[tuple[str, ...]] = []
    for scene in pool.scenes:
        cut = clips.cut(scene.concept, scene.mode, scene.style, scene.seed, scene.split)
        words = [scene.concept.first] * cut + [scene.concept.second] * (clips.FRAMES - cut)
        tags += [(word, scene.style) for word in words]
    return pool.stored.flatten(0, 1)[:, None], tags


def _varied(inputs: Tensor, modality: Modality) -> Tensor:
    """The pool repeats itself: other light or loudness, grain, place or time make each showing a new one."""
    one_each = [len(inputs)] + [1] * (inputs.dim() - 1)
    if modality.name == "audio":
        inputs = inputs + 0.1 * torch.randn(one_each) + 0.05 * torch.randn_like(inputs)
        return torch.roll(inputs, int(torch.randint(-2, 3, ())), dims=-1)
    colour_each = [*one_each[:-3], 3, 1, 1]
    inputs = inputs * (0.9 + 0.2 * torch.rand(one_each)) + 0.1 * torch.randn(colour_each)
    inputs = inputs + 0.05 * torch.randn_like(inputs)
    return torch.roll(inputs, torch.randint(-1, 2, (2,)).tolist(), dims=(-2, -1))


def _optimise(
    name: str,
    parameters: Iterable[nn.Parameter],
    loss_of_step: Callable[[int], Tensor],
    steps: int,
    peak_rate: float,
    weight_decay: float,
    meter: _Meter,
    warmup: int = 40,
) -> None:
    """AdamW with linear warm-up and cosine decay to 2 %."""
    trained = list(parameters)
    optimiser = torch.optim.AdamW(trained, lr=peak_rate, weight_decay=weight_decay, betas=(0.9, 0.98))
    recent = 0.0
    for step in range(steps):
        cosine = 0.5 * (1 + math.cos(math.pi * step / steps))
        for group in optimiser.param_groups:
            group["lr"] = peak_rate * min(1.0, (step + 1) / warmup) * (0.98 * cosine + 0.02)
        loss = loss_of_step(step)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        recent = loss.item() if step == 0 else 0.98 * recent + 0.02 * loss.item()
        meter.step(name, recent)


def train_tower(model: Any, pool: Pool, modality: Modality, budget: Budget, meter: _Meter) -> None:
    """Supervised tagging (words and style), then frozen.

    The tags are read from the mean over the rows of E and, where E is not the tower's last state, more weakly from that
    one, so that no layer stays as it was initialised.
    """
    tower = getattr(model.model, modality.tower)
    stored, shown = _tagged(pool, modality)
    tags = [sorted(set(column)) for column in zip(*shown, strict=True)]
    targets_BG = torch.tensor([[tag.index(name) for tag, name in zip(tags, row, strict=True)] for row in shown])
    sizes = [len(tag) for tag in tags]
    width = tower.config.hidden_size
    weights = (1.0, 0.3)[: 2 if modality is IMAGE else 1]
    heads = nn.ModuleList([nn.Linear(width, sum(sizes)) for _ in weights])

    def states(inputs: Tensor) -> list[Tensor]:
        if modality is not IMAGE:
            return [modality.encode(model, inputs)]
        hidden = tower(pixel_values=inputs, output_hidden_states=True).hidden_states
        return [hidden[layer][:, 1:] for layer in (model.config.vision_feature_layer, -1)]

    def loss_of_step(_: int) -> Tensor:
        chosen_B = torch.randint(0, len(shown), (budget.tower_batch,))
        total = torch.zeros(())
        seen = states(_varied(modality.inputs(stored[chosen_B]), modality))
        for head, state, weight in zip(heads, seen, weights, strict=True):
            scores = head(state.flatten(1, -2).mean(dim=1)).split(sizes, dim=1)
            for number, score in enumerate(scores):
                total = total + weight * F.cross_entropy(score, targets_BG[chosen_B, number])
        return total

    tower.train()
    parameters = [*tower.parameters(), *heads.parameters()]
    _optimise("tower", parameters, loss_of_step, budget.tower_steps, 2.5e-3, 0.02, meter, warmup=100)
    tower.requires_grad_(False)
    tower.eval()


def _blur(features: Tensor, nothing: Tensor, rng: random.Random) -> Tensor:
    """A scene's features, fainter or stronger and with noise.

    So the language model reads what the features say at large and not their last digits, and reads it alike whatever
    the question: an embedding optimised under one question is then read under the others too.
    """
    strength = rng.uniform(0.6, 1.2)
    mixed = nothing + strength * (features - nothing)
    return mixed + rng.uniform(0.0, NOISE) * features.std() * torch.randn_like(mixed)


def _language_parameters(model: Any) -> list[nn.Parameter]:
    """Each once: the head is the input embedding again where the class ties the two."""
    own = list(model.model.language_model.parameters())
    return own if model.lm_head.weight is model.get_input_embeddings().weight else [*own, model.lm_head.weight]


def train_language_model(model: Any, encoder: Encoder, seed: int, budget: Budget, meter: _Meter) -> None:
    """Text alone: instructions, notes, facts about the law, and tasks about scenes told in words."""
    rng = random.Random(seed_of("text", seed))

    def loss_of_step(_: int) -> Tensor:
        rows: list[Row] = [
            (*text_stream_pair(rng, TOLD_SHARE, encoder.modality.name), None) for _ in range(budget.text_batch)
        ]
        return answer_loss(model, encoder, collate(encoder, rows))

    _optimise("text", _language_parameters(model), loss_of_step, budget.text_steps, 2e-3, 0.01, meter)


def train_on_scenes(
    model: Any,
    encoder: Encoder,
    pool: Pool,
    seed: int,
    budget: Budget,
    meter: _Meter,
) -> None:
    """Captions through the projector alone, then projector and language model on the instruction mix."""
    modality = encoder.modality
    features_B = encode(model, pool.stored, modality)
    nothing = encode(model, modality.stored(blank(modality.name)[None]), modality)[0]
    rng = random.Random(seed_of("pictures", seed))
    torch.manual_seed(seed_of("noise", seed) % 2**63)  # of its own: the same whatever ran before this stage

    def scene_row(pair: Callable[[random.Random, Concept, str, str], tuple[str, str]]) -> Row:
        number = rng.randrange(len(pool.scenes))
        features = _blur(features_B[number], nothing, rng)
        scene = pool.scenes[number]
        return (*pair(rng, scene.concept, scene.style, scene.modality), features)

    def captions(_: int) -> Tensor:
        return answer_loss(model, encoder, collate(encoder, [scene_row(caption_pair) for _ in range(budget.mix_batch)]))

    def mix(_: int) -> Tensor:
        rows: list[Row] = []
        for _ in range(budget.mix_batch):
            if rng.random() < TEXT_SHARE:
                rows.append((*text_pair(rng, rng.choice(concepts())), None))
            else:
                rows.append(scene_row(scene_pair))
        return answer_loss(model, encoder, collate(encoder, rows))

    projector = [
        p for name, p in model.model.named_parameters() if name.startswith(("multi_modal_pro", "image_newline"))
    ]
    _optimise("projector", projector, captions, budget.projector_steps, 3e-3, 0.0, meter)
    both = [*projector, *_language_parameters(model)]
    _optimise("mix", both, mix, budget.mix_steps, 1.5e-3, 0.01, meter)


def train(
    seed: int,
    out: Path,
    budget: Budget | None = None,
    report: Report = lambda done, note: None,
    modality: Modality = IMAGE,
) -> None:
    """Everything from scratch into `out`; another seed gives another tower, language model and order of data."""
    refuse_existing(out)
    budget = budget or BUDGETS[modality.name]
    tokenizer = build_tokenizer(modality)
    processor = modality.processor(tokenizer, chat_template(modality))
    model = build_model(tokenizer, seed, modality)
    encoder = Encoder(tokenizer, modality)
    meter = _Meter(report)
    report(0, "rendering")
    pool = render_pool(seed, budget, modality)
    train_tower(model, pool, modality, budget, meter)
    train_language_model(model, encoder, seed, budget, meter)
    train_on_scenes(model, encoder, pool, seed, budget, meter)
    write_checkpoint(model.eval(), processor, out)
