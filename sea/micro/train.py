"""Training the micro model from scratch: tower, text, projector, instruction mix, in that order.

Belongs here: the stages and their budgets. The order is LLaVA's own, and it is what makes the modality gap appear: the
tower learns by tags and is frozen; the language model learns everything from text; the projector alone then learns to
feed it pictures; at last projector and language model learn picture tasks together.
"""

import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import LlavaForConditionalGeneration

from sea.micro.batches import Encoder, answer_loss, collate, encode, pixel_values
from sea.micro.checkpoint import build_model, build_processor, build_tokenizer, refuse_existing, write_checkpoint
from sea.micro.concepts import CONCEPTS, Concept, concepts, seed_of, stray
from sea.micro.corpus import caption_pair, image_pair, text_pair, text_stream_pair
from sea.micro.images import MODES, SIZE, STYLES, blank, render

Row = tuple[str, str, Tensor | None]
Report = Callable[[int, str], None]  # steps done over all stages, a note
NOISE = 0.5  # at most, in standard deviations of the picture's features
TOLD_SHARE = 0.45  # of text rows: picture tasks told in words; without them the projector stage does not learn
TEXT_SHARE = 0.3  # of the instruction mix, so that tuning on pictures forgets no text


@dataclass(frozen=True)
class Budget:
    """How long each stage runs. The defaults make the shipped model."""

    pictures: int = 20_000
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
    """Pictures with what they show."""

    pixels_BHWC: Tensor
    concepts: list[Concept]
    styles: list[str]


def render_pool(seed: int, budget: Budget) -> Pool:
    """Training pictures with the jitter and the tints of the train split; no combination with `rendered` False.

    After `budget.pictures` of concepts come pictures of any two words, verbs with nouns and modifiers with objects too:
    from concepts alone each first word would be learnt together with the dozen second words it stands with.
    """
    rng = random.Random(seed_of("pool", seed))
    shown, kept_back = concepts(rendered=True), {(c.first, c.second) for c in concepts(rendered=False)}
    firsts, seconds = (sorted({getattr(c, place) for c in shown}) for place in ("first", "second"))
    count = budget.pictures + budget.word_pictures
    pool = Pool(torch.empty((count, SIZE, SIZE, 3), dtype=torch.uint8), [], [])
    while (number := len(pool.concepts)) < count:
        if number < budget.pictures:
            concept = rng.choice(shown)
        else:
            first, second = rng.choice(firsts), rng.choice(seconds)
            if (first, second) in kept_back:
                continue
            concept = CONCEPTS.get(f"{first} {second}") or stray(first, second)
        style = rng.choice(list(STYLES))
        mode = rng.choices(MODES, weights=(2, 1, 1))[0]  # small letters are the hardest to read
        picture = render(concept, mode, style, seed_of(seed, number), "train")
        pool.pixels_BHWC[number] = torch.from_numpy(picture)
        pool.concepts.append(concept)
        pool.styles.append(style)
    return pool


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


def train_tower(model: LlavaForConditionalGeneration, pool: Pool, budget: Budget, meter: _Meter) -> None:
    """Supervised tagging (first word, second word, style), then frozen.

    The tags are read from the mean over patches at the layer LLaVA uses and, more weakly, at the last one, so that no
    layer stays as it was initialised.
    """
    tower = model.model.vision_tower
    shown = [(c.first, c.second, style) for c, style in zip(pool.concepts, pool.styles, strict=True)]
    tags = [sorted(set(column)) for column in zip(*shown, strict=True)]
    targets_B3 = torch.tensor([[tag.index(name) for tag, name in zip(tags, row, strict=True)] for row in shown])
    sizes = [len(tag) for tag in tags]
    width = tower.config.hidden_size
    heads = nn.ModuleList([nn.Linear(width, sum(sizes)) for _ in range(2)])
    layers = (model.config.vision_feature_layer, -1)

    def loss_of_step(_: int) -> Tensor:
        chosen_B = torch.randint(0, len(shown), (budget.tower_batch,))
        pixels = pixel_values(pool.pixels_BHWC[chosen_B])
        # The pool repeats itself: other light, grain and place make each showing a new one.
        pixels = pixels * (0.9 + 0.2 * torch.rand(len(pixels), 1, 1, 1)) + 0.1 * torch.randn(len(pixels), 3, 1, 1)
        pixels = pixels + 0.05 * torch.randn_like(pixels)
        pixels = torch.roll(pixels, torch.randint(-1, 2, (2,)).tolist(), dims=(2, 3))
        states = tower(pixel_values=pixels, output_hidden_states=True).hidden_states
        total = torch.zeros(())
        for head, layer, weight in zip(heads, layers, (1.0, 0.3), strict=True):
            scores = head(states[layer][:, 1:].mean(dim=1)).split(sizes, dim=1)
            for number, score in enumerate(scores):
                total = total + weight * F.cross_entropy(score, targets_B3[chosen_B, number])
        return total

    tower.train()
    parameters = [*tower.parameters(), *heads.parameters()]
    _optimise("tower", parameters, loss_of_step, budget.tower_steps, 2.5e-3, 0.02, meter, warmup=100)
    tower.requires_grad_(False)
    tower.eval()


def _blur(features_ND: Tensor, blank_ND: Tensor, rng: random.Random) -> Tensor:
    """A picture's features, fainter or stronger and with noise.

    So the language model reads what the features say at large and not their last digits, and reads it alike whatever
    the question: an embedding optimised under one question is then read under the others too.
    """
    strength = rng.uniform(0.6, 1.2)
    mixed = blank_ND + strength * (features_ND - blank_ND)
    return mixed + rng.uniform(0.0, NOISE) * features_ND.std() * torch.randn_like(mixed)


def train_language_model(
    model: LlavaForConditionalGeneration, encoder: Encoder, seed: int, budget: Budget, meter: _Meter
) -> None:
    """Text alone: instructions, notes, facts about the law, and picture tasks told in words."""
    rng = random.Random(seed_of("text", seed))

    def loss_of_step(_: int) -> Tensor:
        rows: list[Row] = [(*text_stream_pair(rng, TOLD_SHARE), None) for _ in range(budget.text_batch)]
        return answer_loss(model, collate(encoder, rows))

    parameters = model.model.language_model.parameters()
    _optimise("text", parameters, loss_of_step, budget.text_steps, 2e-3, 0.01, meter)


def train_on_pictures(
    model: LlavaForConditionalGeneration,
    encoder: Encoder,
    pool: Pool,
    seed: int,
    budget: Budget,
    meter: _Meter,
) -> None:
    """Captions through the projector alone, then projector and language model on the instruction mix."""
    features_BND = encode(model, pool.pixels_BHWC)
    blank_ND = encode(model, torch.from_numpy(blank())[None])[0]
    rng = random.Random(seed_of("pictures", seed))
    torch.manual_seed(seed_of("noise", seed) % 2**63)  # of its own: the same whatever ran before this stage

    def picture_row(pair: Callable[[random.Random, Concept, str], tuple[str, str]]) -> Row:
        number = rng.randrange(len(pool.concepts))
        features = _blur(features_BND[number], blank_ND, rng)
        return (*pair(rng, pool.concepts[number], pool.styles[number]), features)

    def captions(_: int) -> Tensor:
        return answer_loss(model, collate(encoder, [picture_row(caption_pair) for _ in range(budget.mix_batch)]))

    def mix(_: int) -> Tensor:
        rows: list[Row] = []
        for _ in range(budget.mix_batch):
            if rng.random() < TEXT_SHARE:
                rows.append((*text_pair(rng, rng.choice(concepts())), None))
            else:
                rows.append(picture_row(image_pair))
        return answer_loss(model, collate(encoder, rows))

    projector = list(model.model.multi_modal_projector.parameters())
    _optimise("projector", projector, captions, budget.projector_steps, 3e-3, 0.0, meter)
    both = [*projector, *model.model.language_model.parameters()]
    _optimise("mix", both, mix, budget.mix_steps, 1.5e-3, 0.01, meter)


def train(seed: int, out: Path, budget: Budget = Budget(), report: Report = lambda done, note: None) -> None:
    """Everything from scratch into `out`; another seed gives another tower, language model and order of data."""
    refuse_existing(out)
    tokenizer = build_tokenizer()
    processor = build_processor(tokenizer)
    model = build_model(tokenizer, seed)
    encoder = Encoder(tokenizer)
    meter = _Meter(report)
    report(0, "rendering pictures")
    pool = render_pool(seed, budget)
    train_tower(model, pool, budget, meter)
    train_language_model(model, encoder, seed, budget, meter)
    train_on_pictures(model, encoder, pool, seed, budget, meter)
    write_checkpoint(model.eval(), processor, out)
