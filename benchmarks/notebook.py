"""An attack on a folder of images as in a notebook: foolbox on onnx2torch.

    python benchmarks/notebook.py MODEL PRESET ATTACK IMAGES OUTPUT

Torch chooses its number of threads. Each batch is attacked by calling foolbox's class, which also
classifies the result, and is written as PNG files.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from alone import without_torchvision
from foolbox import PyTorchModel
from foolbox.attacks import LinfBasicIterativeAttack, LinfFastGradientAttack

from rsparse.models.onnx.classifier import Classifier, load_classifier
from rsparse.models.spec import InputOptions
from rsparse.store.finding import find_images
from rsparse.store.images import decode_image, encode_png, to_pixels, to_unit

with without_torchvision():
    from onnx2torch import convert

BATCH = 4
ATTACKS: dict[str, Any] = {
    "fgsm:eps=8": LinfFastGradientAttack(),
    "bim:eps=8": LinfBasicIterativeAttack(rel_stepsize=0.2, steps=10, random_start=False),
}


class Plain(torch.nn.Module):
    """A converted graph after the scaling of its input, as in a notebook."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.spec, self.network = classifier.spec, convert(classifier.graph)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = torch.tensor(self.spec.mean).view(1, 3, 1, 1)
        std = torch.tensor(self.spec.std).view(1, 3, 1, 1)
        return self.network((x * self.spec.range - mean) / std)[:, self.spec.class_offset :]


def main(model: str, preset: str, attack: str, images: str, output: str) -> None:
    warnings.simplefilter("ignore")
    classifier = load_classifier(Path(model), InputOptions(preset=preset)).check()
    plain = PyTorchModel(Plain(classifier).eval(), (0, 1), "cpu")
    files, folder = find_images([Path(images)]), Path(output)
    folder.mkdir()
    for start in range(0, len(files), BATCH):
        batch = files[start : start + BATCH]
        fitted = [classifier.fit_to_input(decode_image(f.read(), f.path)) for f in batch]
        x = torch.from_numpy(to_unit(np.stack(fitted)).transpose(0, 3, 1, 2).copy())
        y = plain(x).argmax(1)
        _, found, _ = ATTACKS[attack](plain, x, y, epsilons=8 / 255)
        for file, pixels in zip(batch, to_pixels(found.numpy().transpose(0, 2, 3, 1)), strict=True):
            (folder / f"{file.path.stem}.png").write_bytes(encode_png(pixels))


if __name__ == "__main__":
    main(*sys.argv[1:])
