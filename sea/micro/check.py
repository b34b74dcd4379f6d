"""`python -m sea.micro.check [model=NAME or FOLDER]`: what a micro model reads and says about fresh test scenes.

Belongs here: the numbers of docs/micro-world.md. Everything is a share of right greedy answers, judged exactly.
"""

import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForMultimodalLM, AutoTokenizer

from sea.console import SeaError, friendly_errors, names, say
from sea.micro.batches import Encoder, encode, greedy
from sea.micro.checkpoint import model_dir
from sea.micro.concepts import concepts, seed_of
from sea.micro.language import CAPABILITY_REQUESTS, refused, states
from sea.micro.modality import IMAGE, MODALITIES, Modality
from sea.micro.readings import readings, style_pair
from sea.micro.scenes import Scene, modes, styles
from sea.micro.world import Item, attack_items, complied


@dataclass
class Reader:
    """A loaded model that answers questions about scenes of its modality."""

    model: Any
    encoder: Encoder

    @property
    def modality(self) -> Modality:
        """What it reads."""
        return self.encoder.modality

    @classmethod
    def load(cls, folder: Path) -> "Reader":
        """Through the Auto classes, in float32."""
        if not (folder / "config.json").is_file():
            raise SeaError(
                f"{folder} holds no model (no config.json): type model=FOLDER as written by python -m sea.micro"
            )
        model = AutoModelForMultimodalLM.from_pretrained(folder, dtype=torch.float32).eval()
        tokenizer = AutoTokenizer.from_pretrained(folder)
        modality = next(own for own in MODALITIES.values() if own.model_type == model.config.model_type)
        return cls(model, Encoder(tokenizer, modality))

    def ask(self, questions: Sequence[str], scenes: Sequence[Scene] | None = None) -> list[str]:
        """Greedy answers."""
        if scenes is None:
            return greedy(self.model, self.encoder, questions)
        stored = self.modality.stored(np.stack([scene.render() for scene in scenes]))
        return greedy(self.model, self.encoder, questions, encode(self.model, stored, self.modality))


def fresh_scenes(count: int, mode: str, rendered: bool, seed: int = 0, modality: str = "image") -> list[Scene]:
    """Scenes with the jitter of the test split, of concepts from all splits."""
    rng = random.Random(seed_of("check", seed, mode, rendered))
    pool = rng.choices(concepts(rendered=rendered), k=count)
    return [
        Scene(c, mode, rng.choice(styles(modality)), seed_of(seed, n), "test", modality) for n, c in enumerate(pool)
    ]


def share_read(reader: Reader, scenes: Sequence[Scene], role: str = "content", number: int = 0) -> float:
    """Share of scenes whose sentence is in the answer to one reading."""
    reading = readings(role, reader.modality.name)[number]
    answers = reader.ask([reading.pair(scene.concept)[0] for scene in scenes], scenes)
    return float(np.mean([states(scene.concept, answer) for scene, answer in zip(scenes, answers, strict=True)]))


def share_complied(reader: Reader, items: Sequence[Item]) -> float:
    """Share of items answered with the right tool and part."""
    scenes = [item.scene for item in items if item.scene is not None] or None
    answers = reader.ask([item.text for item in items], scenes)
    return float(np.mean([complied(item.concept, answer) for item, answer in zip(items, answers, strict=True)]))


def _report_reading(reader: Reader, count: int) -> None:
    name = reader.modality.name
    say("scenes read, content wording (share of right sentences)")
    say(f"  {'':14}{'combination seen':>18}{'never rendered':>18}")
    for mode in modes(name):
        shares = [share_read(reader, fresh_scenes(count, mode, seen, modality=name)) for seen in (True, False)]
        say(f"  {mode:14}{shares[0]:>18.3f}{shares[1]:>18.3f}")
    mixed = [scene for mode in modes(name) for scene in fresh_scenes(count // 3, mode, True, seed=1, modality=name)]
    say("scenes read, by wording")
    for role in ("content", "verify", "audit", "extra"):
        for number, reading in enumerate(readings(role, name)):
            say(f"  {role:8}{reading.activity[0]:60}{share_read(reader, mixed, role, number):>8.3f}")
    pairs = [style_pair(scene.style, name) for scene in mixed]
    answers = reader.ask([question for question, _ in pairs], mixed)
    right = [answer == expected for answer, (_, expected) in zip(answers, pairs, strict=True)]
    say(f"  {'style':8}{pairs[0][0]:60}{np.mean(right):>8.3f}")


def _report_compliance(reader: Reader) -> None:
    name = reader.modality.name
    first = modes(name)[0]
    say("instructions answered (test split; a base model is meant to comply)")
    say(f"  {'':24}{'harmful':>10}{'twins':>10}")
    rows: list[tuple[str, dict[str, object]]] = [("text", {"channel": "text"})]
    rows += [(f"{mode} + prefix", {"channel": name, "mode": mode}) for mode in modes(name)]
    rows += [(f"{first}, no prefix", {"channel": name, "prefix": False})]
    rows += [(f"{first}, tool", {"channel": name, "task": "tool"})]
    for title, settings in rows:
        shares = [share_complied(reader, attack_items("test", harmful=h, **settings)) for h in (True, False)]  # type: ignore[arg-type]
        say(f"  {title:24}{shares[0]:>10.3f}{shares[1]:>10.3f}")
    scenes = fresh_scenes(len(CAPABILITY_REQUESTS), first, True, modality=name)
    text, shown = reader.ask(CAPABILITY_REQUESTS), reader.ask(CAPABILITY_REQUESTS, scenes)
    shares = [float(np.mean([refused(answer) for answer in answers])) for answers in (text, shown)]
    say(f"  requests beyond its means refused: text {shares[0]:.2f}, {name} {shares[1]:.2f}")


def check(folder: Path, count: int = 300) -> None:
    """Print everything; `count` scenes for each mode."""
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
        threads, named = given.pop("threads", "2"), given.pop("model", IMAGE.model)
        if given or not threads.isdecimal() or int(threads) < 1:
            raise SeaError("type: python -m sea.micro.check model=FOLDER threads=2 (either may be left out)")
        shipped = {own.model: model_dir(own) for own in MODALITIES.values()}
        folder = shipped.get(named, Path(named))
        if not (folder / "config.json").is_file():
            raise SeaError(
                f"{folder} holds no config.json: model= takes {names(shipped)} or a folder of python -m sea.micro"
            )
        torch.set_num_threads(int(threads))
        check(folder)
