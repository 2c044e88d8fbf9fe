"""Measure what randomized smoothing certifies behind each denoiser.

    python -m studies.certificates --shared ../shared --work ../work

Samples are spent in two stages. In the first, every photograph gets ``--n`` samples. In the second,
those photographs whose probability may still be high enough for the radius ``--reach`` get
``--more`` other samples. The first stage alone decides which these are, so its samples are never
part of the bounds of the second. Each stage has half of alpha, so both bounds hold together with
the confidence 1 − alpha, and the larger radius counts. The selection of the class is the same in
both.

The result is docs/results/certified.csv: shares of photographs certified as the right class, with
Wilson's intervals; McNemar's exact test against the first denoiser at the radius 0.1, over the
photographs of both; CPU milliseconds of a sample, classifier included. Rows of other denoisers
stay. Photographs are taken in four chunks of every fourth one; slow denoisers (``SLOW``) get the
first chunk only. Certificates are kept in ``--work``, so that an interrupted run continues.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rsparse.commands.certify.certify import certify_images
from rsparse.commands.certify.sampling import Block, CountClasses
from rsparse.core.metrics import share_of
from rsparse.core.paired import mcnemar
from rsparse.core.smoothing import ABSTAIN, largest_radius
from rsparse.defenses import Resources
from rsparse.denoisers import parse_denoiser
from rsparse.models.onnx.classifier import load_classifier
from rsparse.models.spec import InputOptions
from rsparse.options.certify import CertifyParameters
from rsparse.options.labels import LabelOptions
from rsparse.store.certificates import CERTIFICATES_FILE, RADII, Certificates, load_certificates
from rsparse.store.finding import find_images
from rsparse.work.one_core import one_thread
from rsparse.work.workers import LocalWorkers
from studies.pages import DOCS
from studies.tables import Row, read_rows, write_rows

DENOISERS = ("unrolled", "gaussian:sigma=1", "none", "omp:threshold=3,stride=4", "nlm:h=30")
SLOW = DENOISERS[3:]
CHUNKS = 4
MODEL, PRESET = "mobilenet_v2_224.onnx", "mobilenet-v2"
ALPHA = 0.001
COMPARED = 0.1  # the radius of the paired test
TIMED = 20  # samples
TABLE = DOCS / "results" / "certified.csv"


class Outcome(NamedTuple):
    """Of each photograph: its name, whether the class is right, and the certified radius."""

    names: tuple[str, ...]
    right: np.ndarray
    radii: np.ndarray
    second: int
    """Photographs of the second stage."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True, help="photographs and models")
    parser.add_argument("--work", type=Path, required=True, help="keeps the certificates")
    parser.add_argument("--chunks", type=int, default=CHUNKS, help="of 50 photographs each")
    parser.add_argument("--model", type=Path, help="another classifier of the same input")
    parser.add_argument("--n", type=int, default=100, help="a multiple of 100")
    parser.add_argument("--n0", type=int, default=10)
    parser.add_argument("--more", type=int, default=1000, help="0: no second stage")
    parser.add_argument("--reach", type=float, default=0.25)
    parser.add_argument("--sigma", type=float, default=0.12)
    parser.add_argument("--denoiser", nargs="*", default=DENOISERS)
    parser.add_argument("--jobs", type=int, default=0)
    options = parser.parse_args()
    photographs = list(find_images([options.shared / "photos"]))
    first: Outcome | None = None
    for spec in options.denoiser:
        chunks = [photographs[k::CHUNKS] for k in range(1 if spec in SLOW else options.chunks)]
        found = joined([outcome_of(chunk, spec, k, options) for k, chunk in enumerate(chunks)])
        row = row_of(found, spec, options)
        row["ms"] = f"{sample_time(photographs[0], spec, options):.0f}"
        row["p"] = "" if first is None else f"{compared(first, found):.2g}"
        first = first or found
        print(row, flush=True)
        save(row)


def joined(parts: list[Outcome]) -> Outcome:
    return Outcome(
        sum((part.names for part in parts), ()),
        np.concatenate([part.right for part in parts]),
        np.concatenate([part.radii for part in parts]),
        sum(part.second for part in parts),
    )


def outcome_of(chosen, spec: str, k: int, options) -> Outcome:
    """Certify the photographs of the k-th chunk in both stages."""
    stage = certificates_of(chosen, spec, k, options, 0, options.n)
    names = tuple(image.name for image in chosen)
    right, radii = stage.is_right(0), stage.certified[2][0].copy()
    again = [image for image, may in zip(chosen, may_reach(stage, options), strict=True) if may]
    if options.more and again:
        other = certificates_of(again, spec, k, options, options.n, options.more)
        places = [names.index(name) for name in other.names]
        radii[places] = np.maximum(radii[places], other.certified[2][0])
        right[places] |= other.is_right(0)
    return Outcome(names, right, radii, len(again))


def may_reach(found: Certificates, options) -> np.ndarray:
    """Which photographs may have the probability that the radius ``--reach`` takes.

    Those that are certified at all, and of which the upper bound of the probability (95 %,
    Clopper-Pearson) is not below Φ(radius / σ).
    """
    from scipy.stats import beta, norm

    classes = found.certified[0][0]
    hits = np.zeros(len(classes))
    for _, number, index, _, count in found.counts.tolist():
        if index == classes[number]:
            hits[number] = count
    upper = np.where(hits < found.n, beta.ppf(0.95, hits + 1, np.maximum(found.n - hits, 1)), 1)
    return (classes != ABSTAIN) & (upper >= norm.cdf(options.reach / options.sigma))


def certificates_of(chosen, spec: str, k: int, options, first: int, n: int) -> Certificates:
    """The certificates of photographs from ``n`` samples, made unless they are there."""
    model = options.model or options.shared / "models" / MODEL
    text = f"{model.stem}-{spec}-{options.sigma:g}-{options.n0}-{first}-{n}-{k}"
    folder = options.work / text.replace(":", "-")
    if not (folder / CERTIFICATES_FILE).exists():
        certify_images(
            [image.path for image in chosen], model, folder,
            CertifyParameters(
                sigma=f"{options.sigma!r}", denoiser=spec, n0=options.n0, n=n, first=first,
                alpha=ALPHA,
            ),
            InputOptions(PRESET),
            labels=LabelOptions(options.shared / "photos" / "labels.csv"),
            workers=LocalWorkers(options.jobs),
        )  # fmt: skip
    found, _ = load_certificates(folder)
    return replace(found.only([image.name for image in chosen]), alpha=alpha_of(options))


def alpha_of(options) -> float:
    """The alpha of each stage."""
    return ALPHA / 2 if options.more else ALPHA


def row_of(found: Outcome, spec: str, options) -> Row:
    """How many photographs are certified within each radius."""
    row = {
        "classifier": options.model.stem if options.model else Path(MODEL).stem,
        "sigma": f"{options.sigma:g}", "denoiser": spec, "photographs": str(len(found.names)),
        "n0": str(options.n0), "n": str(options.n), "more": str(options.more),
        "again": str(found.second),
    }  # fmt: skip
    cap = largest_radius(options.more or options.n, options.sigma, alpha_of(options))
    row["cap"] = f"{cap:.3f}"
    for radius in RADII:
        cells = ("", "", "")
        if radius <= cap:
            counted = found.right & (found.radii >= radius) & (found.radii > 0)
            share = share_of(int(counted.sum()), len(found.names))
            values = (share.value, share.low, share.high)
            cells = tuple(f"{100 * value:.1f}" for value in values)
        for name, cell in zip(("at", "low", "high"), cells, strict=True):
            row[f"{name}_{radius:g}"] = cell
    return row


def compared(first: Outcome, other: Outcome) -> float:
    """The p-value of the difference at ``COMPARED``, over the photographs of both."""
    both = [name for name in first.names if name in set(other.names)]
    flags = []
    for found in (first, other):
        places = [found.names.index(name) for name in both]
        flags.append((found.right & (found.radii >= COMPARED))[places])
    return mcnemar(*flags)


def sample_time(image, spec: str, options) -> float:
    """CPU milliseconds of a sample: noise, denoiser and classifier; the median of three."""
    model = options.model or options.shared / "models" / MODEL
    classifier = load_classifier(model, InputOptions(PRESET))
    step = CountClasses(classifier, parse_denoiser(spec), Resources(), (options.sigma,), 0)
    block = Block("timed", image.path, image.root, image.name, 0, 1, 0, TIMED)
    seconds = []
    with one_thread():
        for _ in range(4):  # the first one compiles
            start = time.process_time()
            step(block)
            seconds.append(time.process_time() - start)
    return 1000 * float(np.median(seconds[1:])) / TIMED


def save(row: Row) -> None:
    """Put a row into the table, in place of the one of the same classifier, σ and denoiser."""
    rows = {_key(old): old for old in (read_rows(TABLE) if TABLE.exists() else [])}
    rows[_key(row)] = row
    write_rows(TABLE, [rows[key] for key in sorted(rows)])


def _key(row: Row) -> tuple[str, float, int, str]:
    spec = row["denoiser"]
    place = DENOISERS.index(spec) if spec in DENOISERS else len(DENOISERS)
    return row["classifier"], float(row["sigma"]), place, spec


if __name__ == "__main__":
    main()
