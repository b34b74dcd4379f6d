"""How a name becomes code: a YAML's (the module of that name in a package, its function called with the args), and a
package's own (fetched from its modules when they are asked for).
"""

from __future__ import annotations

import importlib
import inspect
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sea.console import SeaError, names


def find(package: str, name: str, attribute: str, setting: str) -> Callable[..., Any]:
    """`attribute` of the module `name` of `package`.

    Args:
        setting: the setting that holds `name`, for the message.

    Raises:
        SeaError: there is no such module; those that are there are listed.
    """
    folder = Path(str(importlib.import_module(package).__file__)).parent
    valid = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    if name not in valid:
        raise SeaError(f"{setting}={name} is not known; valid: {names(valid)}")
    component: Callable[..., Any] = getattr(importlib.import_module(f"{package}.{name}"), attribute)
    return component


def build(component: Callable[..., Any], args: dict[str, Any], setting: str) -> Any:
    """Call `component` with the args of its YAML.

    Raises:
        SeaError: it takes no such argument, one is missing, or of another type; what it takes is listed.
    """
    valid = inspect.signature(component, eval_str=True).parameters
    if unknown := set(args) - set(valid):
        raise SeaError(f"{setting}: unknown {names(unknown)}; valid: {names(valid)}")
    if missing := {n for n, p in valid.items() if p.default is inspect.Parameter.empty} - set(args):
        raise SeaError(f"{setting}: no value for {names(missing)}; valid: {names(valid)}")
    for name, value in args.items():
        hint = valid[name].annotation
        plain = hint in (bool, int, float, str) or isinstance(hint, types.UnionType)
        kinds = tuple(typing.get_origin(part) or part for part in typing.get_args(hint) or (hint,))  # list[str] -> list
        if plain and (not isinstance(value, kinds) or (hint is int and isinstance(value, bool))):
            raise SeaError(
                f"{setting}.{name}={value} is of the wrong type: it must be {getattr(hint, '__name__', hint)}"
            )
    return component(**args)


def lazily(package: str, homes: dict[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a package (PEP 562) whose names are fetched when asked for, so that `--help` needs no torch.

    Args:
        homes: public name -> the module of the package that holds it.
    """

    def fetch(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)

    return fetch
