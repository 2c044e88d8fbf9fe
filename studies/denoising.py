"""Measure how well denoisers remove noise of σ = 25/255 from photographs, and how fast.

    python -m studies.denoising --shared ../shared

The result is docs/results/denoising.csv: mean PSNR in dB over four photographs (the first of each
eight) at their own size, and the median CPU time. Rows of other denoisers stay. CBM3D is that of
the package bm3d, which is not free for all uses, so it is no requirement; its row is measured where
it is installed.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from rsparse.defenses import Resources
from rsparse.denoisers import parse_denoiser
from rsparse.store.finding import find_images
from rsparse.store.images import decode_image, to_unit
from rsparse.work.one_core import one_thread
from studies.pages import DOCS
from studies.tables import read_rows, write_rows

SIGMA = 25 / 255
DENOISERS = (
    *("unrolled", "unrolled:keeps=pixels,stride=6", "unrolled:keeps=pixels"),
    *("unrolled:keeps=pixels,stride=2", "unrolled:keeps=pixels,stride=1"),
    *("omp:threshold=3,stride=4", "nlm:h=22"),
)
CBM3D = "CBM3D (the package bm3d)"
TABLE = DOCS / "results" / "denoising.csv"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True, help="photographs")
    parser.add_argument("--denoiser", nargs="*", default=[*DENOISERS, CBM3D])
    options = parser.parse_args()
    images = [
        to_unit(decode_image(image.read(), image.path))
        for image in list(find_images([options.shared / "photos"]))[::8][:4]
    ]
    rows = {row["denoiser"]: row for row in (read_rows(TABLE) if TABLE.exists() else [])}
    for name in options.denoiser:
        if name != CBM3D:
            denoise = partial(_denoise, parse_denoiser(name))
        elif find_spec("bm3d") is not None:
            denoise = _bm3d
        else:
            continue
        with one_thread():
            rows[name] = measured(name, denoise, images)
        print(rows[name], flush=True)
    order = [*DENOISERS, CBM3D]
    write_rows(TABLE, [rows[name] for name in order if name in rows])


def measured(name: str, denoise, images) -> dict[str, str]:
    """A row of the table."""
    values, seconds = [], []
    for number, x in enumerate(images):
        noise = np.random.default_rng(number).standard_normal(x.shape, np.float32)
        noisy = x + np.float32(SIGMA) * noise
        if number == 0 and name != CBM3D:
            denoise(noisy)  # compiles
        start = time.process_time()
        y = denoise(noisy)
        seconds.append(time.process_time() - start)
        values.append(-10 * np.log10(np.square(np.clip(y, 0, 1) - x).mean()))
    return {
        "denoiser": name, "psnr": f"{np.mean(values):.2f}",
        "milliseconds": f"{1000 * np.median(seconds):.0f}", "photographs": str(len(images)),
    }  # fmt: skip


def _denoise(denoiser, noisy):
    return denoiser.denoise(noisy, SIGMA, Resources())


def _bm3d(noisy):
    from bm3d import bm3d_rgb

    return bm3d_rgb(noisy.astype(np.float64), SIGMA)


if __name__ == "__main__":
    main()
