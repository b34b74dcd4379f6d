"""What a family file says: where the modality encoder M sits, which argument feeds it, how its slot is written.

A family is data. It is found by its file name (`families/<model_type>.py`, holding `FAMILY` and `tiny`), so adding one
edits no list; `family_path` takes a file from anywhere.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from sea.console import SeaError, names
from sea.models.families import REFUSED
from sea.records import sha256_file

WIRES = re.compile(r"1?T?1?(ND|DN)")
SLOT_TEXT = "slot_text"  # beside E in a store: UTF-8 bytes of what the processor writes for the medium in a prompt


@dataclass(frozen=True)
class Modality:
    """How one modality enters a family's models. E of one medium has one tensor, whose last dimension is M's width D.

    Attributes:
        argument: keyword of the model's forward that carries the medium's tensor; E travels in it.
        encoder: path of M below `model.base_model`.
        projector: path of P below `model.base_model`; inside M's module for the emitters `merge` and `deepstack`.
        emitter: how E becomes the encoder's output; a name of `splice.EMITTERS`.
        wire: how one medium's E lies in the argument: the letters are E's dimensions in order, each 1 is added, and the
            blocks of a batch are joined along the first. "1ND": (N, D) -> (B, N, D); "ND": rows of all media in one
            list; "T1ND": (tiles, N, D) -> (tiles of all media, 1, N, D); "1T1ND": clips of equal length; "1DN": turned
            round, for models that count along the last dimension.
        media: the processor's keyword arguments for one medium.
        blank: makes the blank medium from the model YAML's `blank` settings.
        placeholder: what the chat template writes for one medium, given the processor.
        token: the token that a row after P replaces, of those that the processor puts in the placeholder's place, given
            the processor; None: the placeholder itself.
        token_types: model input that marks those tokens, with its value for this modality ("mm_token_type_ids", 2).
        companions: further model inputs that describe the medium and must travel with E.
        listed: those of the companions that describe a medium's parts (frames): the model takes one list of the parts
            of all media.
        process: replaces the processor's own call where that cannot be had: (processor, medium) -> the argument and the
            companions of one medium, and under `SLOT_TEXT` what stands for it in a prompt.
        layers: which of the encoder's hidden states are E, given the model's configuration; several lie side by side in
            E's width. Only for the emitter `hidden`.
        first_row_dropped: whether the code after M drops the first row (a CLS token), given the configuration. Only for
            the emitter `hidden`.
        padded: whether media of different sizes may be filled up with zeros, in the argument and in the companions, to
            lie in one batch: the code after M must drop what is added.
        rows: for code after M that derives sizes from the argument's: how many rows the argument must have, given the
            companions of one medium. E is filled up with rows of zeros, which the splice takes off again.
        beside_output: what M's output holds besides E that the code after M reads, given the configuration and M's
            inputs by name (the medium's is E).
        order: for an M that works on its rows in another order than P's output has: their places, (N,), given M and the
            model's inputs. E is stored in the order of P's output.
        slot_sees_itself: the kinds of the language model's layers (full_attention, sliding_attention) in which those of
            a medium's tokens that follow each other attend to each other in both directions, given the configuration.
            The window of a sliding layer holds for them as well.
    """

    argument: str
    encoder: str
    projector: str
    emitter: str
    wire: str
    media: Callable[[Any], dict[str, Any]]
    blank: Callable[..., Any]
    placeholder: Callable[[Any], str]
    token: Callable[[Any], str] | None = None
    token_types: tuple[str, int] | None = None
    companions: tuple[str, ...] = ()
    listed: tuple[str, ...] = ()
    process: Callable[[Any, Any], Mapping[str, Any]] | None = None
    layers: Callable[[Any], int | Sequence[int]] = lambda config: -1
    first_row_dropped: Callable[[Any], bool] = lambda config: False
    padded: bool = False
    rows: Callable[[Mapping[str, Tensor]], int] | None = None
    beside_output: Callable[[Any, Mapping[str, Any]], Mapping[str, Tensor]] = lambda config, inputs: {}
    order: Callable[[nn.Module, Mapping[str, Tensor]], Tensor] | None = None
    slot_sees_itself: Callable[[Any], tuple[str, ...]] = lambda config: ()

    def __post_init__(self) -> None:
        if not WIRES.fullmatch(self.wire):
            raise SeaError(
                f"the family file says wire={self.wire!r}; valid: {WIRES.pattern}, e.g. 1ND, ND, T1ND, 1T1ND"
            )
        if stray := set(self.listed) - set(self.companions):
            raise SeaError(f"the family file lists {names(stray)}, which must be among its companions")


@dataclass(frozen=True)
class Family:
    """A model family.

    Attributes:
        modalities: modality name -> how it enters.
        lora: regular expression of the language model's linear layers. "all-linear" or bare layer names would reach the
            encoder, which SEA skips in training.
        processor: makes of the library's processor one whose chat template writes text; None: it does so itself.
    """

    modalities: dict[str, Modality]
    lora: str = r".*language_model\.layers\..*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
    processor: Callable[[Any], Any] | None = None


def available() -> list[str]:
    """The families that the library knows: the names of the family files."""
    folder = Path(__file__).parent / "families"
    return sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")


def family_module(model_type: str, family_path: str | None = None) -> Any:
    """The module of a family: `FAMILY`, and `tiny()` for tests.

    Raises:
        SeaError: there is no such family file, or the file at `family_path` holds none.
    """
    if family_path is not None:
        path = Path(family_path).resolve()
        if not path.is_file():
            raise SeaError(f"model.family_path={family_path}: there is no such file")
        # By content: imported once, as any module is, though it is asked for several times.
        name = f"sea_family_{path.stem}_{sha256_file(path)[:12]}"
        found = importlib.util.spec_from_file_location(name, path)
        if found is None or found.loader is None:
            raise SeaError(f"model.family_path={family_path} is no Python file: its name must end in .py")
        if name in sys.modules:
            module = sys.modules[name]
        else:
            module = importlib.util.module_from_spec(found)
            sys.modules[name] = module
            try:
                found.loader.exec_module(module)
            except Exception as error:
                del sys.modules[name]
                raise SeaError(
                    f"model.family_path={family_path} fails on import: {type(error).__name__}: {error}"
                ) from error
        if not isinstance(getattr(module, "FAMILY", None), Family):
            raise SeaError(f"{family_path} holds no FAMILY = Family(...): see docs/adding-a-modality.md")
        return module
    if why := REFUSED.get(model_type):
        raise SeaError(f"models of type {model_type!r} cannot be used: {why}; known types: {names(available())}")
    if model_type not in available():
        raise SeaError(
            f"models of type {model_type!r} have no family file yet; known types: {names(available())}. "
            "A family is one file: pass model.family_path=my_family.py, or add it to sea/models/families/"
        )
    return importlib.import_module(f"sea.models.families.{model_type}")


def modality(family: Family, name: str) -> Modality:
    """One modality of a family.

    Raises:
        SeaError: the family does not have it.
    """
    if name not in family.modalities:
        raise SeaError(
            f"this model reads {names(family.modalities)}, not {name!r}: type reads=... or another +model=NAME"
        )
    return family.modalities[name]
