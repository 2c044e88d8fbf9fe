"""What a large folder costs on one core, on two and on a Dask cluster, and what that survives.

    python benchmarks/cluster.py [--full]

The cluster is a scheduler and two workers, each a process of its own on this machine. This script
purifies a quarter of the pictures, then all of them. The differences give the time of an image
without the fixed cost of a run (``c``), and the CPU time of an image in the command's own process
(``own``), which finds it, hands it out, and puts it into the journal and the manifest. ``task`` is
the CPU time of that process for a task, whatever is in it. A task is a second of work, or more
with many workers, so ``own`` without its tasks is ``a``. The script prints the predictions of

    T(n, W) = start + n · max(c / W, a + task · c / max(1 s, W / 200))

for n images on W workers. The model ignores storage: W workers must be able to read n / T images
per second.

Then it purifies pictures while workers are killed, and compares every byte with a serial run;
``--full`` takes 100,000 of them.
"""

from __future__ import annotations

import random
import subprocess
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import measure
import numpy as np
from dask_processes import DaskProcesses

from rsparse.commands.purify import purify_images
from rsparse.core.dictionary import Dictionary
from rsparse.defenses import RegionSparse
from rsparse.report.markdown_tables import table_text
from rsparse.store.dictionaries import save_dictionary
from rsparse.store.folders import read_manifest
from rsparse.store.images import encode_png
from rsparse.store.inputs import load_inputs
from rsparse.store.records import DICTIONARY, Record
from rsparse.work.cluster import Cluster
from rsparse.work.workers import LocalWorkers, Workers

LENGTHS = (10_000, 1_000_000, 1_000_000_000)
WORKERS = (1, 10, 100, 1000, 2000)
WARM = 16
LARGE, SMALL = (299, 400), (64, 4_000)  # side in pixels, pictures; the small are hardly any work
KILLED_SIDE, KILLED, KILLED_FULL = 24, 5_000, 100_000
KILLED_WORKERS, KILLS = 6, 9
TASKS = 500
TASK_SECONDS, TASKS_PER_SECOND = 1.0, 200  # as in rsparse.work.groups


@dataclass(frozen=True)
class Cost:
    """Seconds of a run: once, for each image, and of these in the command's own process."""

    start: float
    image: float
    own: float


def main() -> None:
    options = measure.parser(__doc__).parse_args()
    for side, count in (LARGE, SMALL):
        print(f"### {count:,} pictures of {side}×{side}\n")
        with tempfile.TemporaryDirectory() as name:
            measured(Path(name), side, count)
    with tempfile.TemporaryDirectory() as name:
        survive_kills(Path(name), KILLED_FULL if options.full else KILLED)


def measured(folder: Path, side: int, count: int) -> None:
    sizes = (WARM, count // 4, count)
    for size in sizes:
        write_pictures(folder / f"{size}", size, side)
    write_dictionary(folder / "dict.h5")
    costs = {f"--jobs {n}": cost_of(folder, sizes, LocalWorkers(n)) for n in (1, 2)}
    with dask(folder, 2) as processes:
        costs["--cluster"] = cost_of(folder, sizes, Cluster(processes.address))
        task = cost_of_a_task(processes.address)
    print_measured(costs)
    print(f"A task takes {1e3 * task:.2f} ms of the command's process, and the list of images "
          f"{memory(folder / f'{count}')} bytes for each.\n")  # fmt: skip
    print_model(costs["--jobs 1"], costs["--cluster"], task)


@contextmanager
def dask(folder: Path, workers: int) -> Iterator[DaskProcesses]:
    """A scheduler and workers."""
    place = folder / "dask"
    place.mkdir()
    processes = DaskProcesses(place)
    try:
        for _ in range(workers):
            processes.add_worker()
        yield processes
    finally:
        processes.close()


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


def cost_of_a_task(address: str) -> float:
    """CPU seconds of this process for a task that does nothing."""
    with Cluster(address) as workers:
        begin = time.process_time()
        for _ in workers.map(abs, range(TASKS), TASKS, in_order=False):
            pass
        return (time.process_time() - begin) / TASKS


def memory(folder: Path) -> int:
    """Bytes of each entry in the list of inputs."""
    tracemalloc.start()
    inputs = load_inputs([folder])
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return round(taken / len(inputs.images))


def print_measured(costs: dict[str, Cost]) -> None:
    rows = [
        [f"`{place}`", f"{cost.start:.1f}", f"{1e3 * cost.image:.2f}", f"{1e3 * cost.own:.3f}"]
        for place, cost in costs.items()
    ]
    print(table_text(["", "start, s", "an image, ms", "own process, ms"], rows))


def print_model(serial: Cost, cluster: Cost, task: float) -> None:
    c = serial.image
    apart = max(cluster.own - task * c / TASK_SECONDS, 0.0)

    def own(workers: int) -> float:
        return apart + task * c / max(TASK_SECONDS, workers / TASKS_PER_SECOND)

    rows = [
        [f"{n:,}", *(duration(cluster.start + n * max(c / w, own(w))) for w in WORKERS)]
        for n in LENGTHS
    ]
    print(table_text(["images", *(f"{w} workers" for w in WORKERS)], rows))
    useful = max(workers for workers in range(1, 100_000) if c / workers >= own(workers))
    print(f"More than {useful} workers are of no use for images as cheap as these.\n")


def duration(seconds: float) -> str:
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


def survive_kills(folder: Path, count: int) -> None:
    """Purify pictures while a third of the workers is killed again and again."""
    write_pictures(folder / "imgs", count, KILLED_SIDE)
    write_dictionary(folder / "dict.h5")
    command = measure.rsparse("purify", folder / "imgs", "--dict", folder / "dict.h5", "-o")
    begin = time.perf_counter()
    with dask(folder, KILLED_WORKERS) as processes:
        running = subprocess.Popen([*command, folder / "out", "--cluster", processes.address],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)  # fmt: skip
        killed = kill_some(processes, running, folder / "out", count)
        stderr = running.communicate()[1]
    seconds = time.perf_counter() - begin
    assert running.returncode == 0, stderr
    subprocess.run([*command, folder / "serial", "--jobs", "1"], check=True, capture_output=True)
    entries = (read_manifest(folder / "out") or {})["images"]
    names = {entry["name"] for entry in entries}
    print(f"### {count:,} pictures of {KILLED_SIDE}×{KILLED_SIDE} on {KILLED_WORKERS} workers, "
          f"{killed} of which were killed\n")  # fmt: skip
    print(f"A third of the workers, chosen at random, was killed {killed * 3 // KILLED_WORKERS} "
          f"times at random moments and replaced; the run took {seconds:.0f} s. Lost: "
          f"{count - len(names)}. Twice in the manifest: {len(entries) - len(names)}. Files that "
          "differ from a serial run's: "
          f"{len(different(folder / 'out', folder / 'serial'))}.\n")  # fmt: skip


def kill_some(
    processes: DaskProcesses, running: subprocess.Popen[bytes], output: Path, count: int
) -> int:
    """Kill a third of the workers at random moments of the run; return how many were killed."""
    rng, killed, finished = random.Random(0), 0, lines_in(output)
    moments = sorted(rng.uniform(0.02, 0.9) for _ in range(KILLS))
    while moments and running.poll() is None:
        if next(finished) < moments[0] * count:
            time.sleep(0.1)
            continue
        del moments[0]
        alive = [worker for worker in processes.workers if worker.poll() is None]
        for worker in rng.sample(alive, KILLED_WORKERS // 3):
            worker.kill()
            worker.wait()
            processes.add_worker()
            killed += 1
    return killed


def lines_in(output: Path) -> Iterator[int]:
    """The number of finished images in the journal, again and again."""
    journal = output / ".rsparse-journal.jsonl"
    while not journal.exists():
        yield 0
    with journal.open("rb") as file:
        lines = 0
        while True:
            lines += file.read().count(b"\n")
            yield lines


def different(one: Path, other: Path) -> set[Path]:
    """The files that are not the same in both folders."""

    def digests(folder: Path) -> set[tuple[Path, str]]:
        files = (path for path in folder.rglob("*") if path.is_file())
        return {(p.relative_to(folder), sha256(p.read_bytes()).hexdigest()) for p in files}

    return {path for path, _ in digests(one) ^ digests(other)}


if __name__ == "__main__":
    main()
