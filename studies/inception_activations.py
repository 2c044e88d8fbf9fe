"""The paper's Fig. 1 and Section III on Inception-v3: activation of attacked photographs by depth.

This module attacks photographs that the network gets right, measures eq. (7) in every layer, and
purifies the attacked photographs to test whether the activation returns to normal.

    python -m studies.inception_activations --shared ../shared --work bench-work/inception

It writes V_l(adversarial) / V_l(benign), averaged over groups of convolutions, to
docs/results/activations.csv, ``act-*.png`` and the attention panels ``cams/`` to the work folder,
and one of each to docs/pictures/.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from rsparse.attacks import parse_attack
from rsparse.commands.activations import measure_activations
from rsparse.commands.attack.attack import attack_images
from rsparse.commands.attention import explain_images
from rsparse.commands.classify import classify_images
from rsparse.commands.learn_dict import learn_dict
from rsparse.commands.purify import purify_images
from rsparse.defenses import RegionSparse
from rsparse.evaluation.model_choice import ModelChoice
from rsparse.options.activations import ActivationParameters
from rsparse.options.attack import AttackRunParameters
from rsparse.options.attention import AttentionParameters
from rsparse.options.classify import ClassifyParameters
from rsparse.options.labels import LabelOptions
from rsparse.options.learn_dict import LearnParameters
from rsparse.store.folders import MANIFEST
from rsparse.store.inputs import load_inputs
from studies.pages import DOCS
from studies.plans import model
from studies.tables import Row, write_rows

STRIPS = ("conv_2", "mixed_1", "pool_3")
SHOWN = "04546cc5e537d7cd"  # the photograph of docs/pictures/inception-attention.jpg
GROUP = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True, help="photographs and models")
    parser.add_argument("--work", type=Path, required=True, help="folder for the artifacts")
    parser.add_argument("--photos", type=int, default=12, help="correctly classified ones")
    parser.add_argument("--gamma", type=float, default=0.0)
    options = parser.parse_args()
    subject = Subject(options.shared, options.work, model(options.shared, "inception-v3"))
    rows = measured(subject, options.photos, options.gamma)
    write_rows(DOCS / "results" / "activations.csv", rows)
    pictures = DOCS / "pictures"
    shutil.copy(options.work / "act-bim.png", pictures / "inception-activations.png")
    with Image.open(options.work / "cams" / f"{SHOWN}.png") as panel:
        panel.convert("RGB").save(pictures / "inception-attention.jpg", quality=88)


class Subject(NamedTuple):
    """The photographs, the work folder and the classifier of a run."""

    shared: Path
    work: Path
    model: ModelChoice


def measured(subject: Subject, photos: int, gamma: float) -> list[Row]:
    """Attack, purify, classify and measure the photographs; also draw their attention panels."""
    folders = _folders(subject, photos)
    right = {}
    for name, folder in folders.items():
        outcome = classify_images(
            [folder],
            subject.model.path,
            None,
            ClassifyParameters(),
            subject.model.input_options,
            labels=LabelOptions(subject.work / "labels.csv"),
        )
        right[name] = {"right": str(outcome.n_correct), "photographs": str(outcome.n_labelled)}
    rows = [
        {"images": name, **right[name], **cells}
        for name, cells in _ratios(subject, gamma, folders).items()
    ]
    shown = [folders[name] for name in ("benign", "bim", "bim purified")]
    explain_images(
        shown, subject.model.path, subject.work / "cams", AttentionParameters(),
        subject.model.input_options, overwrite=True,
    )  # fmt: skip
    return rows


def _folders(subject: Subject, photos: int) -> dict[str, Path]:
    """The benign, attacked and purified photographs; missing ones are made."""
    work = subject.work
    folders = {"benign": _benign(subject, photos)}
    for spec in ("bim:eps=8", "fgsm:eps=8"):
        folders[spec.split(":")[0]] = place = work / spec.split(":")[0]
        if not (place / MANIFEST).exists():
            attack_images(
                [folders["benign"]], subject.model.path, parse_attack(spec), place,
                AttackRunParameters(only_correct=False), subject.model.input_options,
                labels=LabelOptions(work / "labels.csv"),
            )  # fmt: skip
    if not (work / "dict.h5").exists():
        learn_dict([subject.shared / "train"], work / "dict.h5", LearnParameters())
    folders["bim purified"] = purified = work / "bim-purified"
    if not (purified / MANIFEST).exists():
        purify_images(
            [folders["bim"]],
            RegionSparse(sparsity=2),
            purified,
            dictionaries={"": work / "dict.h5"},
        )
    return folders


def _benign(subject: Subject, n: int) -> Path:
    """A folder of the first photographs that the network gets right, and their labels."""
    photos, chosen = subject.shared / "photos", subject.work / "benign"
    labels = subject.work / "labels.csv"
    if labels.exists():
        return chosen
    outcome = classify_images(
        [photos],
        subject.model.path,
        None,
        ClassifyParameters(),
        subject.model.input_options,
        labels=LabelOptions(photos / "labels.csv"),
    )
    chosen.mkdir(parents=True, exist_ok=True)
    right = [row for row in outcome.predictions or () if row.is_correct][:n]
    files = {image.name: image.path for image in load_inputs([photos]).images}
    for row in right:
        file = files[row.name]
        shutil.copy(file, chosen / f"{row.name.replace('/', '-')}{file.suffix}")
    lines = [f"{row.name.replace('/', '-')},{row.label}\n" for row in right]
    labels.write_text("file,label\n" + "".join(lines))
    return chosen


def _ratios(subject: Subject, gamma: float, folders: dict[str, Path]) -> dict[str, Row]:
    """V of each folder's images over V of the benign ones, in groups of layers and in STRIPS."""
    found = {}
    for name in ("bim", "fgsm", "bim purified"):
        stem = subject.work / f"act-{name.replace(' ', '-')}"
        found[name] = measure_activations(
            folders["benign"], folders[name], subject.model.path, stem.with_suffix(".h5"),
            ActivationParameters(gamma=gamma), subject.model.input_options, layers=STRIPS,
            plot=stem.with_suffix(".png"), overwrite=True,
        )  # fmt: skip
    layers = found["bim"].layers
    convolutions = [i for i, layer in enumerate(layers) if layer.kind == "conv"]
    groups = {
        f"conv {start + 1}-{min(start + GROUP, len(convolutions))}":
            convolutions[start : start + GROUP]
        for start in range(0, len(convolutions), GROUP)
    }  # fmt: skip
    groups |= {layer.name: [i] for i, layer in enumerate(layers) if layer.name in STRIPS}
    ratios = {name: outcome.ratios for name, outcome in found.items()}
    ratios = {"benign": np.ones(len(layers)), **ratios}
    return {
        name: {head: f"{np.nanmean(values[group]):.2f}" for head, group in groups.items()}
        for name, values in ratios.items()
    }


if __name__ == "__main__":
    main()
