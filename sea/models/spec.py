"""What a family file says: where the modality encoder M sits, which argument feeds it, how its slot is written.

A family is data. It is found by its file name (`families/<model_type>.py`, holding `FAMILY` and `tiny`), so adding one
edits no list; `family_path` takes a file from anywhere.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from sea.console import SeaError, names


@dataclass(frozen=True)
class Modality:
    """How one modality enters a family's models.

    Attributes:
        argument: keyword of the model's forward that carries the medium's tensor; E travels in it.
        encoder: path of M below `model.base_model`.
        projector: path of P below `model.base_model`.
        emitter: how E becomes the encoder's output; a name of `splice.EMITTERS`.
        layers: which of the encoder's hidden states are E, given the model's configuration; several lie side by side in
            E's width.
        first_row_dropped: whether the code after M drops the first row (a CLS token), given the configuration.
        media: keyword of the processor's call that takes the raw medium.
        blank: makes the blank medium from the model YAML's `blank` settings.
        placeholder: the token that the chat template writes for one medium, given the processor.
        expanded: the run of placeholder tokens that E fills, given the processor, E's shape and the companions.
        companions: further model inputs that describe the medium and must travel with E.
    """

    argument: str
    encoder: str
    projector: str
    emitter: str
    layers: Callable[[Any], int | Sequence[int]]
    first_row_dropped: Callable[[Any], bool]
    media: str
    blank: Callable[..., Any]
    placeholder: Callable[[Any], str]
    expanded: Callable[[Any, Sequence[int], Mapping[str, Tensor]], str]
    companions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Family:
    """A model family.

    Attributes:
        modalities: modality name -> how it enters.
        lora: regular expression of the language model's linear layers. "all-linear" or bare layer names would reach the
            encoder, which SEA skips in training.
    """

    modalities: dict[str, Modality]
    lora: str


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
        name = f"sea_family_{path.stem}"
        found = importlib.util.spec_from_file_location(name, path)
        if found is None or found.loader is None:
            raise SeaError(f"model.family_path={family_path} is no Python file: its name must end in .py")
        module = importlib.util.module_from_spec(found)
        sys.modules[name] = module
        try:
            found.loader.exec_module(module)
        except Exception as error:
            raise SeaError(
                f"model.family_path={family_path} fails on import: {type(error).__name__}: {error}"
            ) from error
        if not isinstance(getattr(module, "FAMILY", None), Family):
            raise SeaError(f"{family_path} holds no FAMILY = Family(...): see docs/concepts.md")
        return module
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
        raise SeaError(f"this model reads {names(family.modalities)}, not {name!r}: set model.modality")
    return family.modalities[name]
