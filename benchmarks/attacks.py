"""CPU time of attacks through our twin, beside plain foolbox on plain onnx2torch.

    python benchmarks/attacks.py --shared ../shared

One thread, a batch of 4 photographs, medians of interleaved runs. The same attack with the same
parameters on both sides: foolbox's own class on the converted graph as onnx2torch gives it, its
weights trainable, against ``run_attack`` on the twin. Prints a Markdown table: CPU seconds an
image, the ratio, and for how many images both lead to the same class. (The pixels agree for one
step; after more, rounding decides the signs of gradients that have all but vanished.)
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from foolbox import PyTorchModel
from foolbox.attacks import LinfBasicIterativeAttack, LinfFastGradientAttack

from rsparse.attacks import parse_attack, run_attack
from rsparse.images import decode_image, find_images, to_unit
from rsparse.models.onnx_classifier import Classifier, load_classifier
from rsparse.models.spec import SpecOptions
from rsparse.models.torch_converter import import_onnx2torch
from rsparse.models.twin import load_twin

convert, _ = import_onnx2torch()

BATCH, RUNS = 4, 3
MODELS = (("mobilenet_v2_224.onnx", "mobilenet-v2"), ("inception_v3_299.onnx", "inception-v3"))
ATTACKS = (
    ("fgsm:eps=8", LinfFastGradientAttack()),
    ("bim:eps=8", LinfBasicIterativeAttack(rel_stepsize=0.2, steps=10, random_start=False)),
)


class Plain(torch.nn.Module):
    """A converted graph behind the scaling that its classifier wants, as a notebook has it."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.spec, self.network = classifier.spec, convert(classifier.graph)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = torch.tensor(self.spec.mean).view(1, 3, 1, 1)
        std = torch.tensor(self.spec.std).view(1, 3, 1, 1)
        return self.network((x * self.spec.range - mean) / std)[:, self.spec.class_offset :]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True, help="photographs and models")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| model | attack | ours, CPU-s an image | plain / ours | same class |")
    print("|---|---|---|---|---|")
    for file, preset in MODELS:
        classifier = load_classifier(
            options.shared / "models" / file, SpecOptions(preset=preset)
        ).check()
        photos = find_images([options.shared / "photos"])[:BATCH]
        pixels = [decode_image(photo.read(), photo.path) for photo in photos]
        x = to_unit(np.stack([classifier.fit_to_input(image) for image in pixels]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _print_rows(classifier, x)


def _print_rows(classifier: Classifier, x: np.ndarray) -> None:
    y = classifier.logits(list(x)).argmax(axis=1)
    twin, plain = load_twin(classifier), PyTorchModel(Plain(classifier).eval(), (0, 1), "cpu")
    tensor = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
    for text, theirs in ATTACKS:
        ours = parse_attack(text)[0]
        times: dict[str, list[float]] = {"ours": [], "plain": []}
        for _ in range(RUNS):
            spent, result = _cpu(lambda a=ours: run_attack(twin, x, y, a))
            times["ours"].append(spent)
            spent, expected = _cpu(
                lambda a=theirs: a.run(plain, tensor, torch.from_numpy(y), epsilon=8 / 255)
            )
            times["plain"].append(spent)
        theirs_adv = np.ascontiguousarray(expected.numpy().transpose(0, 2, 3, 1))
        classes = [classifier.logits(list(z)).argmax(1) for z in (result.x_adv, theirs_adv)]
        ratio = statistics.median(b / a for a, b in zip(times["ours"], times["plain"], strict=True))
        each = statistics.median(times["ours"]) / len(x)
        same = int((classes[0] == classes[1]).sum())
        print(
            f"| {classifier.path.name} | {text} | {each:.2f} | {ratio:.2f} | {same} of {len(x)} |"
        )


def _cpu(work: Callable[[], object]) -> tuple[float, object]:
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


if __name__ == "__main__":
    main()
