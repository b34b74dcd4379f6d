"""bench/options.py: every option can be typed, its rows say what the stages wrote, its measures mean what they say."""

import statistics
import subprocess
import types

import options
import pytest
import torch

from sea.config import EncodeConfig, OptimizeConfig, compose
from sea.encode.stage import run_stage as encode_stage
from sea.optimize.preview import shaping_optim
from sea.optimize.stage import run_stage as optimize_stage
from sea.records import read_json
from sea.store import Store


def test_every_option_can_be_typed_and_is_another_one():
    optim = {
        name: shaping_optim(compose("optimize", OptimizeConfig, "+model=micro-llava", *overrides).optim)
        for name, overrides in options.OPTIONS.items()
    }
    # The base and the paper's setting stand in the grids under another name as well; nothing else is twice there.
    named = [optim.pop(name) for name in (options.BASE, "paper")]
    others = [tuple(settings.values()) for settings in optim.values() if settings not in named]
    assert len(set(others)) == len(others) > 30
    for rule, sizes in options.GRIDS.items():
        assert {optim[f"{rule}-{size}"]["step_size"] for size in sizes} == {*sizes}
        assert {optim[f"{rule}-{size}"]["optimizer"] for size in sizes} == {rule}
    assert {settings["start"] for settings in optim.values()} == {"blank", "mean", "media"}


class Kept:
    """A store of tensors in memory."""

    def __init__(self, embeddings):
        self.embeddings = embeddings

    def read(self, key):
        return {"embedding": self.embeddings[key]}


@pytest.fixture(scope="module")
def pictures():
    """1000 of 4 rows of 2 numbers around (5, -3): independent hidden units, mixed so that the two go together."""
    rows = torch.randn(4000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mix = torch.tensor([[2.0, 1.0], [0.0, 0.5]], dtype=torch.float64)
    return (rows @ mix + torch.tensor([5.0, -3.0])).view(1000, 4, 2)


def real(pictures):
    """Their statistics; a picture aside, which is not harmless, must not count."""
    kept = {str(place): picture for place, picture in enumerate(pictures)}
    return options.Real(Kept({**kept, "harmful": torch.full((4, 2), 1e4)}), set(kept))


def test_distance_is_in_units_of_the_spread_of_real_rows(pictures, monkeypatch):
    monkeypatch.setattr(options, "SHRUNK", 0.0)
    of = real(pictures)
    assert of.distance(pictures) == pytest.approx(1.0, abs=1e-3)
    for offset, squares in (([0.0, 0.0], 0.0), ([4.0, 2.0], 4.0), ([0.0, 1.5], 9.0)):  # 2 and 3 of the hidden units
        there = torch.tensor([5.0, -3.0]) + torch.tensor(offset).expand(3, 4, 2)
        assert of.distance(there) == pytest.approx(squares / 2, rel=0.15, abs=0.01)


def test_shrinking_changes_little_where_there_are_many_rows(pictures):
    assert 0.8 < real(pictures).distance(pictures) < 1.0


def test_cosine_is_taken_around_the_mean_of_real_rows(pictures):
    of = real(pictures)
    around = of.mean_D.expand(2, 1, 2)
    right, up = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    for first, second, expected in ((right, 3 * right, 1.0), (right, up, 0.0), (right, -up - right, -(0.5**0.5))):
        pair = around + torch.stack([first, second])[:, None]
        assert of.cosine(pair) == pytest.approx(expected, abs=1e-6)


STAGES = {"encode": (EncodeConfig, encode_stage), "optimize": (OptimizeConfig, optimize_stage)}


def test_the_rows_of_a_screen_say_what_the_stages_wrote(monkeypatch, tmp_path, capsys):
    def here(self, stage, name, overrides):
        schema, run_stage = STAGES[stage]
        run_stage(compose(stage, schema, *self.common, *overrides, f"name={name}"))

    monkeypatch.setattr(options, "RUNS", tmp_path)
    monkeypatch.setattr(options.Bench, "command", here)
    path = tmp_path / "rows.json"
    options.main(["screen", "media", "mean", "--limit", "6", "--json", str(path)])
    rows = {row["option"]: row for row in read_json(path)}
    assert list(rows)[-3:] == ["default", "media", "mean"]  # after what they are held against
    for name in ("default", "media", "mean"):
        row, store = rows[name], Store(tmp_path / "shipped" / "optimize" / name)
        steps = [record.steps for record in store.embeddings.values()]
        assert (row["n"], row["seed"], len(steps)) == (6, 0, 6)
        assert row["steps"] == pytest.approx(statistics.mean(steps), abs=1e-3)
        assert row["osr"]["value"] == pytest.approx(sum(r.hit for r in store.embeddings.values()) / 6, abs=1e-6)
        assert row["gflop"] / (row["steps"] + 1) == pytest.approx(0.235, rel=0.05)  # of a sample-step on micro-llava
        assert row["vsr"]["n"] > 6  # several wordings
    reference = [row for row in rows.values() if row["osr"]["value"] is None]
    assert len(reference) == 2 and reference[1]["cosine"] == pytest.approx(1.0)  # blank is blank
    assert rows["media"]["cosine"] < rows["default"]["cosine"]  # different starts, the same start
    table = capsys.readouterr().out.splitlines()[-7:]
    assert len({line.count("|") for line in table}) == 1
    assert table[-2].startswith(f"| media | {rows['media']['steps']:.1f} | {rows['media']['gflop']:.2f} | ")


def row(option, seed, vsr):
    share = {"value": 1.0, "low": 0.9, "high": 1.0}
    return options.Row(option, seed, 10, 5.0 + seed, 1.0, share, share, {**share, "value": vsr}, 2.0, 0.5)


def test_seeds_are_compared_in_pairs():
    rows = [row("default", 0, 0.5), row("media", 0, 0.7), row("default", 1, 0.8), row("media", 1, 0.9)]
    head, _, base, media = options.over_seeds(rows).splitlines()
    assert "by seed (0, 1)" in head
    assert "0.500, 0.800" in base
    assert "| 5.5 |" in media and "0.700, 0.900" in media
    assert "+0.150 [-0.485, +0.785]" in media  # Student's t with one degree of freedom: 12.706 x 0.05


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["screen", "addam"], "unknown: addam"),
        (["confirm", "paper"], "--models"),
        (["confirm", "--models", "x"], "names of options"),
    ],
)
def test_what_cannot_be_run_is_refused(arguments, said, capsys):
    with pytest.raises(SystemExit):
        options.main(arguments)
    assert said in capsys.readouterr().err


def test_a_stage_that_fails_ends_the_bench_with_its_message(monkeypatch):
    def run(typed, **_):
        assert typed[1:3] == ["-m", "sea.optimize"] and "model.id=/x/m3" in typed and "seed=3" in typed
        return types.SimpleNamespace(returncode=2, stderr="noise\nerror: no such thing\n")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(SystemExit, match="paper: error: no such thing"):
        options.Bench(3, "/x/m3", 10).command("optimize", "paper", ["optim=paper"])
