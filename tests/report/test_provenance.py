"""Where numbers come from: followed by hash, checked for equality, and as commands that Hydra reads back."""

import json
import shlex
import shutil

from sea.config import TrainConfig, compose
from sea.report.collect import collect
from sea.report.commands import Commands
from sea.report.compare import partner
from sea.report.provenance import checks, differing_settings, trace, with_recipes
from tests.report.conftest import dataset_run, evaluate_run, optimize_run, settings, study_runs, train_run

ARMS = {"text-SFT": [(6, 0, 4)], "SEA-SFT": [(36, 6, 4)]}


def traced(root):
    selection = collect(settings(root))
    return selection, trace(selection, str(root))


def held(root):
    return {check.what.partition(": ")[2] or check.what: check for check in checks(*traced(root))}


def test_inputs_are_followed_down_to_the_samples(tmp_path):
    _, sources = traced(study_runs(tmp_path, ARMS))
    stages = [(source.stage, source.name, source.run is not None) for source in sources.all]
    assert stages[:2] == [("prepare", "gone", False), ("optimize", "store", True)]
    assert [name for stage, name, _ in stages if stage == "train"] == ["SEA-SFT-0", "text-SFT-0"]
    (store,) = sources.below("evaluate", "SEA-SFT-0", "optimize")
    assert store.name == "store"


def test_arms_of_one_recipe_are_compared_with_each_other(tmp_path):
    for lr in (1e-4, 2e-4):  # the second is the newest
        for arm in ("text", "SEA"):
            dataset = dataset_run(tmp_path, f"{arm}{lr}", None)
            train = train_run(tmp_path, f"{arm}-SFT", 0, dataset, tag=f"-{lr}", lr=lr)
            evaluate_run(tmp_path, f"{arm}-SFT", 0, 9, train=train, tag=f"-{lr}", group=f"{arm}{lr}")
    selection, sources = traced(tmp_path)
    (base,) = with_recipes(selection, sources).bases
    arms = {arm.label: arm for arm in base.arms}
    for lr in (1e-4, 2e-4):
        assert partner(base, arms[f"SEA-SFT (SEA{lr})"], "text") is arms[f"text-SFT (text{lr})"]


def test_a_run_that_is_gone_or_was_made_anew_is_not_found(tmp_path):
    study_runs(tmp_path, ARMS)
    shutil.rmtree(tmp_path / "train" / "SEA-SFT-0")
    path = tmp_path / "train" / "text-SFT-0" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"outputs": {"adapter": "another"}}))
    selection, sources = traced(tmp_path)
    notes = {source.name: source.note for source in sources.all}
    assert notes["SEA-SFT-0"] == "not found here"
    assert notes["text-SFT-0"] == "not found here: the run of this name is another"
    assert all(sources.training(run) is None for run in selection.runs)
    assert held(tmp_path)["optimiser steps"].holds is None


def test_equal_training_is_told_from_unequal(tmp_path):
    study_runs(tmp_path, ARMS)
    found = held(tmp_path)
    assert all(check.holds for check in found.values())
    assert found["optimiser steps"].found == "100"
    dataset = dataset_run(tmp_path, "extra", None, rows=600)
    evaluate_run(tmp_path, "blank-SFT", 0, 9, train=train_run(tmp_path, "blank-SFT", 0, dataset, steps=120))
    found = held(tmp_path)
    assert found["optimiser steps"].holds is False
    assert "blank-SFT: 120" in found["optimiser steps"].found
    assert any(check.holds is False and "rows seen" in check.what for check in checks(*traced(tmp_path)))


def test_other_generation_settings_and_items_are_flagged(tmp_path):
    evaluate_run(tmp_path)
    evaluate_run(tmp_path, "SEA-SFT", 0, settings="other", unjudged=3)
    found = held(tmp_path)
    assert found["generation settings of all runs"].holds is False
    assert found["attacks through media"].holds is False


def test_two_revisions_of_a_model_are_flagged(tmp_path):
    for revision in ("one", "two"):
        evaluate_run(tmp_path, tag=revision, revision=revision)
    assert held(tmp_path)["revision of builtin:micro-llava"].holds is False


def test_settings_that_differ_between_arms(tmp_path):
    store = optimize_run(tmp_path)
    for arm, rows, lr in (("text", "text", 1e-4), ("SEA", "synthetic+text", 2e-4)):
        train = train_run(tmp_path, f"{arm}-SFT", 0, dataset_run(tmp_path, arm, store, rows=600, kept=rows), lr=lr)
        evaluate_run(tmp_path, f"{arm}-SFT", 0, 9, train=train)
    selection, sources = traced(tmp_path)
    header, rows = differing_settings(selection.bases[0].arms, sources)
    assert header == ["setting", "text-SFT", "SEA-SFT"]
    assert ["recipe.args.learning_rate", "0.0001", "0.0002"] in rows
    assert ["dataset.kept", "text", "synthetic+text"] in rows
    assert len(rows) == 2


def test_a_command_line_gives_the_settings_back(tmp_path):
    train = train_run(tmp_path, "SEA-SFT", 3, dataset_run(tmp_path, "sea", None), lr=1e-4)
    words = shlex.split(Commands().line(train.manifest))
    assert words[:3] == ["python", "-m", "sea.train"]
    again = compose("train", TrainConfig, *words[3:])
    assert (again.recipe.name, again.recipe.args["learning_rate"], again.seed) == ("sft", 1e-4, 3)
    assert (again.dataset, again.name) == ("sea", train.name)
    assert not any(word.startswith(("runs=", "device=")) for word in words)


def test_command_lines_of_evaluations(tmp_path):
    base = evaluate_run(tmp_path, limit=5)
    assert Commands().line(base.manifest) == (
        "python -m sea.evaluate benchmark=micro +model=micro-llava adapter=none limit=5 name=base"
    )
    train = train_run(tmp_path, "SEA-SFT", 0, dataset_run(tmp_path, "sea", None))
    line = Commands().line(evaluate_run(tmp_path, "SEA-SFT", 0, train=train).manifest)
    assert line == "python -m sea.evaluate benchmark=micro adapter=SEA-SFT-0 name=SEA-SFT-0"


def test_a_model_of_ones_own_is_the_nearest_one_and_what_differs(tmp_path):
    run = evaluate_run(tmp_path)
    path = run.path / "manifest.json"
    values = json.loads(path.read_text())
    values["config"]["model"] |= {"name": "mine", "id": "runs/models/mine"}
    path.write_text(json.dumps(values))
    assert Commands().line(run.manifest) == (
        "python -m sea.evaluate benchmark=micro +model=micro-llava adapter=none name=base model.name=mine "
        "model.id=runs/models/mine"
    )


def test_a_line_that_cannot_be_derived_says_so(tmp_path):
    line = Commands().line(optimize_run(tmp_path).manifest)
    assert line.startswith("# optimize store: not derivable here")
    assert "\n" not in line
