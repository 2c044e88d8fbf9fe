"""Attacks that know the defense: what they leave, and what they cost.

    python benchmarks/adaptive.py --shared ../shared --dict dict.h5 [--images 24] [--attack SPEC]

Each defense is attacked through its own bytes. The images are photographs that the model classifies
correctly by their labels; with ``--shared``, MobileNet-v2 and ``photos/``, else the embedded model
and photographs. The table has the images that are still right behind the defense (95 % interval),
CPU seconds per image on one core, gradient steps per image, and how many images fell by what. The
last line extrapolates the mean cost to 171 photographs, three defenses and four strengths on two
cores.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import measure
import numpy as np
import torch
from photographs import learned, photographs

from rsparse.attacks import Attack, parse_attack, run_attack
from rsparse.core.metrics import share_of
from rsparse.data import demo_model, demo_photos
from rsparse.defenses import Defense, Resources, parse_defense
from rsparse.defenses.resources import load_resources
from rsparse.models.onnx.classifier import Classifier, load_classifier
from rsparse.models.spec import InputOptions
from rsparse.models.torch.twin import load_twin
from rsparse.options.labels import LabelOptions
from rsparse.report.markdown_tables import table_head, table_row
from rsparse.store.images import decode_image, to_pixels, to_unit
from rsparse.store.inputs import load_inputs
from rsparse.store.labels import find_labels

DEFENSES = ("policy:default", "regionsparse:sparsity=1,localize=no", "jpeg:quality=75")
ATTACK = "adaptive:fast=yes,eps=1,2,4,8"
BATCH = 4
TARGET = 171 * len(DEFENSES) * 4  # photographs, defenses and strengths; in 15 minutes on two cores
ATOMS = 1024


def main() -> None:
    parser = measure.parser(__doc__)
    parser.add_argument("--dict", type=Path, help="dictionary; else one is learned")
    parser.add_argument("--images", type=int, default=24, help="photographs to attack")
    parser.add_argument("--attack", default=ATTACK, help="the attack's spec")
    parser.add_argument("--defense", action="append", help="a defense's spec, again for more")
    options = parser.parse_args()
    measure.pin()
    torch.set_num_threads(1)
    defenses = [parse_defense(text)[0] for text in options.defense or DEFENSES]
    classifier, x, y = _right_ones(options.shared, options.images)
    resources = _resources(defenses, options)
    print(f"{len(y)} photographs, {classifier.path.name}:\n")
    print(table_head(
        ["defense", "attack", "clean", "still right", "95 %", "CPU-s", "steps", "fell by"]
    ))  # fmt: skip
    costs = [
        cost
        for defense in defenses
        for attack in parse_attack(options.attack)
        for cost in [_print_row(classifier, defense, attack, resources, x, y)]
    ]
    minutes = np.mean(costs) * TARGET / 2 / 60
    print(f"\n{np.mean(costs):.2f} CPU-s an image: {TARGET} of them {minutes:.0f} min on two cores")


def _right_ones(shared: Path | None, count: int) -> tuple[Classifier, np.ndarray, np.ndarray]:
    """A classifier, and photographs that it gets right: float (n, h, w, 3), and their labels."""
    file = demo_model() if shared is None else shared / "models" / "mobilenet_v2_224.onnx"
    options = InputOptions() if shared is None else InputOptions(preset="mobilenet-v2")
    classifier = load_classifier(file, options).check()
    inputs = load_inputs([demo_photos("test") if shared is None else shared / "photos"])
    labels = find_labels(
        inputs, LabelOptions(), classifier.class_names, classifier.n_classes
    ).by_name
    pixels, classes = [], []
    for image in inputs.images:
        fitted = classifier.fit_to_input(decode_image(image.read(), image.path))
        if int(classifier.logits([fitted]).argmax()) == labels[image.name]:
            pixels.append(fitted)
            classes.append(labels[image.name])
        if len(pixels) == count:
            break
    return classifier, to_unit(np.stack(pixels)), np.array(classes)


def _resources(defenses: Sequence[Defense], options: argparse.Namespace) -> Resources:
    if options.dict is not None:
        return load_resources(defenses, {"": options.dict}, seed=0)[0]
    images = photographs(options.shared, 200 if options.shared else 50, "train")
    return Resources({"": learned(images, ATOMS if options.shared else 64)})


def _print_row(
    classifier: Classifier,
    defense: Defense,
    attack: Attack,
    resources: Resources,
    x: np.ndarray,
    y: np.ndarray,
) -> float:
    """Attack all photographs, print a row of the table, and return the CPU seconds an image."""
    module = attack.through(load_twin(classifier), defense, resources).eval()
    clean = int((_classes(module, x) == y).sum())
    start, notes, right = time.process_time(), [], 0
    for some in _batches(len(y)):
        result = run_attack(module, x[some], y[some], attack)
        files = to_unit(to_pixels(result.x_adv))
        assert 255 * np.abs(files - x[some]).max() <= attack.eps + 1e-3  # type: ignore[attr-defined]
        right += int((_classes(module, files) == y[some]).sum())
        notes += result.notes or []
    cost = (time.process_time() - start) / len(y)
    estimate = share_of(right, len(y))
    steps = [note.get("gradients", 0) for note in notes]
    print(table_row([
        defense.text,
        attack.as_record()["name"] + f" {attack.eps:g}",  # type: ignore[attr-defined]
        f"{clean} of {len(y)}",
        f"{right} of {len(y)}",
        f"{100 * estimate.low:.0f}–{100 * estimate.high:.0f} %",
        f"{cost:.2f}",
        f"{np.median(steps) if steps else 0:g} (mean {np.mean(steps or [0]):.1f})",
        _fell_by(notes),
    ]), flush=True)  # fmt: skip
    return cost


def _classes(module: torch.nn.Module, x: np.ndarray) -> np.ndarray:
    """The defended model's classes of images (n, h, w, 3), batch by batch."""
    images = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
    with torch.no_grad():
        logits = [module(images[some]) for some in _batches(len(x))]
    return torch.cat(logits).argmax(1).numpy()


def _batches(count: int) -> Iterator[slice]:
    for start in range(0, count, BATCH):
        yield slice(start, start + BATCH)


def _fell_by(notes: Sequence[dict[str, Any]]) -> str:
    words = (
        " ".join(str(note[key]) for key in ("by", "backward", "shape") if key in note)
        for note in notes
    )
    return "; ".join(f"{count} {word}" for word, count in Counter(words).most_common())


if __name__ == "__main__":
    main()
