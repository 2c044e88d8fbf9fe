"""``rsparse demo``: the whole pipeline on the embedded photographs and classifier.

It runs the other stages in order, as a Makefile would; they exchange artifacts in its folder.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsparse.attacks.backend import require_foolbox
from rsparse.commands.show import read_record
from rsparse.core.change import amplified_difference
from rsparse.core.localization import draw_outline
from rsparse.core.metrics import Estimate, share_of
from rsparse.data import demo_model, demo_photos
from rsparse.errors import InputError
from rsparse.options.activations import ActivationParameters
from rsparse.options.attack import AttackRunParameters
from rsparse.options.attention import AttentionParameters
from rsparse.options.classify import ClassifyParameters
from rsparse.options.learn_dict import LearnParameters
from rsparse.options.localize import LocalizeParameters
from rsparse.pictures.sheet import Cell, contact_sheet
from rsparse.store.csv_text import name_of
from rsparse.store.files import read_bytes, write_atomic
from rsparse.store.folders import is_finished
from rsparse.store.images import Pixels, decode_image, encode_png
from rsparse.store.job import outdated
from rsparse.store.sole_writer import sole_writer
from rsparse.work.progress import SILENT, Progress
from rsparse.work.workers import LocalWorkers

ATTACK = "bim:eps=8"
SPARSITY = 2  # the paper's form, not a policy: the sheet shows its object region
SETS = {
    "benign": "benign",
    "purified benign": "benign-purified",
    "attacked": "adv",
    "purified attacked": "adv-purified",
}
MAX_ROWS = 8


def run_demo(
    output: Path, *, jobs: int = 0, overwrite: bool = False, progress: Progress = SILENT
) -> dict[str, Estimate]:
    """Learn a dictionary, attack, purify, classify and explain; draw ``contact-sheet.png``.

    A step whose artifact already exists is skipped, so an interrupted demo can be resumed;
    ``overwrite`` runs all steps again.

    Returns
    -------
    dict of str to Estimate
        The accuracy on each set of photographs.

    Raises
    ------
    InputError
        If the extra for attacks is not installed, or the folder cannot be written, contains other
        files, or contains an artifact of an outdated method.
    """
    require_foolbox()
    with sole_writer(output):
        _Pipeline(output, LocalWorkers(jobs), overwrite, progress).run()
        predictions = {name: _read_csv(output / f"pred-{name}.csv") for name in SETS.values()}
        write_atomic(output / "contact-sheet.png", encode_png(_draw_sheet(output, predictions)))
    right = {name: [_is_right(row) for row in rows.values()] for name, rows in predictions.items()}
    return {title: share_of(sum(right[name]), len(right[name])) for title, name in SETS.items()}


@dataclass(frozen=True)
class _Pipeline:
    """Runs the steps of the demo whose artifacts do not exist yet."""

    output: Path
    workers: LocalWorkers
    overwrite: bool
    progress: Progress

    def run(self) -> None:
        """Run all steps in order."""
        benign, adv = demo_photos("test"), self.output / "adv"
        self._learn()
        self._attack(benign)
        self._localize(adv)
        self._purify(benign, "benign-purified")
        self._purify(adv, "adv-purified")
        for name in SETS.values():
            self._classify_and_explain(benign if name == "benign" else self.output / name, name)
        self._measure(benign, adv)

    def _make(self, name: str, stage: Callable[[Path], object]) -> None:
        place = self.output / name
        if not self.overwrite and (place.is_file() or is_finished(place)):
            _refuse_outdated(place)
        else:
            stage(place)

    @property
    def _options(self) -> dict[str, Any]:
        """The options of every stage."""
        return {"overwrite": self.overwrite, "progress": self.progress}

    def _learn(self) -> None:
        from rsparse.commands.learn_dict import learn_dict

        photos, preview = [demo_photos("train")], self.output / "dict.png"
        options = {**self._options, "preview": preview, "workers": self.workers}
        self._make("dict.h5", lambda place: learn_dict(photos, place, LearnParameters(), **options))

    def _attack(self, benign: Path) -> None:
        from rsparse.attacks import parse_attack
        from rsparse.commands.attack.attack import attack_images

        attacks, parameters = parse_attack(ATTACK), AttackRunParameters(only_correct=False)
        self._make(
            "adv",
            lambda place: attack_images(
                [benign], demo_model(), attacks, place, parameters, **self._options
            ),
        )

    def _localize(self, adv: Path) -> None:
        from rsparse.commands.localize import localize_images

        parameters = LocalizeParameters()
        self._make(
            "masks", lambda place: localize_images([adv], place, parameters, **self._options)
        )

    def _purify(self, source: Path, name: str) -> None:
        from rsparse.commands.purify import purify_images
        from rsparse.defenses import RegionSparse

        defense, dictionaries = RegionSparse(sparsity=SPARSITY), {"": self.output / "dict.h5"}
        options = {**self._options, "dictionaries": dictionaries, "workers": self.workers}
        self._make(name, lambda place: purify_images([source], defense, place, **options))

    def _classify_and_explain(self, source: Path, name: str) -> None:
        from rsparse.commands.attention import explain_images
        from rsparse.commands.classify import classify_images

        self._make(
            f"pred-{name}.csv",
            lambda place: classify_images(
                [source], demo_model(), place, ClassifyParameters(), **self._options
            ),
        )
        self._make(
            f"attention-{name}",
            lambda place: explain_images(
                [source], demo_model(), place, AttentionParameters(), **self._options
            ),
        )

    def _measure(self, benign: Path, adv: Path) -> None:
        from rsparse.commands.activations import measure_activations

        options = {**self._options, "plot": self.output / "activations.png"}
        self._make(
            "activations.h5",
            lambda place: measure_activations(
                benign, adv, demo_model(), place, ActivationParameters(), **options
            ),
        )


def _refuse_outdated(place: Path) -> None:
    """Check that the methods of an artifact and of all its inputs are current."""
    method = outdated(read_record(place))
    if method is not None:
        raise InputError(f"{place}: was made by {method}; pass --overwrite to run the demo again")


def _read_csv(path: Path) -> dict[str, dict[str, str]]:
    lines = read_bytes(path).decode().splitlines()
    return {name_of(row["name"]): row for row in csv.DictReader(lines)}


def _is_right(row: dict[str, str]) -> bool:
    return row["label"] == row["class_1"]


def _draw_sheet(output: Path, predictions: dict[str, dict[str, dict[str, str]]]) -> Pixels:
    """Draw one row per class: a photograph before the attack, attacked, and purified."""
    fooled = [
        name
        for name, row in predictions["adv"].items()
        if _is_right(predictions["benign"][name]) and not _is_right(row)
    ]
    first = {name.split("/")[0]: name for name in sorted(fooled, reverse=True)}
    rows = [_row(output, name, predictions) for _, name in sorted(first.items())[:MAX_ROWS]]
    return contact_sheet(
        f"RegionSparse against {ATTACK}, on photographs that the classifier was not trained on",
        [
            "Each row, from left to right: a photograph, the attacked photograph, the difference, "
            "the object region, the purified photograph, and where the classifier looks.",
            "Under each picture: the predicted class and its probability. A blue frame is right, "
            "an orange frame wrong.",
        ],
        [
            "benign",
            "attacked",
            "difference × 10",
            "object region",
            "purified",
            "attention:\nbenign",
            "attention:\nattacked",
            "attention:\npurified",
        ],
        rows,
    )


def _row(output: Path, name: str, predictions: dict[str, dict[str, dict[str, str]]]) -> list[Cell]:
    benign = _picture(demo_photos("test"), name)
    adv, purified = _picture(output / "adv", name), _picture(output / "adv-purified", name)
    mask = _picture(output / "masks", name)[:, :, 0] > 127
    difference = amplified_difference(benign, adv)
    linf = int(np.abs(adv.astype(int) - benign).max())
    cells = [
        _cell(benign, predictions["benign"][name]),
        _cell(adv, predictions["adv"][name]),
        Cell(difference, f"at most {linf} grey levels"),
        Cell(draw_outline(adv, mask), f"{mask.mean():.0%} of the image"),
        _cell(purified, predictions["adv-purified"][name]),
    ]
    for key in ("benign", "adv", "adv-purified"):
        picture = _picture(output / f"attention-{key}", name)
        row = predictions[key][name]
        cells.append(Cell(picture, f"for {row['class_name_1']}", _is_right(row)))
    return cells


def _cell(pixels: NDArray[np.uint8], row: dict[str, str]) -> Cell:
    caption = f"{row['class_name_1']} {float(row['probability_1']):.0%}"
    return Cell(pixels, caption, _is_right(row))


def _picture(folder: Path, name: str) -> Pixels:
    path = folder / f"{name}.png"
    return decode_image(read_bytes(path), path)
