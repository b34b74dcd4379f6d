"""A trained adapter on disk: PEFT's two files, safetensors only, opened again and compared before anyone trusts it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sea.config import ModelConfig
from sea.console import SeaError, names, rank
from sea.models.load import Checkpoint, Loaded, load
from sea.models.splice import Splice
from sea.records import disk_errors, read_json, write_json

ADAPTER = "adapter"
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"


def write(trainer: Any, folder: Path, base: Checkpoint) -> Path | None:
    """Write the trainer's adapter under a temporary name; every process must call this (ZeRO-3 gathers).

    Args:
        folder: the run's folder.
        base: what the adapter belongs to; its name and revision go into PEFT's file in place of a path of this machine.

    Returns:
        The temporary folder, on rank 0.
    """
    temporary = folder / f".{ADAPTER}.tmp"
    with disk_errors(temporary):
        if rank() == 0:
            shutil.rmtree(temporary, ignore_errors=True)
        trainer.save_model(str(temporary))
        if rank() != 0:
            return None
        for path in temporary.iterdir():
            if path.name not in (WEIGHTS, CONFIG):  # training_args.bin is a pickle, README.md an empty form
                path.unlink()
        config = read_json(temporary / CONFIG)
        write_json(temporary / CONFIG, config | {"base_model_name_or_path": base.id, "revision": base.revision})
    return temporary


def put_in_place(temporary: Path, folder: Path) -> Path:
    """Give a checked adapter its name; one that a killed launch left there without a manifest gives way."""
    place = folder / ADAPTER
    with disk_errors(place):
        shutil.rmtree(place, ignore_errors=True)
        temporary.rename(place)
    return place


def trained_tensors(trainer: Any) -> dict[str, Tensor] | None:
    """The adapter in memory, by the names of its file; None under ZeRO-3, where no process holds it whole."""
    if any(hasattr(parameter, "ds_id") for parameter in trainer.model.parameters()):
        return None
    model = trainer.accelerator.unwrap_model(trainer.model)
    return {name: value.detach().cpu().clone() for name, value in _state(model).items()}


def _state(model: Any) -> dict[str, Tensor]:
    import peft

    # False: PEFT would else look the base model up on the hub, to learn whether its vocabulary grew; ours never does.
    state: dict[str, Tensor] = peft.get_peft_model_state_dict(model, save_embedding_layers=False)
    return state


def check(folder: Path, model: ModelConfig, trained: Mapping[str, Tensor] | None = None) -> dict[str, Any]:
    """Open an adapter as a user would, and see that it is whole and does something.

    Args:
        folder: where PEFT's files are.
        model: the model that it belongs to.
        trained: the tensors as they were in memory, if they are at hand: the file must hold the same.

    Returns:
        How many tensors and numbers it holds, and by how much at most it moves a logit of a fixed prompt.

    Raises:
        SeaError: a tensor is missing, empty, not finite or not what was trained, or the model answers as without it.
    """
    stored = read_tensors(folder)
    again = "Nothing is published: run the same command again, and it is written anew from the last checkpoint"
    if bad := [name for name, value in stored.items() if value.numel() == 0 or not bool(value.isfinite().all())]:
        raise SeaError(f"{folder / WEIGHTS}: {len(bad)} tensors are empty or not finite: {names(bad[:3])}. {again}")
    if trained is not None:
        _same(trained, stored, f"{folder / WEIGHTS} is not what was trained", again)
    loaded = load(model, adapter=str(folder))
    opened: Any = loaded.model
    _same(stored, _state(opened), f"{folder} opens as something else than its file", again)
    change = _largest_change(loaded)
    if not 0 < change < float("inf"):
        raise SeaError(
            f"{folder}: the model's logits change by {change} with the adapter on: it does nothing (was it trained for "
            "at least one step, with a learning rate above 0?) or it ruins the model"
        )
    return {
        "tensors": len(stored),
        "parameters": sum(value.numel() for value in stored.values()),
        "largest_logit_change": round(change, 6),
    }


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """The tensors of an adapter's file.

    Raises:
        SeaError: there is none, it is damaged, or it is empty.
    """
    from safetensors.torch import load_file

    try:
        stored: dict[str, Tensor] = load_file(folder / WEIGHTS)
    except Exception as error:  # safetensors raises its own type for every damage
        raise SeaError(f"cannot read {folder / WEIGHTS}: {error}. It is lost or damaged") from error
    if not stored:
        raise SeaError(f"{folder / WEIGHTS} holds no tensor")
    return stored


def _same(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], what: str, then: str) -> None:
    odd = set(wanted) ^ set(found) or {
        name for name, value in wanted.items() if not torch.equal(value.to(found[name].dtype), found[name].cpu())
    }
    if odd:
        raise SeaError(f"{what}: {len(odd)} tensors differ, e.g. {names(sorted(odd)[:2])}. {then}")


@torch.no_grad()
def _largest_change(loaded: Loaded) -> float:
    """The largest change of a logit by the adapter, on a prompt about the blank embedding."""
    blank = loaded.blank()
    ids_BL = torch.tensor([loaded.chat.prompt("Please describe it.", blank.slot)], device=loaded.device)
    media = loaded.media([blank]) | loaded.token_types(ids_BL)
    model: Any = loaded.model
    with Splice(model, loaded.family):
        with_adapter = model(input_ids=ids_BL, attention_mask=torch.ones_like(ids_BL), **media).logits
        with model.disable_adapter():
            without = model(input_ids=ids_BL, attention_mask=torch.ones_like(ids_BL), **media).logits
    return float((with_adapter.float() - without.float()).abs().max())
