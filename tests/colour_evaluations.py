"""Evaluations of the classifier in ``colours.py``: images, arguments and what they write."""

from __future__ import annotations

import csv
from pathlib import Path

from tests.colours import CLASSES, MODEL, picture, save
from tests.conftest import REPOSITORY, tree_of

DICT = REPOSITORY / "fixtures" / "dict.h5"
ATTACKS = ("-a", "fgsm:eps=2,8", "-a", "bim:eps=8")
DEFENSES = ("--defense", "regionsparse:sparsity=1", "--defense", "jpeg:quality=20")
TIMED = ("timing.json", "results.csv", "defenses.csv")
N_IMAGES = 9
LEAST = 'images = "imgs"\nmodel = "m.onnx"\nattack = "bim"\noutput = "eval"\n'


def make_images(folder: Path) -> Path:
    """Nine pictures in class subfolders; ``red/wrong`` is in the wrong subfolder."""
    for number in range(N_IMAGES - 1):
        label = number % 3
        save(folder / CLASSES[label] / f"{number:02d}.png", picture(label, 5 + 6 * number))
    save(folder / "red" / "wrong.png", picture(1, 40))
    return folder


def arguments(images: Path, output: Path, *more: object) -> tuple[object, ...]:
    return ("evaluate", images, "-m", MODEL, *ATTACKS, *DEFENSES, "-d", DICT, "-j", 1,
            "-o", output, *more)  # fmt: skip


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def untimed(folder: Path) -> dict[str, bytes]:
    return {name: content for name, content in tree_of(folder).items() if name not in TIMED}


def plan(folder: Path, text: str) -> Path:
    path = folder / "plan.toml"
    path.write_text(text, encoding="utf-8")
    return path
