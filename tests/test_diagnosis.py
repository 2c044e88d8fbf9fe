"""Hints about labels and inputs that look like a bad model, on a network with known answers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rsparse.models.diagnosis import is_better
from tests.colours import CLASSES, MODEL, picture, save

SHIFTED = (
    "labels less one fit 6 of 6 images, as given they fit 0; the first class is 0 unless "
    "--first-class 1 is given"
)
SWAPPED = (
    "channel order rgb would classify 6 of 6 images correctly, not 0; check how the model's input "
    "is prepared"
)


def pictures(folder: Path, classes: tuple[int, ...], step: int = 0) -> tuple[Path, Path]:
    """Six clear pictures that cycle through the classes, and their labels plus ``step``."""
    rows = ["file,label"]
    for number in range(6):
        label = classes[number % len(classes)]
        save(folder / "imgs" / f"{number}.png", picture(label, 30 + number))
        rows.append(f"{number}.png,{label + step}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder / "imgs", folder / "labels.csv"


def test_the_sign_test_wants_five_images_more() -> None:
    own = np.zeros(8, bool)
    for gained, better in ((4, False), (5, True)):
        assert is_better(np.arange(8) < gained, own) is better
    assert not is_better(own, own)


def test_labels_counted_from_one_are_told(run_cli, tmp_path):
    images, labels = pictures(tmp_path, (0, 1), step=1)
    classify = ("classify", images, "-m", MODEL, "--labels", labels)
    result = run_cli(*classify, "--json")
    assert json.loads(result.stdout)["hints"] == [SHIFTED]
    assert SHIFTED in " ".join(run_cli(*classify).stderr.split())


def test_nothing_is_said_of_attacked_images(run_cli, tmp_path):
    """They are wrong because of the attack, even if their labels less one fit."""
    images, labels = pictures(tmp_path, (0, 1), step=1)
    wrong = run_cli("classify", images, "-m", MODEL, "--labels", labels, "--json")
    assert json.loads(wrong.stdout)["hints"]
    attacked, cleaned = tmp_path / "adv", tmp_path / "cleaned"
    attack = ("attack", images, "-m", MODEL, "--labels", labels, "-a", "noise:eps=1")
    assert run_cli(*attack, "--all-images", "-o", attacked).exit_code == 0
    assert run_cli("purify", attacked, "--defense", "none", "-o", cleaned).exit_code == 0
    for folder in (attacked, cleaned):
        found = json.loads(run_cli("classify", folder, "-m", MODEL, "--json").stdout)
        assert found["accuracy"]["correct"] == 0
        assert found["hints"] == []


def test_the_wrong_channel_order_is_told_by_every_command(run_cli, tmp_path):
    pytest.importorskip("torch")
    images, labels = pictures(tmp_path, (0, 2))
    options = ("-m", MODEL, "--labels", labels, "--channels", "bgr")
    for command in (
        ("classify", images, *options),
        ("attack", images, *options, "-a", "noise", "--all-images", "-o", tmp_path / "adv"),
        ("evaluate", images, *options, "-a", "noise", "--all-images", "-o", tmp_path / "eval"),
    ):
        result = run_cli(*command)
        assert result.exit_code == 0, result.stderr
        assert SWAPPED in " ".join(result.stderr.split()), command[0]


def test_nothing_is_said_of_a_model_that_is_right_or_of_few_images(run_cli, tmp_path):
    images, labels = pictures(tmp_path, (0, 1))
    result = run_cli("classify", images, "-m", MODEL, "--labels", labels, "--json")
    assert json.loads(result.stdout)["hints"] == []
    for file in list(images.iterdir())[4:]:
        file.unlink()
    few = "".join(f"{file.name},{CLASSES[2]}\n" for file in images.iterdir())
    labels.write_text("file,label\n" + few.replace("blue", "2"))
    result = run_cli("classify", images, "-m", MODEL, "--labels", labels, "--json")
    assert json.loads(result.stdout)["hints"] == []


def test_labels_in_another_order_are_told(run_cli, tmp_path):
    """Not by one, and not so that another channel order would fit: 0, 1, 2 are 2, 0, 1."""
    images, labels = pictures(tmp_path, (0, 1, 2))
    rows = [f"{number}.png,{(2, 0, 1)[number % 3]}" for number in range(6)]
    labels.write_text("\n".join(["file,label", *rows, ""]))
    classify = ("classify", images, "-m", MODEL, "--labels", labels, "--json")
    [hint] = json.loads(run_cli(*classify).stdout)["hints"]
    assert hint == (
        "the labels seem to number the classes in another order: each label has its own answer "
        "for 6 of 6 images, such as 1 for label 0, but as given they fit 0 of 6; check the order "
        "of the classes"
    )
