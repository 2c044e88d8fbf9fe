"""Attacks on our torch twin compared with plain foolbox on plain onnx2torch.

    python benchmarks/attacks.py --shared ../shared

The first table has the CPU time of one thread for a batch of 4 photographs: medians of interleaved
runs. Both sides run the same attack with the same parameters: foolbox's own class on the graph from
onnx2torch, with trainable weights, and ``run_attack`` on the twin. It shows CPU seconds per image,
their ratio to the floor, and the number of images with the same resulting class. The floor is the
arithmetic of the forward and backward passes at the speed of the machine's own matrix product.
(Plain foolbox also computes the gradients of the weights, half as much again. The pixels agree
after one step; after more steps, rounding decides the signs of gradients near 0.)

The second table has the wall time on all cores, including start-up: ``rsparse attack`` with one job
per core, and a notebook for the same files (``notebook.py``) with torch's own threads.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import measure
import notebook
import numpy as np
import torch
from foolbox import PyTorchModel
from threadpoolctl import threadpool_limits
from torch.utils.flop_counter import FlopCounterMode

from rsparse.attacks import parse_attack, run_attack
from rsparse.models.onnx.classifier import Classifier, load_classifier
from rsparse.models.spec import InputOptions
from rsparse.models.torch.twin import load_twin
from rsparse.report.markdown_tables import table_head, table_row
from rsparse.store.finding import find_images
from rsparse.store.images import decode_image, to_unit
from rsparse.work.workers import usable_cores

BATCH, RUNS = 4, 5
FILE_RUNS, FILE_ATTACK = 3, "bim:eps=8"
MODELS = (("mobilenet_v2_224.onnx", "mobilenet-v2"), ("inception_v3_299.onnx", "inception-v3"))
FILES = (64, 200), (64,)  # photographs for each model: start-up counts for less among many


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True, help="photographs and models")
    options = parser.parse_args()
    with threadpool_limits(1):
        one_thread(options.shared)
    whole_command(options.shared)


def one_thread(shared: Path) -> None:
    """CPU time of the attack alone."""
    torch.set_num_threads(1)
    print("One thread, CPU time:\n")
    columns = [
        "model",
        "attack",
        "ours, CPU-s an image",
        "ours / floor",
        "plain / ours",
        "same class",
    ]
    print(table_head(columns))
    for file, preset in MODELS:
        classifier = load_classifier(shared / "models" / file, InputOptions(preset=preset)).check()
        photos = find_images([shared / "photos"])[:BATCH]
        pixels = [decode_image(photo.read(), photo.path) for photo in photos]
        x = to_unit(np.stack([classifier.fit_to_input(image) for image in pixels]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _print_rows(classifier, x)


def _print_rows(classifier: Classifier, x: np.ndarray) -> None:
    y = classifier.logits(list(x)).argmax(axis=1)
    twin = load_twin(classifier)
    plain = PyTorchModel(notebook.Plain(classifier).eval(), (0, 1), "cpu")
    tensor = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
    needed, peak = operations(classifier, tensor), measure.Peak()
    for text, theirs in notebook.ATTACKS.items():
        ours = parse_attack(text)[0]
        times: dict[str, list[float]] = {"peak": [], "ours": [], "plain": []}
        for _ in range(RUNS):
            times["peak"].append(peak())
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
        floor = needed * ours.passes * statistics.median(times["peak"]) / peak.operations
        same = int((classes[0] == classes[1]).sum())
        print(
            table_row(
                [
                    classifier.path.name,
                    text,
                    f"{each:.2f}",
                    f"{each / floor:.1f}",
                    f"{ratio:.2f}",
                    f"{same} of {len(x)}",
                ]
            )
        )


def operations(classifier: Classifier, x: torch.Tensor) -> float:
    """Of one image's pass forward and back to the pixels."""
    network = notebook.Plain(classifier).eval().requires_grad_(False)
    with FlopCounterMode(display=False) as counter:
        network(x[:1].clone().requires_grad_()).amax().backward()
    return float(counter.get_total_flops())


def whole_command(shared: Path) -> None:
    """Wall time from files to files."""
    jobs = usable_cores()
    print(f"\nAll cores ({jobs}), wall time of `{FILE_ATTACK}` from files to files:\n")
    columns = ["model", "photographs", "`rsparse attack`, s", "a notebook, s", "notebook / ours"]
    print(table_head(columns))
    for (file, preset), sizes in zip(MODELS, FILES, strict=True):
        for n_files in sizes:
            with TemporaryDirectory() as work:
                ours, theirs, ratio = _wall(shared, file, preset, n_files, jobs, Path(work))
            print(table_row([file, str(n_files), f"{ours:.1f}", f"{theirs:.1f}", f"{ratio:.2f}"]))


def _wall(
    shared: Path, file: str, preset: str, n_files: int, jobs: int, work: Path
) -> tuple[float, float, float]:
    """Our seconds, a notebook's, and their ratio: medians."""
    photos, output, model = work / "photos", work / "adversarial", shared / "models" / file
    photos.mkdir()
    for photo in find_images([shared / "photos"])[:n_files]:
        shutil.copy(photo.path, photos)
    ours = measure.rsparse(
        "attack", photos, "--model", model, "--preset", preset, "--attack", FILE_ATTACK,
        "-o", output, "--jobs", jobs, "--predicted-labels",
    )  # fmt: skip
    theirs = [sys.executable, notebook.__file__, model, preset, FILE_ATTACK, photos, output]
    pairs = []
    for _ in range(FILE_RUNS):
        seconds = []
        for command in (ours, theirs):
            shutil.rmtree(output, ignore_errors=True)
            seconds.append(measure.child_cpu(command)[1])
        pairs.append(tuple(seconds))
    return (
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        statistics.median(b / a for a, b in pairs),
    )


def _cpu(work: Callable[[], object]) -> tuple[float, object]:
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


if __name__ == "__main__":
    main()
