"""``rsparse demo``: the whole pipeline on the embedded photographs and classifier.

The only module beside the command line that knows several stages; it joins them as a Makefile
would, through the artifacts that they leave in its folder.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsparse.commands.show import read_record
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
from rsparse.store.files import read_bytes, write_atomic
from rsparse.store.folders import MANIFEST
from rsparse.store.images import Pixels, decode_image, encode_png
from rsparse.store.job import outdated
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

    A step whose artifact is there already is passed over, so that an interrupted demo goes on
    where it stopped; ``overwrite`` does all of it anew.

    Returns
    -------
    dict of str to Estimate
        For each set of photographs the share that the classifier gets right.

    Raises
    ------
    InputError
        If the folder cannot be written, holds something else, or holds what another method made.
    """
    _make_artifacts(output, jobs, overwrite, progress)
    predictions = {name: _read_csv(output / f"pred-{name}.csv") for name in SETS.values()}
    write_atomic(output / "contact-sheet.png", encode_png(_draw_sheet(output, predictions)))
    right = {name: [_is_right(row) for row in rows.values()] for name, rows in predictions.items()}
    return {title: share_of(sum(right[name]), len(right[name])) for title, name in SETS.items()}


def _make_artifacts(output: Path, jobs: int, overwrite: bool, progress: Progress) -> None:
    from rsparse.attacks import parse_attack
    from rsparse.commands.activations import measure_activations
    from rsparse.commands.attack.attack import attack_images
    from rsparse.commands.attention import explain_images
    from rsparse.commands.classify import classify_images
    from rsparse.commands.learn_dict import learn_dict
    from rsparse.commands.localize import localize_images
    from rsparse.commands.purify import purify_images
    from rsparse.defenses import RegionSparse

    def make(name: str, stage: Callable[[Path], object]) -> None:
        place = output / name
        if not overwrite and (place.is_file() or (place / MANIFEST).exists()):
            _refuse_outdated(place)
        else:
            stage(place)

    model, dictionary = demo_model(), output / "dict.h5"
    benign, adv = demo_photos("test"), output / "adv"
    shown: dict[str, Any] = {"overwrite": overwrite, "progress": progress}
    make(
        "dict.h5",
        lambda place: learn_dict(
            [demo_photos("train")],
            place,
            LearnParameters(),
            preview=output / "dict.png",
            workers=LocalWorkers(jobs),
            **shown,
        ),
    )
    make(
        "adv",
        lambda place: attack_images(
            [benign], model, parse_attack(ATTACK), place, AttackRunParameters(), **shown
        ),
    )
    make("masks", lambda place: localize_images([adv], place, LocalizeParameters(), **shown))

    def purify(source: Path, name: str) -> None:
        make(
            name,
            lambda place: purify_images(
                [source],
                RegionSparse(sparsity=SPARSITY),
                place,
                dictionaries={"": dictionary},
                workers=LocalWorkers(jobs),
                **shown,
            ),
        )

    def explain(source: Path, name: str) -> None:
        make(
            f"pred-{name}.csv",
            lambda place: classify_images([source], model, place, ClassifyParameters(), **shown),
        )
        make(
            f"attention-{name}",
            lambda place: explain_images([source], model, place, AttentionParameters(), **shown),
        )

    purify(benign, "benign-purified")
    purify(adv, "adv-purified")
    for name in SETS.values():
        explain(benign if name == "benign" else output / name, name)
    make(
        "activations.h5",
        lambda place: measure_activations(
            benign,
            adv,
            model,
            place,
            ActivationParameters(),
            plot=output / "activations.png",
            **shown,
        ),
    )


def _refuse_outdated(place: Path) -> None:
    """See that an artifact, and all that it was made from, is of the methods of now."""
    method = outdated(read_record(place))
    if method is not None:
        raise InputError(f"{place}: was made by {method}; --overwrite does all of the demo again")


def _read_csv(path: Path) -> dict[str, dict[str, str]]:
    lines = read_bytes(path).decode().splitlines()
    return {row["name"]: row for row in csv.DictReader(lines)}


def _is_right(row: dict[str, str]) -> bool:
    return row["label"] == row["class_1"]


def _draw_sheet(output: Path, predictions: dict[str, dict[str, dict[str, str]]]) -> Pixels:
    """One row a photograph, one class after the other, from the attack to its undoing."""
    fooled = [
        name
        for name, row in predictions["adv"].items()
        if _is_right(predictions["benign"][name]) and not _is_right(row)
    ]
    first = {name.split("/")[0]: name for name in sorted(fooled, reverse=True)}
    rows = [_row(output, name, predictions) for _, name in sorted(first.items())[:MAX_ROWS]]
    return contact_sheet(
        f"RegionSparse against {ATTACK}, on photographs that the classifier has not seen",
        [
            "Each row, from left to right: a photograph, what the attack made of it, what it "
            "added, the object region, the purified picture, and where the classifier looks.",
            "Under each picture the class that the classifier sees and its probability: blue "
            "frame right, orange frame wrong.",
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
    difference = np.clip(128 + 10 * (adv.astype(int) - benign), 0, 255).astype(np.uint8)
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
