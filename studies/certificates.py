"""Measure what randomized smoothing certifies behind each denoiser, and how well each denoises.

    python -m studies.certificates --shared ../shared --work ../work --photographs 50 --n 200

The results are docs/results/certified.csv (certified shares with Wilson's intervals; paired tests
against the first denoiser) and docs/results/denoising.csv (PSNR and CPU time). Every n-th
photograph is taken if fewer than 200 are wanted.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from rsparse.commands.certify.certify import certify_images
from rsparse.core.paired import mcnemar
from rsparse.defenses import Resources
from rsparse.denoisers import parse_denoiser
from rsparse.models.spec import InputOptions
from rsparse.options.certify import CertifyParameters
from rsparse.options.labels import LabelOptions
from rsparse.store.certificates import CERTIFICATES_FILE, RADII, Certificates, load_certificates
from rsparse.store.finding import find_images
from rsparse.store.images import decode_image, to_unit
from rsparse.work.workers import LocalWorkers
from studies.pages import DOCS
from studies.tables import write_rows

DENOISERS = ("unrolled", "omp:threshold=3,stride=4", "gaussian:sigma=1", "nlm:h=30", "none")
SIGMAS = (0.06, 0.12, 0.25)
MODEL, PRESET = "mobilenet_v2_224.onnx", "mobilenet-v2"
PSNR_SIGMA = 25 / 255
PSNR_DENOISERS = (
    *("unrolled", "unrolled:keeps=pixels", "unrolled:keeps=pixels,stride=2"),
    *("unrolled:keeps=pixels,stride=1", "omp:threshold=3,stride=4", "nlm:h=22"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True, help="photographs and models")
    parser.add_argument("--work", type=Path, required=True, help="keeps the certificates")
    parser.add_argument("--photographs", type=int, default=200)
    parser.add_argument("--take", type=int, help="only the first of these photographs")
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--n0", type=int, default=100)
    parser.add_argument("--sigma", type=float, nargs="*", default=SIGMAS)
    parser.add_argument("--denoiser", nargs="*", default=DENOISERS)
    parser.add_argument("--only", choices=("certified", "denoising"))
    parser.add_argument("--jobs", type=int, default=0)
    options = parser.parse_args()
    photographs = list(find_images([options.shared / "photos"]))
    chosen = photographs[:: len(photographs) // options.photographs][: options.photographs]
    if options.only != "certified":
        write_rows(DOCS / "results" / "denoising.csv", denoising(chosen[:8:2]))
    if options.only != "denoising":
        write_rows(DOCS / "results" / "certified.csv", certified(chosen, options))


def certified(chosen, options) -> list[dict[str, str]]:
    """A row for each σ and denoiser."""
    rows = []
    for sigma in options.sigma:
        first: Certificates | None = None
        for spec in options.denoiser:
            found = certificates_of(chosen, sigma, spec, options)
            first = first or found
            rows.append(row_of(found, first, spec))
            print(rows[-1], flush=True)
    return rows


def certificates_of(chosen, sigma: float, spec: str, options) -> Certificates:
    """The certificates of the photographs to take, made unless those of all are there."""
    taken = chosen[: options.take]
    folders = [
        options.work / f"{spec}-{sigma:g}-{options.n0}-{options.n}-{len(some)}".replace(":", "-")
        for some in (chosen, taken)
    ]
    if not any((folder / CERTIFICATES_FILE).exists() for folder in folders):
        certify_images(
            [image.path for image in taken], options.shared / "models" / MODEL, folders[1],
            CertifyParameters(sigma=f"{sigma!r}", denoiser=spec, n0=options.n0, n=options.n),
            InputOptions(PRESET),
            labels=LabelOptions(options.shared / "photos" / "labels.csv"),
            workers=LocalWorkers(options.jobs),
        )  # fmt: skip
    folder = next(folder for folder in folders if (folder / CERTIFICATES_FILE).exists())
    found, _ = load_certificates(folder)
    return found.only([image.name for image in taken])


def row_of(found: Certificates, first: Certificates, spec: str) -> dict[str, str]:
    """The shares within each radius, and the p-value of the difference at 0.1 to ``first``."""
    row = {"sigma": f"{found.sigmas[0]:g}", "denoiser": spec}
    row |= {"photographs": str(len(found.names)), "n0": str(found.n0), "n": str(found.n)}
    right = [each.is_right(0) & (each.certified[2][0] >= 0.1) for each in (first, found)]
    for radius in RADII:
        if radius <= found.caps[0]:
            share = found.certified_accuracy(0, radius)
            row[f"at_{radius:g}"] = str(share.correct)
            row[f"low_{radius:g}"] = f"{100 * share.low:.1f}"
            row[f"high_{radius:g}"] = f"{100 * share.high:.1f}"
        else:
            row |= dict.fromkeys((f"at_{radius:g}", f"low_{radius:g}", f"high_{radius:g}"), "")
    row["p"] = f"{mcnemar(*right):.2g}" if found is not first else ""
    return row


def denoising(chosen) -> list[dict[str, str]]:
    """PSNR and CPU time on whole photographs at their own size."""
    images = [to_unit(decode_image(image.read(), image.path)) for image in chosen]
    ways = {spec: partial(_denoise, parse_denoiser(spec)) for spec in PSNR_DENOISERS}
    if find_spec("bm3d") is not None:  # not free for all uses, so it is no requirement
        ways["CBM3D (the package bm3d)"] = _bm3d
    rows = []
    for name, denoise in ways.items():
        values, seconds = [], []
        for number, x in enumerate(images):
            noise = np.random.default_rng(number).standard_normal(x.shape, np.float32)
            noisy = x + np.float32(PSNR_SIGMA) * noise
            start = time.process_time()
            y = denoise(noisy)
            seconds.append(time.process_time() - start)
            values.append(-10 * np.log10(np.square(np.clip(y, 0, 1) - x).mean()))
        rows.append({
            "denoiser": name, "psnr": f"{np.mean(values):.2f}",
            "milliseconds": f"{1000 * np.median(seconds):.0f}", "photographs": str(len(images)),
        })  # fmt: skip
        print(rows[-1], flush=True)
    return rows


def _denoise(denoiser, noisy):
    return denoiser.denoise(noisy, PSNR_SIGMA, Resources())


def _bm3d(noisy):
    from bm3d import bm3d_rgb

    return bm3d_rgb(noisy.astype(np.float64), PSNR_SIGMA)


if __name__ == "__main__":
    main()
