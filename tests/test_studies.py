"""Complete runs of the studies on small inputs."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from rsparse.defenses import parse_defense
from rsparse.options.train import TrainParameters
from rsparse.store.images import decode_image, encode_png
from rsparse.work.device import Device
from tests.conftest import REPOSITORY, make_picture


@pytest.fixture
def photographs(tmp_path) -> Path:
    """A folder like ``../shared``: training pictures labelled by colour, and a classifier."""
    shared = tmp_path / "shared"
    (shared / "train").mkdir(parents=True)
    (shared / "models").mkdir()
    shutil.copy(REPOSITORY / "fixtures" / "colours.onnx", shared / "models" / "colours.onnx")
    rows = ["file,label"]
    for number in range(10):
        pixels = make_picture(number, 40, 44) // 2
        pixels[..., number % 3] += 60
        (shared / "train" / f"{number}.png").write_bytes(encode_png(pixels))
        rows.append(f"{number}.png,{number % 3}")
    (shared / "train" / "labels.csv").write_text("\n".join(rows) + "\n")
    return shared


@pytest.fixture
def toy(monkeypatch, tmp_path):
    """The trainings module, with small trainings of a base model "toy", and a work folder."""
    pytest.importorskip("torch")
    from studies import plans, recipes, trainings

    purified = ("jpeg:quality=40",)
    attacked = (
        recipes.Attacked("fgsm:eps=8", "regionsparse:sparsity=1"),
        recipes.Attacked("bim:eps=4", "jpeg:quality=60"),
    )
    made = {
        name: recipes.Training(
            TrainParameters(train_on=on, distill=True, epochs=2, patience=None), purified, attacked
        )
        for name, on in ((recipes.RETRAINED, "purified"), (recipes.ADVERSARIAL, "both"))
    }
    monkeypatch.setitem(plans.MODELS, "toy", ("colours.onnx", "unit"))
    monkeypatch.setattr(trainings, "TRAININGS", {"toy": made})
    monkeypatch.setitem(trainings.BASES, "trained-toy", "toy")
    work = tmp_path / "work"
    work.mkdir()
    for name in ("dict.h5", "dict-wide.h5", "dict-coarse.h5"):
        shutil.copy(REPOSITORY / "fixtures" / "dict.h5", work / name)
    return trainings, work


def test_a_base_s_classifiers_are_made_once_and_judged(toy, photographs):
    from studies.hardware import Computer

    trainings, work = toy
    computer = Computer(1, "cpu")
    assert not trainings.are_made("toy", work, computer)
    paths = trainings.make("toy", photographs, work, computer)
    assert [path.relative_to(work).as_posix() for path in paths] == [
        "models/toy-retrained.onnx", "models/toy-adversarial.onnx",
    ]  # fmt: skip
    assert trainings.are_made("toy", work, computer)
    written = {path: path.stat().st_mtime_ns for path in work.rglob("*") if path.is_file()}
    trainings.make("toy", photographs, work, computer)
    assert written == {path: path.stat().st_mtime_ns for path in written}

    assert paths[0].with_suffix(".png").exists()
    figures = trainings.all_figures(work)["toy"]["retrained"]
    assert json.loads(paths[0].with_suffix(".json").read_text()) == figures._asdict()
    assert (figures.images, figures.epochs) == (9, 2)
    assert figures.wall_seconds_an_epoch >= 0
    assert (figures.device.endswith(", 1 cores"), figures.is_on_gpu) == (True, False)

    (photographs / "photos").mkdir()
    plan = trainings.plan("trained-toy", photographs, work, computer)
    assert (plan.output, plan.model.path.name) == (work / "trained-toy", "colours.onnx")
    others = [scenario.other.path for scenario in plan.scenarios if scenario.other is not None]
    assert others == [paths[0], paths[0], paths[1], paths[1]]


def test_a_base_can_be_retrained_alone_and_judged_by_less(toy, photographs, monkeypatch):
    from studies.hardware import Computer

    trainings, work = toy
    (photographs / "photos").mkdir()
    monkeypatch.setitem(trainings.LESS, "toy", {"attacks": ("bim:eps=2,14",), "checks": False})
    monkeypatch.setitem(trainings.LEAST, "toy", {"attacks": ("bim:eps=14",), "limit": 7})
    computer = Computer(1, "cpu")
    assert trainings.names_of("toy", computer) == ("retrained",)
    plan = trainings.plan("trained-toy", photographs, work, computer)
    assert [scenario.name for scenario in plan.scenarios] == [
        "gray-box", "black-box", "extended-gray-box",
    ]  # fmt: skip
    assert len(plan.attacks) == 1
    assert (plan.parameters.max_images, plan.parameters.extra_checks) == (7, False)

    monkeypatch.setattr(Computer, "is_on_gpu", True)
    assert trainings.names_of("toy", computer) == ("retrained", "adversarial")
    plan = trainings.plan("trained-toy", photographs, work, computer)
    assert [s.name for s in plan.scenarios[3:]] == [
        "adversarial-training", "adversarial-training-black-box",
    ]  # fmt: skip
    assert (len(plan.attacks), plan.parameters.max_images, plan.parameters.extra_checks) == (
        2,
        None,
        False,
    )


def test_a_classifier_made_otherwise_is_not_taken_for_one(toy, photographs, monkeypatch):
    from studies.hardware import Computer

    trainings, work = toy
    computer = Computer(1, "cpu")
    (path, _) = trainings.make("toy", photographs, work, computer)
    made = trainings.TRAININGS["toy"]
    first = made["retrained"]
    stronger = replace(first.parameters, learning_rate=0.1)
    others = [
        first._replace(parameters=stronger),
        first._replace(purified=("jpeg:quality=50",)),
        first._replace(attacked=first.attacked[:1]),
    ]
    for other in others:
        monkeypatch.setattr(trainings, "TRAININGS", {"toy": {**made, "retrained": other}})
        with pytest.raises(SystemExit, match="toy-retrained.onnx: was not made as trainings.py"):
            trainings.make("toy", photographs, work, computer)
    monkeypatch.setattr(trainings, "TRAININGS", {"toy": made})
    path.with_suffix(".json").unlink()
    with pytest.raises(SystemExit, match="was not made as"):
        trainings.make("toy", photographs, work, computer)
    path.unlink()
    path.with_suffix(".png").unlink()
    trainings.make("toy", photographs, work, computer)
    assert trainings.are_made("toy", work, computer)


def test_what_another_dictionary_purified_is_made_anew(toy, photographs, dict_file):
    from studies.hardware import Computer

    trainings, work = toy
    computer = Computer(1, "cpu")
    attacked = trainings.TRAININGS["toy"]["retrained"].attacked
    assert [parse_defense(a.defense)[0].dictionaries for a in attacked] == [("",), ()]
    made = trainings.purified_attacks("toy", attacked, photographs, work, computer)
    before = [(folder / "0.png").read_bytes() for folder in made]
    written = (made[1] / "0.png").stat().st_mtime_ns
    shutil.copy(dict_file, work / "dict.h5")
    assert trainings.purified_attacks("toy", attacked, photographs, work, computer) == made
    after = [(folder / "0.png").read_bytes() for folder in made]
    assert [old == new for old, new in zip(before, after, strict=True)] == [False, True]
    assert (made[1] / "0.png").stat().st_mtime_ns == written


def test_training_images_are_all_purified_at_the_model_s_input_size(toy, photographs):
    from studies.hardware import Computer

    trainings, work = toy
    trainings.make("toy", photographs, work, Computer(1, "cpu"))
    folders = (
        "attacked-train/toy/fgsm-eps=8", "attacked-train/toy/bim-eps=4",
        "purified-attacked/toy/regionsparse-sparsity=1/fgsm-eps=8",
        "purified-attacked/toy/jpeg-quality=60/bim-eps=4",
        "purified/toy/jpeg-quality=40",
    )  # fmt: skip
    for folder in folders:
        images = sorted((work / folder).glob("*.png"))
        assert len(images) == 10, folder
        assert {decode_image(i.read_bytes(), i).shape for i in images} == {(16, 16, 3)}, folder


def test_an_epoch_is_timed_with_and_without_attacks(toy, photographs, monkeypatch):
    from studies import epoch
    from studies.hardware import Computer

    monkeypatch.setattr(epoch, "TRAININGS", toy[0].TRAININGS)
    rows = [
        epoch._row(shown, "toy", photographs, toy[1], 1, Computer(1, "cpu"))
        for shown in epoch.SHOWN
    ]
    assert [row[:3] for row in rows] == [
        ["purified", "9", "2"], ["purified; attacked, then purified", "9", "3"],
    ]  # fmt: skip
    assert all(float(seconds) >= 0 for row in rows for seconds in row[3:])


def test_the_clock_counts_epochs_alone(monkeypatch):
    from rsparse.work.progress import SILENT
    from studies.hardware import EpochClock

    now = iter([(0, 0), (50, 60), (51, 61), (52, 64), (54, 66), (56, 72), (58, 80)])
    monkeypatch.setattr(EpochClock, "_now", lambda self: next(now))
    clock = EpochClock(SILENT)
    clock.start("validate", 1)
    clock.advance()
    clock.start("epoch 1 of 2", 1)
    clock.advance()
    clock.describe("epoch 1 of 2: loss 1.000, accuracy 0 %")
    clock.advance()
    clock.start("epoch 2 of 2", 1)
    clock.advance()
    clock.advance()
    assert clock.an_epoch() == ((58 - 51) / 2, (80 - 61) / 2)


def test_a_gpu_is_called_by_its_name(monkeypatch):
    torch = pytest.importorskip("torch")
    from studies import hardware
    from studies.hardware import Computer

    chosen = {"auto": Device("cuda"), "cpu": Device()}
    monkeypatch.setattr(hardware, "choose_device", lambda name, for_gradients: chosen[name])
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"NVIDIA H200 as {device}")
    computer = Computer(2, "auto")
    assert (computer.name, computer.is_on_gpu) == ("NVIDIA H200 as cuda", True)
    assert Computer(2, "cpu").is_on_gpu is False


def test_a_dry_run_tells_which_classifiers_are_missing(monkeypatch, tmp_path, capsys):
    pytest.importorskip("torch")
    from studies import results

    folders = ("--shared", tmp_path / "shared", "--work", tmp_path / "work")
    words = (
        "results.py",
        *folders,
        "--only",
        "retrained-mobilenet-v2",
        "retrained-inception-v3",
        "--dry-run",
    )
    monkeypatch.setattr(sys, "argv", [str(word) for word in words])
    assert results.main() == 0
    assert capsys.readouterr().err.splitlines() == [
        "retrained-mobilenet-v2: its classifiers have not been trained yet",
        "retrained-inception-v3: its classifiers have not been trained yet",
        "all: about 0 min",
    ]
    assert not any(tmp_path.iterdir())


def test_trainings_run_only_where_they_are_named(monkeypatch):
    pytest.importorskip("torch")
    from studies import results

    monkeypatch.setattr(sys, "argv", ["results.py", "--shared", "shared", "--work", "work"])
    assert set(results.PLANS) - set(results._options().only) == {
        "retrained-mobilenet-v2",
        "retrained-inception-v3",
    }


def test_the_classifiers_are_judged_into_a_table(toy, photographs, monkeypatch, tmp_path):
    from rsparse.models.spec import InputOptions
    from studies import top1
    from studies.tables import read_rows

    (photographs / "train").rename(photographs / "photos")
    monkeypatch.setattr(top1, "MODELS", {"colours.onnx": InputOptions(preset="unit")})
    monkeypatch.setattr(top1, "DOCS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["top1", "--shared", str(photographs)])
    top1.main()
    (row,) = read_rows(tmp_path / "results" / "classifiers.csv")
    assert list(row) == ["model", "top1", "low", "high", "top5", "milliseconds"]
    assert float(row["low"]) <= float(row["top1"]) <= float(row["high"])
    assert row["top5"] == "100.0"  # there are only three classes


def test_activation_is_told_in_groups_of_layers(toy, photographs, monkeypatch, tmp_path):
    from studies import inception_activations as study
    from studies.plans import model

    monkeypatch.setattr(study, "STRIPS", ("pool",))
    folders = dict.fromkeys(("benign", "bim", "fgsm", "bim purified"), photographs / "train")
    subject = study.Subject(photographs, tmp_path, model(photographs, "toy"))
    found = study._ratios(subject, 0.0, folders)
    assert list(found) == ["benign", "bim", "fgsm", "bim purified"]
    assert set(found["bim"]) == {"conv 1-1", "pool"}
    assert {value for row in found.values() for value in row.values()} == {"1.00"}
