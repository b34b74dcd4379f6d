"""The stage as two functions: a loaded model and encoded rows in (`build`), the trained adapter out (`train`)."""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import datasets
import torch
import transformers
from transformers.trainer_callback import PrinterCallback

from sea.config import TrainConfig
from sea.console import SeaError, rank, world_size
from sea.models.load import Loaded
from sea.models.splice import Splice
from sea.records import disk_errors
from sea.train import arguments, trainers
from sea.train.checkpoints import Checkpoint
from sea.train.collator import Collator
from sea.train.embeddings import Embeddings
from sea.train.guarded import answers_only
from sea.train.lora import peft_config
from sea.train.observer import Observer
from sea.train.rows import Example


def build(
    loaded: Loaded, examples: Sequence[Example], embeddings: Embeddings, settings: TrainConfig, folder: Path
) -> Any:
    """TRL's trainer, ready to train: adapter put on, E in place of media, nothing printed.

    Args:
        loaded: the frozen model; its encoders are swapped for the splice, and stay so.
        examples: the rows as ids.
        embeddings: E of those that have a slot.
        settings: `recipe`, `seed` and `report_to` are read.
        folder: the run's folder; checkpoints go below it.

    Raises:
        SeaError: the recipe does not fit TRL or the model.
    """
    trainer = trainers.load(settings.recipe.trainer)
    with quiet():
        args = arguments.build(settings, trainer, loaded, folder / "checkpoints", folder.name)
    if args.world_size != world_size():
        raise SeaError(
            f"the launcher started {world_size()} processes, and accelerate joins {args.world_size}: each would train "
            "alone and the batch would not be what it says. Start them by accelerate launch --config_file launch/..."
        )
    args._n_gpu = min(args.n_gpu, 1)  # stage.pin_one_gpu has said so; nn.DataParallel would train a copy
    config = peft_config(settings.recipe, loaded)
    Splice(loaded.model, loaded.family).install()
    with quiet(), _trl_errors():
        made = trainer.Trainer(
            model=loaded.model,
            args=args,
            data_collator=Collator(examples, embeddings, loaded, trainer.targets),
            train_dataset=_table(examples, folder, getattr(args, "precompute_ref_log_probs", False)),
            processing_class=loaded.processor,
            peft_config=config,
        )
    made.processing_class = None  # or every checkpoint would hold the whole tokenizer
    made.remove_callback(PrinterCallback)
    for parameter in made.model.parameters():
        # A small step is lost in bfloat16, which the copy of a projector would be in. ZeRO-3 (ds_id) wants one dtype.
        if parameter.requires_grad and not hasattr(parameter, "ds_id"):
            parameter.data = parameter.data.float()
    return made


def train(trainer: Any, observer: Observer | None = None, checkpoint: Checkpoint | None = None) -> int:
    """Train to the end, from the start or from a checkpoint of the same run.

    Returns:
        The number of optimiser steps.

    Raises:
        SeaError: the loss was not finite, memory ran out, or TRL refused an argument that it reads only now.
    """
    if observer is not None:
        trainer.add_callback(observer)
    with quiet(), _charts(trainer.args), _trl_errors(trainer), disk_errors(trainer.args.output_dir), answers_only():
        if checkpoint is not None and _at_the_end(checkpoint):
            trainer._load_from_checkpoint(str(checkpoint.path))  # training on would add a step
            return checkpoint.step
        trainer.train(resume_from_checkpoint=str(checkpoint.path) if checkpoint is not None else None)
    return int(trainer.state.global_step)


@contextlib.contextmanager
def _charts(args: Any) -> Iterator[None]:
    """W&B as in `sea.tracking`: files in the run's folder, and a resumed run goes on in the same charts."""
    folder = str(Path(args.output_dir).parent)
    wanted = {"PROJECT": "sea", "DIR": folder, "RUN_ID": args.run_name, "RESUME": "allow"}
    added = {f"WANDB_{name}": value for name, value in wanted.items() if f"WANDB_{name}" not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def _at_the_end(checkpoint: Checkpoint) -> bool:
    state = transformers.TrainerState.load_from_json(str(checkpoint.path / "trainer_state.json"))
    return bool(state.global_step >= state.max_steps)


def _table(examples: Sequence[Example], folder: Path, precompute: bool) -> Any:
    """What TRL takes for the dataset: the places of the examples, and a digest of what each of them is.

    TRL keys its cache of the reference's log-probabilities by the dataset's content and the model, so the digest makes
    it see another E. Several processes share that cache through a folder.
    """
    columns = {"row": list(range(len(examples))), "content": [example.content for example in examples]}
    table = datasets.Dataset.from_dict(columns)
    if not (precompute and world_size() > 1):
        return table
    path = folder / "reference"
    if rank() == 0:
        table.save_to_disk(str(path))
    torch.distributed.barrier()
    return datasets.load_from_disk(str(path))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No bars, tables and advice of the libraries between sea's own lines."""
    transformers.logging.set_verbosity_error()
    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    datasets.disable_progress_bars()
    os.environ["TQDM_DISABLE"] = "1"  # TRL's bar over the reference's log-probabilities
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _trl_errors(trainer: Any = None) -> Iterator[None]:
    """What TRL refuses is a setting of the user's; what runs out of memory is too large a batch.

    Args:
        trainer: the one that trains, if any; what fails once it has done a step is no refusal.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise SeaError(
            f"out of memory ({str(error).splitlines()[0]}). Type a smaller recipe.args.per_device_train_batch_size "
            "with a larger recipe.args.gradient_accumulation_steps (the product is what shapes the result), or "
            "recipe.args.gradient_checkpointing=true; the same command continues"
        ) from error
    except (ValueError, NotImplementedError, ImportError) as error:
        if trainer is not None and trainer.state.global_step > 0:
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise SeaError(f"TRL refuses the arguments of this recipe: {reason}") from error
    except Exception as error:
        if not type(error).__module__.startswith("wandb"):
            raise
        raise SeaError(
            f"W&B did not start ({str(error).splitlines()[0]}). Type report_to=none, set WANDB_MODE=offline, or log in "
            "by the WANDB_API_KEY environment variable"
        ) from error
