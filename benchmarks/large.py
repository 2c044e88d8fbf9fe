"""Peak memory of the commands on one picture of 24 and, with --full, 100 million pixels.

    python benchmarks/large.py [--full] [--defense SPEC …]

The largest resident set of a command with ``--jobs 1``, and what of it grows with the picture:
bytes a pixel beyond the same command on a picture of 64×64. Linux only.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import measure
import numpy as np

from rsparse.data import demo_model
from rsparse.report.markdown_tables import table_text
from rsparse.store.images import encode_png

SIDES = {24: (4_000, 6_000), 100: (10_000, 10_000)}
SMALL = (64, 64)
LIMIT = 40  # bytes a pixel
MEASURER = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""  # a small process: the peak of a new process is at first that of the one that starts it
DEFENSES = (
    "policy:default", "regionsparse:sparsity=2", "regionsparse:sparsity=5,stride=8,localize=no",
    "nlm", "tv", "tvm", "median", "feature-squeezing", "bilateral", "gaussian", "jpeg",
    "slq", "bit-depth",
)  # fmt: skip


def main() -> None:
    parser = measure.parser(__doc__)
    parser.add_argument("--defense", action="append", help="measure only this one; may be repeated")
    options = parser.parse_args()
    folder = options.work / "large"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    sizes = [24, *([100] if options.full else [])]
    small = picture(folder / "small.png", SMALL)
    atoms = folder / "dict.h5"
    learn = ("--cosines", "--overwrite")
    peak(measure.rsparse("learn-dict", small, "-o", atoms, *learn))
    rows, largest = [], 0.0
    for name, command in commands(folder, atoms, options.defense).items():
        base, row = peak(command(small)), [f"`{name}`"]
        for size in sizes:
            height, width = SIDES[size]
            own = peak(command(picture(folder / f"{size}.jpg", (height, width))))
            each = (own - base) / (height * width)
            row += [f"{own / 1e6:,.0f}", f"{each:.1f}"]
            largest = max(largest, each)
        rows.append(row)
    heads = [head for size in sizes for head in (f"MB at {size} MP", "bytes a pixel")]
    print("### Memory of one large picture\n")
    print(table_text(["command", *heads], rows))
    print(measure.target("bytes a pixel, the most", largest, LIMIT, at_least=False, digits=0))


def picture(path: Path, size: tuple[int, int]) -> Path:
    """A picture with smooth parts, edges and noise, made once."""
    if not path.exists():
        rng = np.random.default_rng(0)
        coarse = rng.integers(0, 256, (max(size[0] // 64, 2), max(size[1] // 64, 2), 3), np.uint8)
        pixels = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_LINEAR)
        noise = rng.integers(0, 9, (size[0], size[1], 1), np.uint8)
        pixels = cv2.add(pixels, np.repeat(noise, 3, axis=2))
        content = encode_png(pixels) if path.suffix == ".png" else jpeg(pixels)
        path.write_bytes(content)
    return path


def jpeg(pixels: np.ndarray) -> bytes:
    """The pixels as a JPEG."""
    return cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


def commands(folder: Path, atoms: Path, chosen: list[str] | None):
    """Functions that give the command line for a picture, by name; without others than chosen."""
    output, one = folder / "out", ("--overwrite", "--jobs", 1)

    def purify(defense: str):
        return lambda path: measure.rsparse(
            "purify", path, "--defense", defense, "--dict", atoms, "-o", output / "clean", *one
        )

    others = {
        "localize": lambda path: measure.rsparse("localize", path, "-o", output / "masks", *one),
        "classify": lambda path: measure.rsparse(
            "classify", path, "--model", demo_model(), "-o", output / "pred.csv", *one
        ),
        "learn-dict": lambda path: measure.rsparse(
            "learn-dict", path, "--cosines", "-o", output / "dict.h5", *one
        ),
    }
    defenses = {f"purify --defense {d}": purify(d) for d in chosen or DEFENSES}
    return defenses if chosen else {**defenses, **others}


def peak(command: list[str]) -> int:
    """Bytes of the largest resident set of a command's process.

    Raises
    ------
    RuntimeError
        If the command fails.
    """
    done = subprocess.run(
        [sys.executable, "-c", MEASURER, *command], check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return 1024 * int(done.stdout)


if __name__ == "__main__":
    main()
