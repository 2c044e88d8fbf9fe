"""Purifying: one image, and the whole command compared with the time of its images alone.

    python benchmarks/purify.py [--shared ../shared] [--full]

For one image, the script measures the CPU time of one thread on one core, as medians of interleaved
runs. For the command, it compares the wall time of a folder with the CPU time of decoding,
purifying and encoding its images, divided by the number of cores.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import measure
import peers
import photographs

from rsparse.core.dictionary import Dictionary
from rsparse.core.regionsparse import purify
from rsparse.options.purify import PurifyParameters
from rsparse.report.markdown_tables import table_text
from rsparse.store.dictionaries import save_dictionary
from rsparse.store.images import Pixels, decode_image, encode_png
from rsparse.store.records import DICTIONARY, Record
from rsparse.work.workers import usable_cores

IMAGES, COMMAND_IMAGES = 5, 1000


def main() -> None:
    options = measure.parser(__doc__).parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    images = photographs.photographs(options.shared, 200)
    dictionary = photographs.learned(images[:50], 256)
    whole_command(images, dictionary, options.work)
    print(
        f"### One image\n\nThe mean of {IMAGES} {photographs.source(options.shared)}, from uint8 "
        "to uint8. `purify` codes the object region (`--sparsity 2`): colour patches of 8×8, "
        "k=256, K=2, stride 2; the object is coded and the rest is filtered. The second row codes "
        "the whole image.\n"
    )
    one_image(images[:: len(images) // IMAGES][:IMAGES], dictionary)


def one_image(images: list[Pixels], dictionary: Dictionary) -> None:
    whole = PurifyParameters(localize=False)

    def each(function: Callable[[Pixels], object]) -> Callable[[], float]:
        return measure.cpu(lambda: [function(image) for image in images])

    def with_scikit() -> float:
        with peers.scikit_engine():
            return each(lambda image: purify(image, dictionary))()

    often = {
        "purify": each(lambda image: purify(image, dictionary)),
        "purify, whole image": each(lambda image: purify(image, dictionary, whole)),
    }
    seconds = measure.interleaved(often)
    seconds |= measure.interleaved({"purify with scikit-learn's OMP": with_scikit}, rounds=2)
    ours = seconds["purify"]
    rows = [
        [name, f"{1000 * value / len(images):.1f}", f"{value / ours:.2g}×"]
        for name, value in seconds.items()
    ]
    print(table_text(["", "CPU ms an image", "/ purify"], rows))


def whole_command(images: list[Pixels], dictionary: Dictionary, work: Path) -> None:
    folder = photographs.folder_of(images, COMMAND_IMAGES, work / "purify")
    file, output = work / "purify.h5", work / "purified"
    save_dictionary(file, Record(DICTIONARY, "learn-dict", {}, inputs=()), dictionary, {}, {})
    jobs = min(2, usable_cores())
    shutil.rmtree(output, ignore_errors=True)

    def command(cores: int) -> tuple[float, float]:
        return measure.child_cpu(measure.rsparse(
            "purify", folder, "--dict", file, "--sparsity", "2", "-o", output, "--overwrite",
            "--jobs", cores,
        ))  # fmt: skip

    serial = command(1)
    before = measure.given_share(jobs)
    used, wall = command(jobs)
    share = (before + measure.given_share(jobs)) / 2
    measure.pin()
    parts = _parts(images[::5], dictionary)
    needed = sum(parts.values()) * COMMAND_IMAGES / jobs
    rows = [[name, f"{1000 * value:.1f}"] for name, value in parts.items()]
    rows.append(["sum", f"{1000 * sum(parts.values()):.1f}"])
    rows.append(["the command with --jobs 1", f"{1000 * serial[0] / COMMAND_IMAGES:.1f}"])
    rows.append([f"the command with --jobs {jobs}", f"{1000 * used / COMMAND_IMAGES:.1f}"])
    print(
        f"### `rsparse purify` on {COMMAND_IMAGES:,} images\n\nPNG files of 299×299 with "
        f"`--sparsity 2 --jobs {jobs}` took {wall:.1f} s of wall time and {used:.1f} CPU-s; the "
        f"images alone need {needed:.1f} s on as many cores. Immediately before and afterwards, "
        f"{jobs} processes that only count got {share:.0%} of a core each; the target below scales "
        "the wall time by this share.\n"
    )
    print(table_text(["part", "CPU ms an image"], rows))
    print(measure.target("wall time × the cores given / CPU time of the images",
                         wall * share / needed, 1.15, at_least=False))  # fmt: skip
    print(measure.target("CPU time of the command / of the images",
                         used / (needed * jobs), 1.15, at_least=False))  # fmt: skip
    print(measure.target(f"CPU time with --jobs {jobs} / with --jobs 1",
                         used / serial[0], 1.1, at_least=False))  # fmt: skip
    print(measure.target(f"wall time with --jobs {jobs} / with --jobs 1, × {jobs}",
                         jobs * wall / serial[1], 1.1, at_least=False), "\n")  # fmt: skip


def _parts(images: list[Pixels], dictionary: Dictionary) -> dict[str, float]:
    """CPU seconds an image, the machine code loaded before."""
    files = [encode_png(image) for image in images]
    clean = [purify(image, dictionary) for image in images]
    seconds = measure.interleaved({
        "decoding": measure.cpu(lambda: [decode_image(file, Path("a.png")) for file in files]),
        "purifying": measure.cpu(lambda: [purify(image, dictionary) for image in images]),
        "encoding": measure.cpu(lambda: [encode_png(image) for image in clean]),
    }, rounds=3)  # fmt: skip
    return {name: value / len(images) for name, value in seconds.items()}


if __name__ == "__main__":
    main()
