"""``rsparse evaluate``: plan files."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from rsparse.attacks import Bim, Fgsm
from rsparse.defenses import defense_text
from rsparse.evaluation.model_choice import ModelChoice
from rsparse.evaluation.plan_file import read_plan
from rsparse.evaluation.scenarios import (
    SCENARIOS,
    AdversarialTraining,
    Transfer,
    TwoModelScenario,
    parse_scenarios,
)
from rsparse.models.spec import INPUT_OPTIONS, InputOptions
from rsparse.options.labels import LabelOptions
from tests.colour_evaluations import LEAST, plan
from tests.refusals import refused

pytest.importorskip("torch")

KEYS = (
    "images, labels, first-class, model, attack, defense, policy, dict, adversarial, scenario, "
    "detector, output, only-correct, predicted-labels, max-images, extra-checks, false-alarms, "
    "tolerance, batch-size, seed, device"
)


def test_a_plans_paths_are_relative_to_its_folder(tmp_path):
    found = read_plan(plan(tmp_path, LEAST + 'labels = "l.csv"\ndict = ["d.h5", "f=f.h5"]\n'))
    assert found.images == (tmp_path / "imgs",)
    assert found.labels == LabelOptions(tmp_path / "l.csv")
    assert found.model.path == tmp_path / "m.onnx"
    assert found.dictionaries == {"": tmp_path / "d.h5", "f": tmp_path / "f.h5"}
    assert found.output == tmp_path / "eval"
    assert found.parameters.only_correct
    assert [defense_text(defense) for defense in found.defenses] == ["none"]
    assert read_plan(tmp_path / "plan.toml", Path("other")).output == Path("other")


OF_INPUT = (
    "input-size = [20, 30], mean = [0.1, 0.2, 0.3], std = 1, class-offset = 1, "
    "class-names = 'names.txt'"
)


def test_a_plan_can_set_every_option(tmp_path):
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    found = read_plan(plan(tmp_path, """
        images = ["a", "b"]
        attack = ["fgsm:eps=2,10", "bim:eps=8"]
        defense = ["none", "jpeg:quality=20,75"]
        scenario = ["gray-box", "transfer:model=s.onnx,t.onnx,preset=inception-v3",
                    {name = "black-box", model = "new/r.onnx", """ + OF_INPUT + """}]
        output = "eval"
        only-correct = false
        extra-checks = false
        max-images = 7
        seed = 3
        [model]
        file = "m.onnx"
        input-size = 299
        mean = 0.5
        std = [0.1, 0.2, 0.3]
        class-names = "names.txt"
    """))  # fmt: skip
    assert found.attacks == (Fgsm(2), Fgsm(10), Bim(8))
    texts = [defense_text(defense) for defense in found.defenses]
    assert texts == ["none", "jpeg-quality=20", "jpeg-quality=75"]
    assert found.model.input_options == InputOptions(
        size=(299, 299), mean=(0.5,) * 3, std=(0.1, 0.2, 0.3), labels=("cat", "dog")
    )
    assert [(t.label, t.attacked.name, t.judged.name) for t in found.threats] == [
        ("gray-box", "m", "m"), ("transfer: s", "s", "m"), ("transfer: t", "t", "m"),
        ("black-box: r", "m", "r"),
    ]  # fmt: skip
    for threat, name in zip(found.threats[1:3], "st", strict=True):
        assert threat.attacked.path == tmp_path / f"{name}.onnx"
        assert threat.attacked.input_options == InputOptions(preset="inception-v3")
    assert found.threats[3].judged == ModelChoice(
        tmp_path / "new/r.onnx",
        InputOptions(
            size=(20, 30), mean=(0.1, 0.2, 0.3), std=(1.0,) * 3, class_offset=1,
            labels=("cat", "dog"),
        ),
    )  # fmt: skip
    parameters = found.parameters
    assert (parameters.only_correct, parameters.extra_checks, parameters.max_images) == (
        False,
        False,
        7,
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("images = [", "is not valid TOML: Invalid value (at end of document)"),
        (LEAST + "lables = 'l.csv'", "unknown key 'lables'; did you mean labels? Known: images, "
         "labels, first-class, model, attack, defense, policy, dict, adversarial, scenario, "
         "detector, output, only-correct, predicted-labels, max-images, extra-checks, "
         "false-alarms, tolerance, batch-size, seed, device"),
        ('images = "a"\nmodel = "m.onnx"\n', "the key attack is missing"),
        (LEAST.replace('output = "eval"', ""),
         "the key output is missing; add it, or pass -o"),
        (LEAST + "seed = 'x'", "seed: expected a whole number from 0 to 4294967295, got 'x'"),
        (LEAST + "first-class = 2", "first-class: expected 0 or 1, got 2"),
        (LEAST + "labels = 3", "labels: expected a string, got 3"),
        (LEAST + "defense = [1]", "defense: expected a string or a list of strings, got [1]"),
        (LEAST + "defense = 'jpg'", None),
        (LEAST + "scenario = 'grey-box'",
         f"unknown scenario 'grey-box'; did you mean gray-box? Known: {', '.join(SCENARIOS)}"),
        (LEAST.replace('model = "m.onnx"', "") + "[model]\npreset = 'unit'",
         "model: the key file is missing"),
        (LEAST.replace('model = "m.onnx"', "") + "[model]\nfile = 'm'\nmaen = 1",
         "model: unknown key 'maen'; did you mean mean? Known: file, preset, input-size, mean, "
         "std, input-range, channels, layout, class-offset, class-names, resize, "
         "scores, score-type"),
        (LEAST + "input-size = 224",
         "input-size: belongs in a table [model], beside its file; for the model of a scenario, in "
         "the scenario"),
        (LEAST + "jobs = 2", f"unknown key 'jobs'; known: {KEYS}"),
        (LEAST + "weakest = 1", f"unknown key 'weakest'; known: {KEYS}"),
        (LEAST + "source-preset = 'unit'",
         "source-preset is now scenario = 'transfer:model=FILE,preset=NAME'"),
        (LEAST + "source-model = 's.onnx'",
         "source-model is now scenario = 'transfer:model=FILE'"),
        (LEAST + "retrained = 'r.onnx'",
         "retrained is now scenario = 'black-box:model=FILE' or 'extended-gray-box:model=FILE'"),
        (LEAST + "adversarial-training = 'a.onnx'",
         "adversarial-training is now scenario = 'adversarial-training:model=FILE'"),
        (LEAST + "scenario = 'black-box'",
         "scenario 'black-box': needs model=…, an ONNX file"),
        (LEAST + "scenario = 'transfer:models=s.onnx'",
         "scenario 'transfer:models=s.onnx': unknown parameter 'models'; did you mean model? "
         "Known: model, preset, input_size, mean, std, input_range, channels, layout, "
         "class_offset, class_names, resize, scores, score_type"),
        (LEAST + "scenario = 'gray-box:model=s.onnx'",
         "scenario 'gray-box:model=s.onnx': unknown parameter 'model'; it takes none"),
        (LEAST + "scenario = 'black-box:model=r.onnx,r.onnx'",
         "scenario 'black-box:model=r.onnx,r.onnx': gives the same scenario twice"),
        (LEAST + "scenario = ['black-box:model=r.onnx', 'black-box:model=r.onnx']",
         "the scenario black-box: r is given twice"),
        (LEAST + "scenario = 'black-box:model=m.onnx'",
         "scenario black-box: expected another model than the judged one, got {folder}/m.onnx"),
        (LEAST + "scenario = 'black-box:model=new/m.onnx'",
         "{folder}/new/m.onnx and {folder}/m.onnx would both be named 'm'; rename a copy of one"),
        (LEAST + "scenario = 'transfer:model=s.onnx,mean=0.1,0.2,0.3'",
         "{folder}/s.onnx: is given with different input options; give the same ones in every "
         "scenario (in a plan, write three numbers as a list)"),
        (LEAST + "scenario = 'transfer:model=s.onnx,preset=untit'",
         "scenario transfer: preset: expected one of inception-v3, mobilenet-v2, imagenet-torch, "
         "unit, got 'untit'"),
        (LEAST + "scenario = 3", "scenario: expected a string or a table, got 3"),
        (LEAST + "[[scenario]]\nmodel = 's.onnx'",
         "scenario: the key name is missing"),
        (LEAST + "[[scenario]]\nname = 'transfer'", "scenario: transfer: the key model is missing"),
        (LEAST + "[[scenario]]\nname = 'transfre'",
         f"unknown scenario 'transfre'; did you mean transfer? Known: {', '.join(SCENARIOS)}"),
        (LEAST + "[[scenario]]\nname = 'transfer'\nmodel = 's.onnx'\nfile = 't.onnx'",
         "scenario: unknown key 'file'; known: name, model, preset, "
         "input-size, mean, std, input-range, channels, layout, class-offset, class-names, "
         "resize, scores, score-type"),
        (LEAST + "[[scenario]]\nname = 'transfer'\nmodel = 7",
         "scenario: model: expected an ONNX file, got 7"),
        (LEAST + "dict = ['a.h5', 'b.h5']",
         "--dict: a dictionary without a name is given twice; write --dict NAME=b.h5"),
        (LEAST + "defense = ['median', 'median:size=3']",
         "the defense median-size=3 is given twice"),
    ],
)  # fmt: skip
def test_a_plan_is_refused(tmp_path, text, message):
    path = plan(tmp_path, text)
    if message is None:
        with pytest.raises(Exception, match=rf"{path}: unknown defense 'jpg'; did you mean jpeg\?"):
            read_plan(path)
    else:
        with refused(f"{path}: {message.format(folder=tmp_path)}"):
            read_plan(path)


def test_a_scenario_takes_every_option_of_a_models_input():
    fields = [field.name.replace("_", "-") for field in dataclasses.fields(TwoModelScenario)]
    assert fields == ["model", *INPUT_OPTIONS]


def test_a_list_of_models_gives_a_scenario_for_each():
    found = parse_scenarios(["transfer:model=a.onnx,b/b.onnx,channels=bgr"], Path("plans"))
    assert found == (
        Transfer("plans/a.onnx", channels="bgr"), Transfer("plans/b/b.onnx", channels="bgr")
    )  # fmt: skip
    assert found[1].other == ModelChoice(Path("plans/b/b.onnx"), InputOptions(channels="bgr"))
    assert found[1].as_record() == {"name": "transfer", "model": "b.onnx"}
    assert AdversarialTraining("a.onnx").other == ModelChoice(Path("a.onnx"))


def test_a_table_of_several_models_gives_a_scenario_for_each(tmp_path):
    text = LEAST + "[[scenario]]\nname = 'transfer'\nmodel = ['a.onnx', 'b.onnx']\nmean = 0.5"
    assert read_plan(plan(tmp_path, text)).scenarios == (
        Transfer(str(tmp_path / "a.onnx"), mean="0.5"),
        Transfer(str(tmp_path / "b.onnx"), mean="0.5"),
    )
