"""Images a second by torch, beside what the device's arithmetic and memory allow.

    python benchmarks/gpu.py --shared ../shared                             # on a GPU
    python benchmarks/gpu.py --device torch-cpu --images 4 --batch-size 2   # anywhere

The photographs that come along, made ``--side`` pixels large; colour patches of 8×8, 256 learned
atoms.
Timed is what happens to a batch in memory, to the device and back; files and the object regions,
which are found on the CPU, are not. Prints Markdown tables: images a second; then, for the whole
image at stride 1 and K = 5, the steps with their operations and memory traffic as counted, the
time that these take at the device's best (its float32 matrix product and its copy, measured
first), and the time they take; then how many atoms and pixels agree with the CPU's. With
``--shared`` also what classifying and attacking take, in float32, through the classifiers there.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from rsparse.core.dictionary import Dictionary
from rsparse.core.learning import learn_dictionary
from rsparse.core.omp import omp
from rsparse.core.patches import positions, take, z_score
from rsparse.core.regionsparse import object_region, purify
from rsparse.data import demo_photos
from rsparse.devices import float32_in_full, optional_torch_device
from rsparse.gpu.decoding import Tables, coded_bands
from rsparse.gpu.filters import bilateral
from rsparse.gpu.grids import Grid
from rsparse.gpu.kernels import has_kernels
from rsparse.gpu.overlap import add_bands
from rsparse.gpu.pursuit import pursue, pursue_in_step
from rsparse.gpu.regionsparse import purify_together
from rsparse.images import decode_image, find_images, to_unit
from rsparse.parameters.method import LearnParameters, PurifyParameters

PATCH, ATOMS = 8, 256
WHOLE = PurifyParameters(localize=False, stride=1, sparsity=5)
CASES = {
    "whole image": WHOLE,
    "whole image, stride 2, K = 2": PurifyParameters(localize=False),
    "object region and filter, K = 2": PurifyParameters(),
}


@dataclass(frozen=True)
class Step:
    """A step of purifying one image: what it has to do, and itself, for ``images`` of them."""

    name: str
    operations: float
    traffic: float
    images: int
    run: Callable[[], object]
    is_part: bool = True  # of the whole image's purifying by the shortest way


class Clock:
    """Times work on a device."""

    def __init__(self, device: torch.device, runs: int) -> None:
        self.device = device
        self.runs = runs

    def best(self, work: Callable[[], object]) -> float:
        """Seconds, the least of several runs after one for warming up."""
        seconds = []
        for _ in range(self.runs + 1):
            self._wait()
            start = time.perf_counter()
            work()
            self._wait()
            seconds.append(time.perf_counter() - start)
        return min(seconds[1:])

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="auto", help="auto, cuda, cuda:1, torch-cpu")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--side", type=int, default=299)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--shared", type=Path, help="folder whose classifiers are timed, too")
    options = parser.parse_args()
    name = optional_torch_device(options.device)
    if name is None:
        print("There is no GPU here; --device torch-cpu measures torch on the CPU.")
        return
    photos = load_photos(options.images, options.side)
    dictionary = make_dictionary()
    clock = Clock(torch.device(name), options.runs)
    with torch.inference_mode(), float32_in_full():
        operations, traffic = ceilings(clock)
        print_device(clock.device, operations, traffic)
        print_rates(clock, photos, dictionary, options.batch_size)
        print_steps(clock, options.side, operations, traffic)
    print_agreement(photos[:4], dictionary, name)
    if options.shared is not None:
        print_networks(clock, photos[: options.batch_size], options.shared, operations)


def load_photos(n: int, side: int) -> list[np.ndarray]:
    files = find_images([demo_photos("test")])
    pixels = [decode_image(file.read(), file.path) for file in files]
    return [np.asarray(cv2.resize(pixels[i % len(pixels)], (side, side))) for i in range(n)]


def make_dictionary() -> Dictionary:
    """As ``rsparse learn-dict`` learns it, from other crops of the photographs."""
    files = find_images([demo_photos("train")])[::3]
    return learn_dictionary(
        [decode_image(file.read(), file.path) for file in files],
        LearnParameters(n_atoms=ATOMS, levels=""),
    )


def ceilings(clock: Clock) -> tuple[float, float]:
    """Operations a second of a float32 matrix product, and bytes a second of a copy."""
    large = clock.device.type == "cuda"
    n, numbers = (8192, 1 << 28) if large else (1024, 1 << 24)
    a, b = torch.rand(2, n, n, device=clock.device)
    product = torch.empty_like(a)
    operations = 2 * n**3 / clock.best(lambda: torch.mm(a, b, out=product))
    source = torch.rand(numbers, device=clock.device)
    copy = torch.empty_like(source)
    return operations, 8 * numbers / clock.best(lambda: copy.copy_(source))


def print_device(device: torch.device, operations: float, traffic: float) -> None:
    name = "CPU"
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    print(
        f"{name}, torch {torch.__version__}: float32 matrix product "
        f"{operations / 1e12:.3g} TFLOP/s, copy {traffic / 1e9:.4g} GB/s\n"
    )


def print_rates(
    clock: Clock, photos: list[np.ndarray], dictionary: Dictionary, batch_size: int
) -> None:
    print("| case | stride | K | patches coded an image | images/s |")
    print("|---|---|---|---|---|")
    b = dictionary.patch_size
    for name, parameters in CASES.items():
        regions = [object_region(photo, dictionary, parameters) for photo in photos]
        coded = [
            len(positions(own.theta.shape, b, own.level.stride, own.theta > 0)) for own in regions
        ]

        def work(parameters=parameters, regions=regions) -> None:
            for start in range(0, len(photos), batch_size):
                batch = slice(start, start + batch_size)
                purify_together(
                    photos[batch], regions[batch], dictionary, parameters, str(clock.device)
                )

        print(
            f"| {name} | {regions[0].level.stride} | {regions[0].level.sparsity} "
            f"| {np.mean(coded):.0f} | {plain(len(photos) / clock.best(work))} |"
        )


def print_steps(clock: Clock, side: int, operations: float, traffic: float) -> None:
    print("\n| step, at stride 1 and K = 5 | GFLOP/image | GB/image | least ms/image | ms/image |")
    print("|---|---|---|---|---|")
    least, taken, by_memory = 0.0, 0.0, 0.0
    for step in steps(clock.device, side):
        at_best = max(step.operations / operations, step.traffic / traffic)
        seconds = clock.best(step.run) / step.images
        print(
            f"| {step.name} | {step.operations / 1e9:.3g} | {step.traffic / 1e9:.3g} "
            f"| {1000 * at_best:.3g} | {1000 * seconds:.3g} |"
        )
        if step.is_part:
            least, taken = least + at_best, taken + seconds
            by_memory += at_best if step.traffic / traffic == at_best else 0
    what = "memory traffic" if by_memory > least / 2 else "arithmetic"
    print(
        f"\nWithout the filter {plain(1 / least)} images/s at most, {plain(1 / taken)} by these "
        "steps; "
        f"the limit is {what} ({100 * max(by_memory, least - by_memory) / least:.0f} % of the "
        "least time)."
    )


def steps(device: torch.device, side: int) -> list[Step]:
    """The parts of purifying, with what they compute and read and write in float32.

    What a cache holds (the dictionary, its Gram matrix, the image under its patches) is left out.
    """
    where = Grid.over((side, side), PATCH, 1)
    n, m, k, atoms = len(where), 3 * PATCH**2, ATOMS, WHOLE.sparsity
    images = 8 if device.type == "cuda" else 1
    patches, encoder = torch.rand(n * images, m, device=device), torch.rand(m, k, device=device)
    correlations, decoder = patches @ encoder, encoder.T.contiguous()
    gram = torch.eye(k, device=device) * 0.5 + 0.5
    rows = torch.randint(k, (images, n, atoms + 1), device=device, dtype=torch.int32)
    weights = torch.rand(rows.shape, device=device)
    tables = Tables(decoder, *torch.rand(2, images, m, device=device))
    canvas = torch.zeros(images, side, side, 3, device=device)
    pixels = torch.randint(256, (images, 3, side, side), device=device).float()
    window = PurifyParameters().bilateral_diameter // 2
    disc = sum(
        i * i + j * j <= window**2
        for i in range(-window, window + 1)
        for j in range(-window, window + 1)
    )
    bag = k * atoms * (atoms - 1)  # Σ 2 s k over the steps that change the correlations

    slower = [
        Step("pursuit without the kernel", (bag + k * (3 * atoms - 1)) * n,
             (6 * atoms - 4) * 4 * k * n, images,
             lambda: pursue_in_step(correlations, gram, atoms), is_part=False),
    ] if has_kernels(device) else []  # fmt: skip

    def put_back() -> None:
        bands = coded_bands(tables, rows, weights, where, PATCH, side)
        add_bands(canvas, bands, where.rows, 1)

    return [
        Step("take patches", 0, 4 * m * n, images, patches.clone),
        Step("correlations", 2 * m * k * n, 4 * (m + k) * n, images,
             lambda: torch.mm(patches, encoder, out=correlations)),
        Step("pursuit", (bag + k * (3 * atoms - 1)) * n, (4 * k + 12 * atoms) * n, images,
             lambda: pursue(correlations, gram, atoms)),
        *slower,
        Step("put back", (2 * (atoms + 1) + 1) * m * n,
             8 * (atoms + 1) * n + 2 * 4 * 3 * PATCH * len(where.rows) * side, images, put_back),
        Step("bilateral filter", 15 * disc * side**2, 2 * 4 * 3 * side**2, images,
             lambda: bilateral(pixels, 9, 80.0, 80.0), is_part=False),
    ]  # fmt: skip


def print_agreement(photos: list[np.ndarray], dictionary: Dictionary, device: str) -> None:
    """How far atoms and pixels are those that the CPU finds without torch."""
    corners = positions(photos[0].shape[:2], PATCH, 1)
    signals = np.concatenate([z_score(take(to_unit(photo), corners, PATCH)) for photo in photos])
    expected, _ = omp(signals, dictionary.atoms, WHOLE.sparsity)
    with torch.inference_mode(), float32_in_full():
        sent = torch.from_numpy(signals).to(device)
        atoms, gram = (torch.from_numpy(a).to(device) for a in (dictionary.atoms, dictionary.gram))
        chosen = pursue(sent @ atoms.T, gram, WHOLE.sparsity)[0].T.cpu().numpy()
    same = (chosen == expected).all(axis=1).mean()
    regions = [object_region(photo, dictionary, WHOLE) for photo in photos]
    ours = np.stack(purify_together(photos, regions, dictionary, WHOLE, device)).astype(int)
    theirs = np.stack([purify(photo, dictionary, WHOLE) for photo in photos])
    near = (np.abs(ours - theirs) <= 1).mean()
    print(
        f"\nThe CPU without torch chooses the same atoms for {100 * same:.3f} % of the patches; "
        f"{100 * near:.4f} % of the pixels are within one grey level of its."
    )


def plain(value: float) -> str:
    """Three digits, without an exponent."""
    return f"{float(f'{value:.3g}'):g}"


def print_networks(clock: Clock, photos: list[np.ndarray], shared: Path, operations: float) -> None:
    """What a batch takes: its classes, and an attack of one pass and one of ten."""
    from plans import MODELS
    from torch.utils.flop_counter import FlopCounterMode

    from rsparse.attacks import parse_attack, run_attack
    from rsparse.models.onnx_classifier import load_classifier
    from rsparse.models.spec import SpecOptions
    from rsparse.models.twin import load_twin

    attacks = {text: parse_attack(text)[0] for text in ("fgsm:eps=8", "bim:eps=8,steps=10")}
    print(f"\n| network | batches of {len(photos)} | GFLOP/image | least ms/image | ms/image |")
    print("|---|---|---|---|---|")
    for name, (file, preset) in MODELS.items():
        path = shared / "models" / file
        if not path.exists():
            continue
        classifier = load_classifier(path, SpecOptions(preset=preset))
        twin = load_twin(classifier, str(clock.device))
        pixels = [classifier.fit_to_input(photo) for photo in photos]
        x = to_unit(np.stack(pixels))
        y = twin.logits(pixels).argmax(axis=1)
        one = torch.zeros(1, 3, *classifier.spec.size, device=clock.device, requires_grad=True)
        plain = load_twin(classifier, str(clock.device), trainable=True)  # can be counted
        with FlopCounterMode(display=False) as forward:
            logits = plain(one)
        with FlopCounterMode(display=False) as back:
            logits.amax().backward()
        there, both = forward.get_total_flops(), forward.get_total_flops() + back.get_total_flops()
        works = {
            "classified": (there, lambda t=twin, p=pixels: t.logits(p)),
            **{
                text: (
                    attack.passes * both,
                    lambda t=twin, a=x, b=y, how=attack: run_attack(t, a, b, how),
                )
                for text, attack in attacks.items()
            },
        }
        for what, (needed, work) in works.items():
            seconds = clock.best(work) / len(photos)
            print(
                f"| {name} | {what} | {needed / 1e9:.3g} | {1000 * needed / operations:.3g} "
                f"| {1000 * seconds:.3g} |"
            )


if __name__ == "__main__":
    main()
