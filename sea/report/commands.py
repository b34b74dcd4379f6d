"""Command lines that make runs again, derived from what their manifests record against this version's defaults."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sea.config import (
    DatasetConfig,
    EncodeConfig,
    EvaluateConfig,
    OptimizeConfig,
    PrepareConfig,
    TrainConfig,
    compose,
    options,
)
from sea.console import SeaError
from sea.records import Manifest

SCHEMAS: dict[str, Any] = {
    "prepare": PrepareConfig,
    "optimize": OptimizeConfig,
    "encode": EncodeConfig,
    "dataset": DatasetConfig,
    "train": TrainConfig,
    "evaluate": EvaluateConfig,
}
# Which setting names the upstream run of a kind; left out, the newest one would be taken, which may be another by now.
UPSTREAM = {
    "optimize": {"prepare": "samples"},
    "encode": {"prepare": "samples"},
    "dataset": {"prepare": "samples", "optimize": "store", "encode": "real"},
    "train": {"dataset": "dataset"},
    "evaluate": {"train": "adapter"},
}


class Commands:
    """Command lines that make runs again, from what their manifests record against today's defaults."""

    def __init__(self) -> None:
        self._defaults: dict[tuple[str, ...], dict[str, Any]] = {}

    def line(self, manifest: Manifest) -> str:
        """The command line of a run; a comment with the reason where it cannot be derived."""
        stage, schema = manifest.stage, SCHEMAS[manifest.stage]
        upstream = UPSTREAM.get(stage, {})
        taken = {upstream[i.kind]: i.name for i in manifest.inputs if i.kind in upstream}
        inherits = stage == "train" or (stage in ("dataset", "evaluate") and bool(set(taken) - {"samples"}))
        config = {key: value for key, value in manifest.config.items() if key in schema.__dataclass_fields__}
        if inherits:
            config = {key: value for key, value in config.items() if key not in ("model", "wording")}
        groups = self._groups(stage, schema, config)
        try:
            default = self._default(stage, schema, groups)
        except SeaError as error:
            return f"# {stage} {manifest.name}: not derivable here ({str(error).splitlines()[0]})"
        config |= taken | {"name": manifest.name}
        mine, usual = dict(leaves(config)), dict(leaves(default))
        changed = {key: value for key, value in mine.items() if key in usual and usual[key] != value}
        changed |= {key: value for key, value in mine.items() if key not in usual and value is not None}
        words = [f"{key}={as_typed(value)}" for key, value in changed.items() if key not in ("runs", "device")]
        plus = [w if w.split("=")[0] in usual else f"+{w}" for w in words]
        return shlex.join(["python", "-m", f"sea.{stage}", *groups, *plus])

    def _groups(self, stage: str, schema: Any, config: Mapping[str, Any]) -> list[str]:
        """The choices of config groups among settings: `+model=micro-llava`, `recipe=dpo`.

        A model of the user's own has no file in conf/: the one that differs least is chosen, and the rest typed.
        """
        found = {key: value["name"] for key, value in config.items() if isinstance(value, dict) and value.get("name")}
        if "model" in found and found["model"] not in (there := options("model")):
            mine = dict(leaves(config["model"]))

            def differing(name: str) -> int:
                usual = dict(leaves(self._default(stage, schema, [f"+model={name}"])["model"]))
                return sum(usual.get(key) != value for key, value in mine.items())

            found["model"] = min(there, key=differing)
        return [f"{'+' if key == 'model' else ''}{key}={name}" for key, name in found.items()]

    def _default(self, stage: str, schema: Any, groups: Sequence[str]) -> dict[str, Any]:
        key = (stage, *groups)
        if key not in self._defaults:
            self._defaults[key] = asdict(compose(stage, schema, *groups))
        return self._defaults[key]


def leaves(value: Any, key: str = "") -> Iterable[tuple[str, Any]]:
    """`{"a": {"b": 1}}` -> `("a.b", 1)`."""
    if isinstance(value, dict) and value:
        for part, below in value.items():
            yield from leaves(below, f"{key}.{part}" if key else str(part))
    else:
        yield key, value


def as_typed(value: Any) -> str:
    """A value as Hydra's command line reads it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return "[" + ",".join(map(as_typed, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{as_typed(inner)}" for key, inner in value.items()) + "}"
    text = str(value)
    plain = text and all(c.isalnum() or c in "-_./+:%@" for c in text)
    if plain or not isinstance(value, str):
        return text
    quoted = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{quoted}'"
