"""How fast `rsparse verify` reads a folder of images, compared with hashing alone.

    python benchmarks/verify.py [--full]

Both sides hash the same files, which are in the system's cache: the images of an artifact and those
that it was made from. The differences between a large folder and a small one leave out what a
program needs to start. All figures are CPU time of a process and its threads.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path

import measure
import numpy as np

from rsparse.commands.purify import purify_images
from rsparse.commands.verify.verify import verify_artifacts
from rsparse.defenses import parse_defense
from rsparse.report.markdown_tables import table_text
from rsparse.store.images import encode_png

SMALL, LARGE, LARGE_FULL = 100, 1_000, 10_000
SIDE = 200  # pixels: noise in a PNG file of 120 kB
WANTED = 0.8


def main() -> None:
    options = measure.parser(__doc__).parse_args()
    large = LARGE_FULL if options.full else LARGE
    with tempfile.TemporaryDirectory() as name:
        folders = {count: artifact(Path(name) / f"{count}", count) for count in (SMALL, large)}
        timed: dict[str, Callable[[], float]] = {}
        for count, folder in folders.items():
            timed[f"verify {count}"] = measure.cpu(partial(verify_artifacts, [folder]))
            timed[f"sha256sum {count}"] = partial(sha256sum, folder)
            timed[f"hashlib {count}"] = measure.cpu(partial(read_and_hash, folder.parent))
        seconds = measure.interleaved(timed)
    size = 2 * (large - SMALL)

    def of_a_file(what: str) -> float:
        return (seconds[f"{what} {large}"] - seconds[f"{what} {SMALL}"]) / size

    names = ("verify", "sha256sum", "hashlib")
    rows = [[name, f"{1e6 * of_a_file(name):.0f}"] for name in names]
    print(f"### `rsparse verify`\n\n{large:,} PNG files of 120 kB and those they were made from.\n")
    print(table_text(["", "CPU-µs a file"], rows))
    ours = of_a_file("verify")
    for name in names[1:]:
        what = f"speed of `verify` / of {name}"
        print(measure.target(what, of_a_file(name) / ours, WANTED, at_least=True))


def artifact(folder: Path, count: int) -> Path:
    """Images of noise, and the artifact of purifying them."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(count)
    for number in range(count):
        pixels = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        (folder / "images" / f"{number:05d}.png").write_bytes(encode_png(pixels))
    purify_images([folder / "images"], parse_defense("none")[0], folder / "same")
    return folder / "same"


def sha256sum(folder: Path) -> float:
    """CPU seconds of hashing the artifact and its input with the command ``sha256sum``."""
    files = sorted(folder.parent.rglob("*.png"))
    return measure.child_cpu(["sha256sum", "--", *files])[0]


def read_and_hash(folder: Path) -> None:
    """Do the least that Python can do: read each file whole and hash it."""
    for path in folder.rglob("*.png"):
        sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
