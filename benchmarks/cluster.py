"""Time and memory per image of a large folder: on one core, on two, and on a Dask cluster.

    python benchmarks/cluster.py [--full]

This script purifies a quarter of the pictures, then all of them. The difference gives the time per
image (``c``) without the fixed cost of a run. ``s`` is the CPU time per image of the command's own
process, which finds images, sends them, receives results and keeps the journal (on ``local:2`` it
includes the scheduler). The script prints the predictions of the model

    T(n, W) = start + n · max(c₁ / W, s)

for n images on W workers, with ``c₁`` from one core and ``start`` and ``s`` from the cluster. The
model ignores storage: W workers must be able to read n / T images per second. ``--full`` measures
10,000 of the small pictures.
"""

from __future__ import annotations

import tempfile
import time
import tracemalloc
from dataclasses import dataclass
from pathlib import Path

import measure
import numpy as np

from rsparse.commands.purify import purify_images
from rsparse.core.dictionary import Dictionary
from rsparse.defenses import RegionSparse
from rsparse.report.markdown_tables import table_text
from rsparse.store.dictionaries import save_dictionary
from rsparse.store.images import encode_png
from rsparse.store.inputs import load_inputs
from rsparse.store.records import DICTIONARY, Record
from rsparse.work.cluster import Cluster
from rsparse.work.workers import LocalWorkers, Workers

PLACES = {
    "--jobs 1": LocalWorkers(1),
    "--jobs 2": LocalWorkers(2),
    "--cluster local:2": Cluster("local:2"),
}
LENGTHS = (1_000, 10_000, 100_000, 1_000_000)
WORKERS = (1, 2, 10, 100, 1000)
WARM = 16
LARGE, SMALL = (299, 240), (64, 2_000)  # side in pixels, pictures; the small are hardly any work
MOST = 10_000


@dataclass(frozen=True)
class Cost:
    """Seconds of a run: once, for each image, and of these in the command's own process."""

    start: float
    image: float
    own: float


def main() -> None:
    options = measure.parser(__doc__).parse_args()
    for side, count in (LARGE, (SMALL[0], MOST) if options.full else SMALL):
        print(f"### {count:,} pictures of {side}×{side}\n")
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            sizes = (WARM, count // 4, count)
            for size in sizes:
                write_pictures(folder / f"{size}", size, side)
            write_dictionary(folder / "dict.h5")
            costs = {place: cost_of(folder, sizes, workers) for place, workers in PLACES.items()}
            print_measured(costs)
            print(f"The list of images takes {memory(folder / f'{count}')} bytes an image.\n")
            print_model(costs["--jobs 1"], costs["--cluster local:2"])


def write_pictures(folder: Path, count: int, side: int) -> None:
    """Noise with a bright square, each picture different."""
    rng = np.random.default_rng(count)
    for number in range(count):
        place = folder / f"{number // 1000:03d}"
        place.mkdir(parents=True, exist_ok=True)
        picture = rng.integers(80, 120, (side, side, 3), dtype=np.uint8)
        picture[side // 4 : side // 2, side // 4 : side // 2] += 100
        (place / f"{number:06d}.png").write_bytes(encode_png(picture))


def write_dictionary(path: Path) -> None:
    atoms = np.random.default_rng(0).standard_normal((256, 192)).astype(np.float32)
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    save_dictionary(path, Record(DICTIONARY, "learn-dict", {}, 0), Dictionary(atoms, 8), {}, {})


def cost_of(folder: Path, sizes: tuple[int, int, int], workers: Workers) -> Cost:
    """The time of starting with a few images, then the slope between two lengths."""
    begin = time.perf_counter()
    with workers:
        purified(folder, sizes[0], workers)
        start = time.perf_counter() - begin
        walls, owns = zip(*(purified(folder, size, workers) for size in sizes[1:]), strict=True)
    n_images = sizes[2] - sizes[1]
    return Cost(start, (walls[1] - walls[0]) / n_images, (owns[1] - owns[0]) / n_images)


def purified(folder: Path, size: int, workers: Workers) -> tuple[float, float]:
    """Wall and own CPU seconds of purifying the folder of so many pictures."""
    wall, own = time.perf_counter(), time.process_time()
    purify_images(
        [folder / f"{size}"], RegionSparse(), folder / "out",
        dictionaries={"": folder / "dict.h5"}, workers=workers, overwrite=True,
    )  # fmt: skip
    return time.perf_counter() - wall, time.process_time() - own


def memory(folder: Path) -> int:
    """Bytes of each entry in the list of inputs."""
    tracemalloc.start()
    inputs = load_inputs([folder])
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return round(taken / len(inputs.images))


def print_measured(costs: dict[str, Cost]) -> None:
    rows = [
        [f"`{place}`", f"{cost.start:.1f}", f"{1e3 * cost.image:.2f}", f"{1e3 * cost.own:.2f}"]
        for place, cost in costs.items()
    ]
    print(table_text(["", "start, s", "an image, ms", "own process, ms"], rows))


def print_model(serial: Cost, cluster: Cost) -> None:
    rows = []
    for n_images in LENGTHS:
        times = (
            cluster.start + n_images * max(serial.image / workers, cluster.own)
            for workers in WORKERS
        )
        rows.append([f"{n_images:,}", *map(duration, times)])
    print(table_text(["images", *(f"{w} workers" for w in WORKERS)], rows))
    useful = serial.image / cluster.own
    print(f"For images as small as these, more than {useful:.0f} workers do not help.\n")


def duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


if __name__ == "__main__":
    main()
