"""The paper's Fig. 1 and Section III on Inception-v3: activation of attacked photographs by depth.

This module attacks photographs that the network gets right, measures eq. (7) in every layer, and
purifies the attacked photographs to test whether the activation returns to normal.

    python -m studies.inception_activations --shared ../shared --work bench-work/inception

It writes V_l(adversarial) / V_l(benign), averaged over groups of convolutions, to
docs/results/activations.csv, and ``act-*.png`` and the attention panels ``cams/`` to the work
folder.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np

from rsparse.attacks import parse_attack
from rsparse.commands.activations import measure_activations
from rsparse.commands.attack.attack import attack_images
from rsparse.commands.attention import explain_images
from rsparse.commands.classify import classify_images
from rsparse.commands.learn_dict import learn_dict
from rsparse.commands.purify import purify_images
from rsparse.defenses import RegionSparse
from rsparse.models.spec import InputOptions
from rsparse.options.activations import ActivationParameters
from rsparse.options.attack import AttackRunParameters
from rsparse.options.attention import AttentionParameters
from rsparse.options.classify import ClassifyParameters
from rsparse.options.labels import LabelOptions
from rsparse.options.learn_dict import LearnParameters
from rsparse.store.folders import MANIFEST
from studies.pages import DOCS
from studies.tables import Row, write_rows

INPUTS = InputOptions(preset="inception-v3")
STRIPS = ("conv_2", "mixed_1", "pool_3")
GROUP = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True, help="photographs and models")
    parser.add_argument("--work", type=Path, required=True, help="folder for the artifacts")
    parser.add_argument("--photos", type=int, default=12, help="correctly classified ones")
    parser.add_argument("--gamma", type=float, default=0.0)
    options = parser.parse_args()
    model, work = options.shared / "models" / "inception_v3_299.onnx", options.work
    benign = _benign(options, model)
    folders = {"benign": benign}
    for spec in ("bim:eps=8", "fgsm:eps=8"):
        folders[spec.split(":")[0]] = place = work / spec.split(":")[0]
        if not (place / MANIFEST).exists():
            attack_images(
                [benign], model, parse_attack(spec), place, AttackRunParameters(), INPUTS,
                labels=LabelOptions(work / "labels.csv"),
            )  # fmt: skip
    if not (work / "dict.h5").exists():
        learn_dict([options.shared / "train"], work / "dict.h5", LearnParameters())
    folders["bim purified"] = purified = work / "bim-purified"
    if not (purified / MANIFEST).exists():
        purify_images(
            [folders["bim"]],
            RegionSparse(sparsity=2),
            purified,
            dictionaries={"": work / "dict.h5"},
        )
    right = {}
    for name, folder in folders.items():
        outcome = classify_images(
            [folder],
            model,
            None,
            ClassifyParameters(),
            INPUTS,
            labels=LabelOptions(work / "labels.csv"),
        )
        right[name] = {"right": str(outcome.n_correct), "photographs": str(outcome.n_labelled)}
    rows = [
        {"images": name, **right[name], **cells}
        for name, cells in _ratios(options, model, folders).items()
    ]
    write_rows(DOCS / "results" / "activations.csv", rows)
    explain_images(
        [benign, folders["bim"], purified], model, work / "cams", AttentionParameters(), INPUTS,
        overwrite=True,
    )  # fmt: skip


def _benign(options: argparse.Namespace, model: Path) -> Path:
    """A folder of the first photographs that the network gets right, and their labels."""
    photos, chosen = options.shared / "photos", options.work / "benign"
    labels = options.work / "labels.csv"
    if labels.exists():
        return chosen
    outcome = classify_images(
        [photos],
        model,
        None,
        ClassifyParameters(),
        INPUTS,
        labels=LabelOptions(photos / "labels.csv"),
    )
    chosen.mkdir(parents=True, exist_ok=True)
    right = [row for row in outcome.predictions or () if row.is_correct][: options.photos]
    for row in right:
        shutil.copy(photos / f"{row.name}.png", chosen)
    labels.write_text("file,label\n" + "".join(f"{row.name}.png,{row.label}\n" for row in right))
    return chosen


def _ratios(options: argparse.Namespace, model: Path, folders: dict[str, Path]) -> dict[str, Row]:
    """V of each folder's images over V of the benign ones, in groups of layers and in STRIPS."""
    found = {}
    for name in ("bim", "fgsm", "bim purified"):
        stem = options.work / f"act-{name.replace(' ', '-')}"
        found[name] = measure_activations(
            folders["benign"], folders[name], model, stem.with_suffix(".h5"),
            ActivationParameters(gamma=options.gamma), INPUTS, layers=STRIPS,
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
