"""Accuracy of a classifier on attacked photographs, without a defense and purified.

A gray-box judgement as in the paper's Section V-D: the attacker knows the classifier and not the
defense. Only photographs that the classifier gets right are attacked, as the paper does. Every
number comes from artifacts in the work folder; an interrupted run goes on where it stopped.

    python benchmarks/gray_box.py --shared ../shared --work bench-work/gray-box --photos 100

Prints two Markdown tables: top-1 accuracy in per cent, and wall time of each stage.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from rsparse.attacks import attack_text, parse_attack
from rsparse.defenses import RegionSparse
from rsparse.images import decode_image, encode_png
from rsparse.models.onnx_classifier import load_classifier
from rsparse.models.spec import SpecOptions
from rsparse.parameters import (
    AttackRunParameters,
    ClassifyParameters,
    LearnParameters,
)
from rsparse.stages.attack import attack_images
from rsparse.stages.classify import classify_images
from rsparse.stages.learn_dict import learn_dict
from rsparse.stages.purify import purify_images
from rsparse.store.files import write_atomic
from rsparse.store.folders import MANIFEST

ATTACKS = ("fgsm:eps=2,10,22", "bim:eps=2,10,22", "mi-fgsm:d=0.01,0.05,0.1")
CW = "cw-l2:d=0.01,0.05,0.1"
MODELS = {
    "mobilenet-v2": ("mobilenet_v2_224.onnx", SpecOptions(preset="mobilenet-v2")),
    "inception-v3": ("inception_v3_299.onnx", SpecOptions(preset="inception-v3")),
}
WHOLE = replace(RegionSparse(), localize=False)
DEFENSES: dict[str, RegionSparse | None] = {
    "none": None,
    "RegionSparse (default)": RegionSparse(),
    "whole image, K=1": replace(WHOLE, sparsity=1),
    "whole image, K=2": replace(WHOLE, sparsity=2),
    "whole image, K=4": replace(WHOLE, sparsity=4),
}


class Clock:
    """Wall time spent in each stage, with the number of images that it did."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, int, float]] = []

    def run(self, name: str, stage: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        outcome = stage()
        self.rows.append((name, outcome.done, time.perf_counter() - start))
        return outcome


def main() -> None:
    options = _options()
    model, wants = MODELS[options.model]
    model_path = options.shared / "models" / model
    clock = Clock()
    work: Path = options.work
    dictionary = work / "dict.h5"
    if not dictionary.exists():
        clock.run("learn-dict", lambda: learn_dict(
            [options.shared / "train"], dictionary, LearnParameters(n_atoms=options.atoms),
        ))  # fmt: skip
    clean = _chosen_photos(options, model_path, wants, clock)
    columns = _attack(options, model_path, wants, clean, clock)
    table = {
        name: _judge(work, name, defense, columns, model_path, wants, clock)
        for name, defense in DEFENSES.items()
    }
    print(f"{options.model}, {len(list(clean.iterdir()))} photographs that it gets right\n")
    _print_accuracy(table)
    _print_times(clock)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True, help="photographs and models")
    parser.add_argument("--work", type=Path, required=True, help="folder for the artifacts")
    parser.add_argument("--model", choices=sorted(MODELS), default="mobilenet-v2")
    parser.add_argument("--photos", type=int, default=100, help="correctly classified ones")
    parser.add_argument("--atoms", type=int, default=LearnParameters().n_atoms)
    parser.add_argument("--cw-steps", type=int, default=100, help="0 leaves CW-L2 out")
    return parser.parse_args()


def _chosen_photos(
    options: argparse.Namespace, model: Path, wants: SpecOptions, clock: Clock
) -> Path:
    """A folder of the first photographs that the classifier gets right, at its input size."""
    photos, chosen = options.shared / "photos", options.work / "clean"
    labels = photos / "labels.csv"
    outcome = clock.run("classify", lambda: classify_images(
        [photos], model, None, ClassifyParameters(), wants, labels=labels
    ))  # fmt: skip
    classifier = load_classifier(model, wants)
    rows = ["file,label\n"]
    for row in [row for row in outcome.predictions if row.is_correct][: options.photos]:
        path = photos / f"{row.name}.png"
        fitted = classifier.fit_to_input(decode_image(path.read_bytes(), path))
        write_atomic(chosen / f"{row.name}.png", encode_png(fitted))
        rows.append(f"{row.name}.png,{row.label}\n")
    write_atomic(options.work / "labels.csv", "".join(rows).encode())
    return chosen


def _attack(
    options: argparse.Namespace, model: Path, wants: SpecOptions, clean: Path, clock: Clock
) -> dict[str, Path]:
    """Folders by column: the photographs themselves, then one for each attack."""
    specs = [*ATTACKS, *([f"{CW},steps={options.cw_steps}"] if options.cw_steps else [])]
    columns = {"clean": clean}
    for spec in specs:
        attacks = parse_attack(spec)
        places = {attack_text(attack): options.work / "adv" / attack_text(attack)
                  for attack in attacks}  # fmt: skip
        if not all((place / MANIFEST).exists() for place in places.values()):
            clock.run(f"attack {attacks[0].name}", lambda a=attacks: attack_images(
                [clean], model, a, options.work / "adv", AttackRunParameters(), wants,
                labels=options.work / "labels.csv",
            ))  # fmt: skip
        columns |= places
    return columns


def _judge(
    work: Path,
    name: str,
    defense: RegionSparse | None,
    columns: dict[str, Path],
    model: Path,
    wants: SpecOptions,
    clock: Clock,
) -> dict[str, float]:
    """Accuracy by column under one defense."""
    accuracies = {}
    for column, folder in columns.items():
        judged = folder
        if defense is not None:
            judged = work / "purified" / name.replace(" ", "-") / column
            if not (judged / MANIFEST).exists():
                clock.run(f"purify, {name}", lambda i=folder, p=judged: purify_images(
                    [i], defense, p, dictionaries={"": work / "dict.h5"}
                ))  # fmt: skip
        outcome = clock.run("classify", lambda j=judged: classify_images(
            [j], model, None, ClassifyParameters(), wants, labels=work / "labels.csv"
        ))  # fmt: skip
        accuracies[column] = outcome.n_correct / outcome.n_labelled
    return accuracies


def _print_accuracy(table: dict[str, dict[str, float]]) -> None:
    columns = list(next(iter(table.values())))
    print("| top-1, % |", " | ".join(columns), "| mean of attacked |")
    print("|---" * (len(columns) + 2) + "|")
    for name, row in table.items():
        attacked = [value for column, value in row.items() if column != "clean"]
        mean = sum(attacked) / len(attacked)
        cells = [f"{100 * value:.0f}" for value in row.values()]
        print(f"| {name} |", " | ".join(cells), f"| {100 * mean:.1f} |")
    print()


def _print_times(clock: Clock) -> None:
    totals: dict[str, tuple[int, float]] = {}
    for name, images, seconds in clock.rows:
        done, spent = totals.get(name, (0, 0.0))
        totals[name] = (done + images, spent + seconds)
    print("| stage | images | seconds | ms an image |")
    print("|---|---|---|---|")
    for name, (images, seconds) in totals.items():
        each = 1000 * seconds / max(images, 1)
        print(f"| {name} | {images} | {seconds:.1f} | {each:.0f} |")


if __name__ == "__main__":
    main()
