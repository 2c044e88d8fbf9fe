"""Images per second with torch on a GPU, compared with the limits of its arithmetic and memory.

    python benchmarks/gpu.py --shared ../shared                             # on a GPU
    python benchmarks/gpu.py --device torch-cpu --images 4 --batch-size 2   # anywhere

The inputs are the embedded photographs, resized to ``--side`` pixels; colour patches of 8×8, 256
learned atoms. The time is that of a batch from memory to the device and back, without files and
without object regions, which the CPU finds. The script prints Markdown tables: images per second;
for the whole image at stride 1 and K = 5, the operations and memory traffic of each step, the least
time for these at the device's measured peak (float32 matrix product and copy), and the actual time;
then the share of atoms and pixels that agree with the CPU's. With ``--shared``, it also measures
classifying and attacking in float32 with the classifiers in that folder.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from gpu_clock import Clock, ceilings, plain
from gpu_networks import print_networks
from gpu_steps import ATOMS, PATCH, WHOLE, print_steps

from rsparse.core.dictionary import Dictionary
from rsparse.core.engines import engine_for
from rsparse.core.engines.torch.engine import TorchEngine
from rsparse.core.engines.torch.precision import float32_in_full
from rsparse.core.learning import learn_dictionary
from rsparse.core.omp import omp
from rsparse.core.patches import positions, take, z_score
from rsparse.core.regionsparse import object_region, purify, purify_batch
from rsparse.data import demo_photos
from rsparse.options.learn_dict import LearnParameters
from rsparse.options.purify import PurifyParameters
from rsparse.report.markdown_tables import table_head, table_row
from rsparse.store.finding import find_images
from rsparse.store.images import decode_image, to_unit
from rsparse.work.device import choose_device

CASES = {
    "whole image": WHOLE,
    "whole image, stride 2, K = 2": PurifyParameters(localize=False),
    "object region and filter, K = 2": PurifyParameters(),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="auto", help="auto, cuda, cuda:1, torch-cpu")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--side", type=int, default=299)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--shared", type=Path, help="folder whose classifiers are timed, too")
    options = parser.parse_args()
    device = choose_device(options.device)
    if not device.takes_images:
        print("There is no GPU here; --device torch-cpu measures torch on the CPU.")
        return
    photos = load_photos(options.images, options.side)
    dictionary = make_dictionary()
    clock = Clock(torch.device(device.torch), options.runs)
    with torch.inference_mode(), float32_in_full():
        operations, traffic = ceilings(clock)
        print_device(clock.device, operations, traffic)
        print_rates(clock, photos, dictionary, options.batch_size)
        print_steps(clock, options.side, operations, traffic)
    print_agreement(photos[:4], dictionary, device.torch)
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
        LearnParameters(n_atoms=ATOMS),
    )


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
    print(table_head(["case", "stride", "K", "patches coded an image", "images/s"]))
    b, engine = dictionary.patch_size, engine_for(str(clock.device))
    for name, parameters in CASES.items():
        regions = [object_region(photo, dictionary, parameters) for photo in photos]
        coded = [
            len(positions(own.theta.shape, b, parameters.stride, own.theta > 0)) for own in regions
        ]

        def work(parameters=parameters, regions=regions) -> None:
            for start in range(0, len(photos), batch_size):
                batch = slice(start, start + batch_size)
                purify_batch(photos[batch], regions[batch], dictionary, parameters, engine)

        print(
            table_row(
                [
                    name,
                    str(parameters.stride),
                    str(parameters.sparsity),
                    f"{np.mean(coded):.0f}",
                    plain(len(photos) / clock.best(work)),
                ]
            )
        )


def print_agreement(photos: list[np.ndarray], dictionary: Dictionary, device: str) -> None:
    """How far atoms and pixels are those that the CPU finds without torch."""
    corners = positions(photos[0].shape[:2], PATCH, 1)
    signals = np.concatenate([z_score(take(to_unit(photo), corners, PATCH)) for photo in photos])
    expected, _ = omp(signals, dictionary.atoms, WHOLE.sparsity)
    engine = engine_for(device)
    assert isinstance(engine, TorchEngine)
    with engine.session():
        sent = torch.from_numpy(signals).to(device)
        atoms, gram = (torch.from_numpy(a).to(device) for a in (dictionary.atoms, dictionary.gram))
        chosen = engine.steps.pursue(sent @ atoms.T, gram, WHOLE.sparsity, 0.0)[0].T.cpu().numpy()
    same = (chosen == expected).all(axis=1).mean()
    regions = [object_region(photo, dictionary, WHOLE) for photo in photos]
    ours = np.stack(purify_batch(photos, regions, dictionary, WHOLE, engine)).astype(int)
    theirs = np.stack([purify(photo, dictionary, WHOLE) for photo in photos])
    near = (np.abs(ours - theirs) <= 1).mean()
    print(
        f"\nThe CPU without torch chooses the same atoms for {100 * same:.3f} % of the patches; "
        f"{100 * near:.4f} % of the pixels are within one grey level of its."
    )


if __name__ == "__main__":
    main()
