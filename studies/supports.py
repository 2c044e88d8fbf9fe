"""How attacks change the atoms that sparse coding chooses (eq. 8–13), by attack and strength.

    python -m studies.supports --shared ../shared --work bench-work/robustness

The first photographs of ``photos/`` that MobileNet-v2 gets right are attacked without knowledge of
a defense, and their codes are compared with those of the clean ones, as ``rsparse support`` does.
The result is docs/results/robustness/support.csv: means over the photographs.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from rsparse import attack
from rsparse.core.dictionary import Dictionary
from rsparse.core.support import Comparison, compare
from rsparse.models.onnx.classifier import Classifier
from rsparse.store.dictionaries import load_dictionary
from rsparse.store.images import to_unit
from studies.attacked_blocks import right_photographs
from studies.pages import DOCS
from studies.plans import dictionary
from studies.tables import Row, write_rows
from studies.watched import Photograph, classifier_of

ATTACKS = {
    "FGSM 2": "fgsm:eps=2", "FGSM 8": "fgsm:eps=8",
    "BIM 1": "bim:eps=1", "BIM 2": "bim:eps=2", "BIM 4": "bim:eps=4", "BIM 8": "bim:eps=8",
    "MI-FGSM 0.01": "mi-fgsm:d=0.01", "MI-FGSM 0.14": "mi-fgsm:d=0.14",
    "CW-L2 0.01": "cw-l2:d=0.01,steps=30", "DeepFool": "deepfool",
    "random noise 2": "noise:eps=2",
}  # fmt: skip
PHOTOGRAPHS = 12
SPARSITY, STRIDE = 2, 4
TABLE = DOCS / "results" / "robustness" / "support.csv"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True, help="photographs and models")
    parser.add_argument("--work", type=Path, required=True, help="keeps the dictionary")
    parser.add_argument("--photographs", type=int, default=PHOTOGRAPHS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    learned, _ = load_dictionary(dictionary(options.shared, options.work, jobs=1))
    photographs = right_photographs(options.shared, options.photographs)
    write_rows(TABLE, list(rows(photographs, classifier_of(options.shared), learned)))


def rows(
    photographs: Sequence[Photograph], classifier: Classifier, learned: Dictionary
) -> Iterator[Row]:
    """A row for each attack."""
    images = np.stack([image for _, image, _ in photographs])
    labels = np.array([label for _, _, label in photographs])
    for name, spec in ATTACKS.items():
        attacked = attack(images, labels, classifier, spec).x_adv
        found = [
            compare(to_unit(x), to_unit(x_adv), learned, SPARSITY, STRIDE)
            for x, x_adv in zip(images, attacked, strict=True)
        ]
        row = row_of(name, found)
        print(row, flush=True)
        yield row


def row_of(name: str, found: Sequence[Comparison]) -> Row:
    """Means over the photographs that the attack changed; shares in per cent."""
    changed = [one for one in found if one.change > 0]

    def mean(field: str) -> float:
        return float(np.mean([getattr(one, field) for one in changed]))

    return {
        "attack": name,
        "photographs": str(len(changed)),
        "change": f"{mean('change'):.2f}",
        "patches": f"{100 * mean('moved'):.1f}",
        "kept": f"{100 * mean('common'):.1f}",
        "all_atoms": f"{mean('analysis'):.2f}",
        "chosen_atoms": f"{mean('chosen'):.2f}",
        "energy": f"{100 * mean('inside'):.1f}",
        "left": f"{100 * mean('survives'):.0f}",
        "radius": f"{np.median([one.radius for one in changed]):.1e}",
    }


if __name__ == "__main__":
    main()
