"""Run folders: `runs/<stage>/<name>/`, complete when `manifest.json` is there, and how one stage finds another's.

Belongs here: names, the manifest, refusal of changed settings, the newest compatible upstream run, inheritance printed.
Does not belong here: what a stage writes inside its folder.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import importlib.metadata
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import sea
from sea.config import ModelConfig
from sea.console import SeaError, names, say
from sea.records import (
    Input,
    Manifest,
    disk_errors,
    from_dict,
    read_json,
    settings_hash,
    sha256_file,
    to_dict,
    write_json,
)

MANIFEST = "manifest.json"
SETTINGS = "settings.json"  # written at the start: the settings that shape the result
LIBRARIES = ("torch", "transformers", "peft", "trl", "accelerate", "datasets", "safetensors", "tokenizers", "numpy")


@dataclass(frozen=True)
class Run:
    """One run's folder, complete or being written."""

    stage: str
    name: str
    path: Path

    @property
    def complete(self) -> bool:
        """Whether the stage finished: its manifest is written last."""
        return (self.path / MANIFEST).is_file()

    @property
    def manifest(self) -> Manifest:
        """The manifest of a complete run.

        Raises:
            SeaError: the run is incomplete, or the manifest is not one.
        """
        if not self.complete:
            raise SeaError(
                f"{self.path} is incomplete (no {MANIFEST}): the {self.stage} run was cut off. "
                f"Run the same `python -m sea.{self.stage} ...` command again to finish it, or name another run"
            )
        return from_dict(Manifest, read_json(self.path / MANIFEST), str(self.path / MANIFEST))

    def finish(
        self,
        config: dict[str, Any],
        inputs: list[Input],
        outputs: dict[str, str],
        counts: dict[str, Any],
        seconds: float,
    ) -> Manifest:
        """Write the manifest: from now on later stages trust the run."""
        manifest = Manifest(
            stage=self.stage,
            name=self.name,
            sea_version=sea.__version__,
            libraries=library_versions(),
            config=config,
            inputs=inputs,
            outputs=outputs,
            counts=counts,
            seconds=round(seconds, 3),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        write_json(self.path / MANIFEST, to_dict(manifest))
        return manifest

    @contextlib.contextmanager
    def lock(self, name: str = "run", wait_s: float = 0.0) -> Iterator[None]:
        """Hold the run's lock `name`, so that two processes do not write the same files.

        Raises:
            SeaError: another process holds it for longer than `wait_s`.
        """
        path = self.path / f".{name}.lock"
        with disk_errors(path):
            file = path.open("w")
        with file:
            deadline = time.monotonic() + wait_s
            while True:
                try:
                    with disk_errors(path):  # a file system without locks says so here
                        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except SeaError as error:
                    if not isinstance(error.__cause__, BlockingIOError):
                        raise
                    if time.monotonic() >= deadline:
                        raise SeaError(
                            f"another process is writing {self.path}: wait for it, or give this run another name=..."
                        ) from None
                    time.sleep(0.05)
            yield


def library_versions() -> dict[str, str]:
    """Versions of the installed libraries that can change a result; reads metadata, imports nothing."""
    found = {}
    for library in LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[library] = importlib.metadata.version(library)
    return found


def start(
    stage: str, name: str | None, default_name: str, settings: dict[str, Any], root: str, dry: bool = False
) -> Run:
    """Open a new run or continue an earlier one of the same settings.

    Args:
        default_name: used when `name` is None; `-<8 hex of settings>` is added to it.
        settings: JSON values that shape the result; what only shapes the work (batch size, device) stays out.
        dry: look, but write nothing.

    Raises:
        SeaError: the name is no file name, or a run of that name was made with other settings; each one that differs is
            listed.
    """
    full = name if name is not None else f"{default_name}-{settings_hash(settings)}"
    if not full or full != Path(full).name or full.startswith("."):
        raise SeaError(f"name={full!r} is no folder name: type letters, digits, - and _, without a slash")
    run = Run(stage, full, Path(root) / stage / full)
    written = run.path / SETTINGS
    if written.is_file():
        if changed := differences(read_json(written), settings):
            raise SeaError(
                f"{run.path} was made with other settings ({'; '.join(changed)}). "
                "Mixing them would make its numbers meaningless: type another name=..., or the old settings"
            )
        return run
    if run.complete:
        raise SeaError(
            f"{run.path} holds a manifest without {SETTINGS}: it was not made by this command; type name=..."
        )
    if not dry:
        write_json(written, settings)
    return run


def refuse_drift(stage: str, shaping: dict[str, Any], root: str) -> None:
    """Refuse a model whose files changed since a run of the same settings: without a name it would pass unseen.

    Raises:
        SeaError: with both revisions, and how to accept the new one.
    """
    for written in sorted((Path(root) / stage).glob(f"*/{SETTINGS}")):
        try:
            old = read_json(written)
        except SeaError:  # a damaged run of someone else's
            continue
        if isinstance(old, dict) and isinstance(old.get("model"), dict):
            before, now = old["model"].get("revision"), shaping["model"]["revision"]
            if before != now and not differences(old | {"model": old["model"] | {"revision": now}}, shaping):
                raise SeaError(
                    f"{shaping['model']['id']} has revision {now}, but {written.parent} was made with the same "
                    f"settings from revision {before}: its files changed. "
                    f"Restore them, or accept them by model.revision={now}"
                )


def differences(old: Any, new: Any, key: str = "") -> list[str]:
    """What differs between two JSON values, as `key: old -> new` lines; long texts are cut."""
    if isinstance(old, dict) and isinstance(new, dict):
        lines: list[str] = []
        for part in sorted(set(old) | set(new)):
            below = f"{key}.{part}" if key else str(part)
            lines += differences(old.get(part, "(absent)"), new.get(part, "(absent)"), below)
        return lines
    return [] if old == new else [f"{key}: {str(old)[:80]} -> {str(new)[:80]}"]


def find(
    stage: str, reference: str | None, root: str, accepts: Callable[[Manifest], str | None], builtin: str | None = None
) -> Run:
    """The upstream run to read: the one that `reference` names, else the newest complete one that is compatible.

    Args:
        reference: a run's name, a folder, `builtin:NAME`, or None.
        accepts: says why a run cannot serve, or None when it can.
        builtin: the run inside the package that serves when `reference` is None and none was made.

    Raises:
        SeaError: nothing serves; what is there is listed with the reason.
    """
    if reference is not None:
        run = _named(stage, reference, root)
        if why := _unfit(run, stage, accepts):
            raise SeaError(f"{run.path} cannot serve here: {why}")
        return run
    passed_over = []
    for run in _newest_first(stage, root):
        try:
            why = _unfit(run, stage, accepts) if run.complete else f"incomplete (no {MANIFEST})"
        except SeaError as error:  # one damaged run must not stop the commands that do not need it
            why = str(error)
        if why is None:
            return run
        passed_over.append(f"{run.name}: {why}")
        say(f"passed over {stage} run {passed_over[-1]}")
    if builtin is not None and (_builtin_home(stage) / builtin / MANIFEST).is_file():
        return _named(stage, f"builtin:{builtin}", root)
    raise SeaError(
        f"no complete {stage} run under {Path(root) / stage} that can serve here "
        f"({'; '.join(passed_over) or 'there is none'}). Run `python -m sea.{stage} ...` first, or name one"
    )


def newest(stage: str, root: str, fits: Callable[[Manifest], bool]) -> Manifest | None:
    """The newest complete run that fits, to learn from; None: there is none."""
    for run in _newest_first(stage, root):
        with contextlib.suppress(SeaError):  # incomplete or damaged: nothing depends on it
            if fits(manifest := run.manifest):
                return manifest
    return None


def _unfit(run: Run, stage: str, accepts: Callable[[Manifest], str | None]) -> str | None:
    """Why a complete run cannot serve; None when it can."""
    manifest = run.manifest
    if manifest.stage != stage:
        return f"it is a {manifest.stage} run, wanted is one of {stage}"
    return accepts(manifest)


def _builtin_home(stage: str) -> Path:
    """Where the package keeps complete runs of a stage."""
    return Path(str(files("sea") / "micro" / stage))


def _named(stage: str, reference: str, root: str) -> Run:
    """Resolve a name, a folder or `builtin:NAME` to an existing run folder."""
    if reference.startswith("builtin:"):
        name = reference.removeprefix("builtin:")
        home = _builtin_home(stage)
        if not (home / name / MANIFEST).is_file():
            valid = [path.parent.name for path in home.glob(f"*/{MANIFEST}")]
            raise SeaError(f"there is no {reference}; valid: {names(f'builtin:{v}' for v in valid)}")
        return Run(stage, name, home / name)
    for path in (Path(root) / stage / reference, Path(reference)):
        if reference.strip() and path.is_dir():
            return Run(stage, path.resolve().name, path)
    valid = [run.name for run in _newest_first(stage, root)]
    raise SeaError(f"there is no {stage} run {reference!r} (looked in {Path(root) / stage}); valid: {names(valid)}")


def _newest_first(stage: str, root: str) -> list[Run]:
    folders = [path for path in (Path(root) / stage).glob("*") if path.is_dir() and not path.name.startswith(".")]
    runs = [Run(stage, path.name, path) for path in folders]
    return sorted(runs, key=lambda run: (_age(run), run.name), reverse=True)


def _age(run: Run) -> str:
    """When a run was completed, or begun when it is not complete, as ISO text."""
    with contextlib.suppress(SeaError):
        return run.manifest.created
    began = run.path / SETTINGS
    return datetime.fromtimestamp(began.stat().st_mtime, UTC).isoformat() if began.is_file() else ""


def inherited(what: str, run: Run, note: str) -> None:
    """Print what a stage takes over from an earlier one."""
    say(f"inherited: {what} = {run.path} ({note})")


def model_of(manifest: Manifest, device: str = "auto") -> ModelConfig:
    """The model that a run was made with, pinned to the revision that was found then.

    Args:
        device: where it is to be loaded now; the device of the earlier run may not be here.

    Raises:
        SeaError: the run has no model.
    """
    revisions = [made_from.hash for made_from in manifest.inputs if made_from.kind == "model"]
    model = manifest.config.get("model")
    if model is None or len(revisions) != 1:
        raise SeaError(f"the {manifest.stage} run {manifest.name} names no model: type +model=NAME when making it")
    found = from_dict(ModelConfig, model, f"{manifest.stage}/{manifest.name}: model")
    return dataclasses.replace(found, revision=revisions[0], device=device)


def output_hash(run: Run, file: str) -> str:
    """The recorded hash of an output file, after checking that the file still has it.

    Raises:
        SeaError: the manifest does not list the file, or the file changed after the run was completed.
    """
    recorded = run.manifest.outputs.get(file)
    if recorded is None:
        raise SeaError(f"{run.path / MANIFEST} lists no output {file}; found {names(run.manifest.outputs)}")
    if not (run.path / file).is_file() or sha256_file(run.path / file) != recorded:
        raise SeaError(
            f"{run.path / file} is not the file that its manifest describes: it was changed or lost. Make it again"
        )
    return recorded
