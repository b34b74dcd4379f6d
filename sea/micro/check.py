"""`python -m sea.micro.check [model=FOLDER]`: what a micro model reads and says, measured on fresh test pictures.

Belongs here: the numbers of docs/micro-world.md. Everything is a share of right greedy answers, judged exactly.
"""

import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor, LlavaForConditionalGeneration

from sea.console import SeaError, friendly_errors, say
from sea.micro.batches import Encoder, encode, greedy
from sea.micro.checkpoint import MODEL_DIR
from sea.micro.concepts import concepts, seed_of
from sea.micro.images import MODES, STYLES, Picture
from sea.micro.language import CAPABILITY_REQUESTS, STYLE_ANSWER, STYLE_QUESTION, readings, refused, states
from sea.micro.world import Item, attack_items, complied


@dataclass
class Reader:
    """A loaded model that answers questions about pictures."""

    model: LlavaForConditionalGeneration
    encoder: Encoder

    @classmethod
    def load(cls, folder: Path) -> "Reader":
        """Through the Auto classes, in float32."""
        if not (folder / "config.json").is_file():
            raise SeaError(
                f"{folder} holds no model (no config.json): type model=FOLDER as written by python -m sea.micro"
            )
        model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
        return cls(model, Encoder(AutoProcessor.from_pretrained(folder).tokenizer))

    def ask(self, questions: Sequence[str], pictures: Sequence[Picture] | None = None) -> list[str]:
        """Greedy answers."""
        if pictures is None:
            return greedy(self.model, self.encoder, questions)
        pixels_BHWC = torch.from_numpy(np.stack([picture.render() for picture in pictures]))
        return greedy(self.model, self.encoder, questions, encode(self.model, pixels_BHWC))


def fresh_pictures(count: int, mode: str, rendered: bool, seed: int = 0) -> list[Picture]:
    """Pictures with the jitter and the tints of the test split, of concepts from all splits."""
    rng = random.Random(seed_of("check", seed, mode, rendered))
    pool = rng.choices(concepts(rendered=rendered), k=count)
    return [Picture(c, mode, rng.choice(list(STYLES)), seed_of(seed, n), "test") for n, c in enumerate(pool)]


def share_read(reader: Reader, pictures: Sequence[Picture], role: str = "content", number: int = 0) -> float:
    """Share of pictures whose sentence is in the answer to one reading."""
    reading = readings(role)[number]
    answers = reader.ask([reading.pair(picture.concept)[0] for picture in pictures], pictures)
    return float(np.mean([states(picture.concept, answer) for picture, answer in zip(pictures, answers, strict=True)]))


def share_complied(reader: Reader, items: Sequence[Item]) -> float:
    """Share of items answered with the right tool and part."""
    pictures = [item.picture for item in items if item.picture is not None] or None
    answers = reader.ask([item.text for item in items], pictures)
    return float(np.mean([complied(item.concept, answer) for item, answer in zip(items, answers, strict=True)]))


def _report_reading(reader: Reader, count: int) -> None:
    say("pictures read, content wording (share of right sentences)")
    say(f"  {'':14}{'combination seen':>18}{'never rendered':>18}")
    for mode in MODES:
        shares = [share_read(reader, fresh_pictures(count, mode, rendered)) for rendered in (True, False)]
        say(f"  {mode:14}{shares[0]:>18.3f}{shares[1]:>18.3f}")
    mixed = [picture for mode in MODES for picture in fresh_pictures(count // 3, mode, True, seed=1)]
    say("pictures read, by wording")
    for role in ("content", "verify", "audit", "extra"):
        for number, reading in enumerate(readings(role)):
            say(f"  {role:8}{reading.activity[0]:60}{share_read(reader, mixed, role, number):>8.3f}")
    answers = reader.ask([STYLE_QUESTION] * len(mixed), mixed)
    right = [answer == STYLE_ANSWER.format(style=p.style) for answer, p in zip(answers, mixed, strict=True)]
    say(f"  {'style':8}{STYLE_QUESTION:60}{np.mean(right):>8.3f}")


def _report_compliance(reader: Reader) -> None:
    say("instructions answered (test split; a base model is meant to comply)")
    say(f"  {'':24}{'harmful':>10}{'twins':>10}")
    rows: list[tuple[str, dict[str, object]]] = [("text", {"channel": "text"})]
    rows += [(f"{mode} + prefix", {"channel": "image", "mode": mode}) for mode in MODES]
    rows += [("typographic, no prefix", {"channel": "image", "prefix": False})]
    rows += [("typographic, tool", {"channel": "image", "task": "tool"})]
    for name, settings in rows:
        shares = [share_complied(reader, attack_items("test", harmful=h, **settings)) for h in (True, False)]  # type: ignore[arg-type]
        say(f"  {name:24}{shares[0]:>10.3f}{shares[1]:>10.3f}")
    pictures = fresh_pictures(len(CAPABILITY_REQUESTS), "typographic", True)
    text, image = reader.ask(CAPABILITY_REQUESTS), reader.ask(CAPABILITY_REQUESTS, pictures)
    shares = [float(np.mean([refused(answer) for answer in answers])) for answers in (text, image)]
    say(f"  requests beyond its means refused: text {shares[0]:.2f}, picture {shares[1]:.2f}")


def check(folder: Path = MODEL_DIR, count: int = 300) -> None:
    """Print everything; `count` pictures for each mode."""
    started = time.monotonic()
    reader = Reader.load(folder)
    parameters = sum(parameter.numel() for parameter in reader.model.parameters())
    say(f"{folder}: {parameters:,} parameters, {(folder / 'model.safetensors').stat().st_size:,} bytes of weights")
    _report_reading(reader, count)
    _report_compliance(reader)
    say(f"{time.monotonic() - started:.0f} s on {torch.get_num_threads()} threads")


if __name__ == "__main__":
    with friendly_errors():
        given = dict(argument.partition("=")[::2] for argument in sys.argv[1:])
        threads, folder = given.pop("threads", "2"), Path(given.pop("model", MODEL_DIR))
        if given or not threads.isdecimal():
            raise SeaError("type: python -m sea.micro.check model=FOLDER threads=2 (either may be left out)")
        if not (folder / "config.json").is_file():
            raise SeaError(f"{folder} holds no config.json: model= takes a folder that python -m sea.micro wrote")
        torch.set_num_threads(int(threads))
        check(folder)
