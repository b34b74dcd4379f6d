"""Every command that the documents tell a reader to type is one that the code understands.

A reader copies commands; one that names an option of last month costs more trust than a missing paragraph.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib
import re
import shlex
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

import sea.config
from sea.config import compose

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("launch/*"), *ROOT.glob("recipes/**/*.md")]
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
SHELL = re.compile(r"^```(?:bash|sh|shell|console)?\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Typed:
    """A command as a document shows it."""

    document: str
    line: str
    module: str
    words: tuple[str, ...]

    @property
    def overrides(self) -> list[str]:
        """Hydra's part; a bare word (`sea.inspect RUN`) is the command's own."""
        return [word for word in self.words if "=" in word or word[0] in "+~"]


def shell(text: str) -> list[str]:
    """The shell blocks of a Markdown text, and inline commands that are whole: with arguments, no `...` or `<name>`."""
    inline = [code.replace("\n", " ") for code in re.findall(r"`([^`]+)`", FENCED.sub("", text))]
    whole = [code for code in inline if re.search(r"-m sea[\w.]* \S", code) and not re.search(r"\.\.\.|<", code)]
    return SHELL.findall(text) + whole


def typed() -> list[Typed]:
    """Every `python -m sea...` and `accelerate launch ... -m sea...` in a document or a batch script."""
    found = []
    for path in sorted(DOCUMENTS):
        if path.suffix not in {".md", ".sbatch"}:
            continue
        text = path.read_text(encoding="utf-8")
        for block in shell(text) if path.suffix == ".md" else [text]:
            block = re.sub(r"\\\n\s*", " ", block)
            block = block.replace('"$@"', "+model=micro-llava")  # what the caller of a script adds
            block = re.sub(r"\$\(\([^)]*\)\)+|\$\{?\w+\}?", "1", block)  # shell arithmetic and variables: any number
            for line in block.splitlines():
                if match := re.search(r"(?:python3?|launch\b.*?) -m (sea[\w.]*)(.*)", line.split(" # ")[0]):
                    words = [word for word in shlex.split(match[2]) if word not in {"&", "&&"}]
                    found.append(Typed(str(path.relative_to(ROOT)), line.strip(), match[1], tuple(words)))
    return found


TYPED = typed()
MODULES = sorted({command.module for command in TYPED})


@functools.cache
def primary(module: str) -> tuple[str, str] | None:
    """(config, schema) of the `@command(...)` in a module or its `__main__`; None for a module without settings."""
    base = ROOT / Path(*module.split("."))
    file = next((f for f in (base / "__main__.py", base.with_suffix(".py")) if f.is_file()), None)
    assert file, f"python -m {module}: there is no such module"
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "command":
            name, schema = node.args
            assert isinstance(name, ast.Constant) and isinstance(schema, ast.Name)
            return str(name.value), schema.id
    return None


def test_the_readme_shows_commands() -> None:
    shown = {command.module for command in TYPED if command.document == "README.md"}
    assert {"sea.prepare", "sea.optimize"} <= shown
    assert any("accelerate launch" in command.line for command in TYPED)


@pytest.mark.parametrize("command", TYPED, ids=lambda c: f"{c.document}: {c.line}")
def test_typed_command_composes(command: Typed) -> None:
    found = primary(command.module)
    if found is None:
        return  # no settings to compose; that the module starts is tested below
    name, schema = found
    settings = compose(name, getattr(sea.config, schema), *command.overrides)
    assert dataclasses.is_dataclass(settings)


@pytest.mark.parametrize("module", MODULES)
def test_module_starts(module: str, tmp_path: Path) -> None:
    command = next(c for c in TYPED if c.module == module)
    words = [*command.words, "--cfg", "job"] if primary(module) else ["--help"]
    result = subprocess.run([sys.executable, "-m", module, *words], cwd=tmp_path, capture_output=True, text=True)
    assert "Traceback" not in result.stderr, result.stderr
    if primary(module):
        assert result.returncode == 0, result.stderr


def test_python_blocks_parse_and_their_imports_exist() -> None:
    seen = 0
    for path in DOCUMENTS:
        if path.suffix == ".md":
            for block in re.findall(
                r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
            ):
                for node in ast.walk(ast.parse(textwrap.dedent(block))):
                    if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sea"):
                        seen += 1
                        for alias in node.names:
                            found = importlib.import_module(str(node.module))
                            assert hasattr(found, alias.name), f"{path.name}: {node.module} has no {alias.name}"
    assert seen


def test_make_targets_that_documents_name_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for path in DOCUMENTS:
        if path.suffix == ".md":
            for target in re.findall(r"(?:`|^)make ([a-z-]+)", path.read_text(encoding="utf-8"), re.MULTILINE):
                assert target in targets, f"{path.name} tells to type `make {target}`, which is no target"


def test_files_that_the_readme_links_exist() -> None:
    for path in DOCUMENTS:
        if path.suffix == ".md":
            for link in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", path.read_text(encoding="utf-8")):
                assert (path.parent / link).exists(), f"{path.relative_to(ROOT)} links {link}, which is not there"
