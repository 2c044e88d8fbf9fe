"""Evaluate candidates for the default policy, into docs/policies/.

    python -m studies.calibrate --shared ../shared --work bench-work/calibrate

This module attacks the photographs of ``train/`` that the classifier gets right (gray-box),
evaluates candidates as ``rsparse evaluate`` does, and chooses among them by the noise of each
image. It does not use ``photos/``. The work folder keeps everything; an interrupted run continues.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np

from rsparse.commands.evaluate.columns import PlannedColumn
from rsparse.commands.evaluate.evaluate import run_matrix
from rsparse.commands.evaluate.layout import Matrix
from rsparse.core.noise import Pixels, noise_level, period_two
from rsparse.defenses import defense_text, parse_defenses
from rsparse.defenses.policy import load_policy
from rsparse.evaluation.loading import load_evaluation
from rsparse.evaluation.plan import Plan, parse_attacks
from rsparse.evaluation.results import Column, Evaluation
from rsparse.options.evaluate import EvaluateParameters
from rsparse.options.labels import LabelOptions
from rsparse.store.images import decode_image
from rsparse.work.workers import LocalWorkers
from studies.pages import DOCS
from studies.plans import dictionary, model, text_of
from studies.policies import Flags, Floats, Measured, Policy, Rule, chosen, halves, right_behind
from studies.tables import Row, write_rows

ATTACKS = (
    "fgsm:eps=2,6,14,22", "bim:eps=2,6,14,22", "mi-fgsm:d=0.01,0.05,0.1,0.2",
    "cw-l2:d=0.01,0.05,0.1,0.2,steps=30",
)  # fmt: skip
WHOLE, FILTERED = "localize=no", "localize=no,prefilter=yes"
APART = 8  # stride: patches side by side, each pixel in one
FEW = f"regionsparse:sparsity=16,min_correlation=2,stride=5,{FILTERED}"
CANDIDATES = (
    "none",
    *(f"regionsparse:sparsity={k},{FILTERED}" for k in (1, 2, 4)),
    *(f"regionsparse:sparsity={k},stride={APART},{FILTERED}" for k in (2, 3, 4, 5, 6)),
    *(f"regionsparse:sparsity={k},stride={APART},{WHOLE}" for k in (3, 4, 6)),
    FEW,
)
TRIED = (  # also judged, but not part of a policy
    f"regionsparse:sparsity=16,min_correlation=1.5,stride=5,{FILTERED}",
    f"regionsparse:sparsity=16,min_correlation=1.5,stride=8,{FILTERED}",
    f"regionsparse:sparsity=1,stride=4,{FILTERED}",
    f"regionsparse:sparsity=8,stride=4,{FILTERED}",
    "bilateral+jpeg:quality=20", "jpeg:quality=10", "jpeg:quality=20",
)  # fmt: skip
BINS = (0.0, 0.3, 0.6, 1.0, 1.6, 2.5, 4.0, 6.0, np.inf)


def _of_file(word: str) -> Policy:
    """A built-in policy, or one from a file in this folder, with the specs of its candidates."""
    specs = {text_of(spec): spec for spec in CANDIDATES}
    return tuple(
        Rule(rule.noise_below, rule.period_below, specs[defense_text(rule.defense)])
        for rule in load_policy(word, Path(__file__).parent).defense.rules
    )


DEFAULT, FORMER = _of_file("default"), _of_file("former.toml")
KEEP, WEAK, MIDDLE, LAST = DEFAULT


def _weak(k: int) -> Rule:
    return WEAK._replace(defense=f"regionsparse:sparsity={k},stride={APART},{FILTERED}")


COMPARED = (
    FORMER,
    *((KEEP, _weak(k), LAST) for k in (6, 5, 4)),
    (KEEP, WEAK, MIDDLE._replace(noise_below=np.inf)),
    DEFAULT,
    (KEEP._replace(period_below=np.inf), *DEFAULT[1:]),
    (KEEP._replace(noise_below=0.4, period_below=2.5), *DEFAULT[1:]),
)


def main() -> None:
    options = _options()
    found, measured = _judged(options)
    right = {d.text: np.stack([found.correct(c, d) for c in found.columns]) for d in found.defenses}
    candidates = {spec: right[text_of(spec)] for spec in CANDIDATES}
    right["policy-default"] = right_behind(DEFAULT, candidates, measured)
    right["policy-former"] = right_behind(FORMER, candidates, measured)
    tables: Mapping[str, Iterator[Row]] = {
        "candidates": by_column(found.columns, right),
        "noise-and-period": quantiles(found.columns, measured),
        "by-noise": by_noise(candidates, measured.noise),
        "chosen": chosen(candidates, measured),
        "neighbours": halves(COMPARED, candidates, measured),
    }
    print(f"{options.model}, {len(found.names)} photographs that it gets right")
    for name, rows in tables.items():
        write_rows(options.output / f"{name}.csv", list(rows))
        print(options.output / f"{name}.csv")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True, help="photographs and models")
    parser.add_argument("--work", type=Path, required=True, help="folder for the artifacts")
    parser.add_argument("--model", choices=("mobilenet-v2", "inception-v3"), default="mobilenet-v2")
    parser.add_argument("--every", type=int, default=5, help="take every n-th photograph")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument(
        "-o", "--output", type=Path, default=DOCS / "policies", help="folder for the tables"
    )
    return parser.parse_args()


def _judged(options: argparse.Namespace) -> tuple[Evaluation, Measured]:
    """The evaluation of all candidates, and the noise and period of each image of each column."""
    matrix = Matrix(_plan(options))
    run_matrix(matrix, workers=LocalWorkers(options.jobs))
    found = load_evaluation(matrix.plan.output)
    images = [[_image(matrix, column, name) for name in found.names] for column in matrix.columns]
    noise, period = (
        np.array([[measure(image) for image in column] for column in images])
        for measure in (noise_level, period_two)
    )
    return found, Measured(noise, period)


def _plan(options: argparse.Namespace) -> Plan:
    train = options.shared / "train"
    return Plan(
        images=tuple(sorted(train.glob("*.jpg"))[:: options.every]),
        labels=LabelOptions(train / "labels.csv"),
        model=model(options.shared, options.model),
        attacks=parse_attacks(list(ATTACKS)),
        defenses=parse_defenses([*CANDIDATES, *TRIED]),
        output=options.work / options.model,
        dictionaries={"": dictionary(options.shared, options.work, jobs=options.jobs)},
        parameters=EvaluateParameters(extra_checks=False),
    )


def _image(matrix: Matrix, column: PlannedColumn, name: str) -> Pixels:
    path = matrix.folder_of(column) / f"{name}.png"
    return decode_image(path.read_bytes(), path)


def by_column(columns: tuple[Column, ...], right: Mapping[str, Flags]) -> Iterator[Row]:
    """Top-1 of each defense in each column, sorted by the mean over attacked columns."""
    shares = {name: 100 * flags.mean(axis=1) for name, flags in right.items()}
    for name in sorted(shares, key=lambda name: -shares[name][1:].mean()):
        yield {"defense": name, **_cells(columns, shares[name])}
    best = np.max(list(shares.values()), axis=0)
    yield {"defense": "the best of each column", **_cells(columns, best)}


def _cells(columns: tuple[Column, ...], shares: Floats) -> Row:
    row = {c.attack: f"{share:.0f}" for c, share in zip(columns, shares, strict=True)}
    return row | {"mean": f"{shares[1:].mean():.1f}"}


def quantiles(columns: tuple[Column, ...], measured: Measured) -> Iterator[Row]:
    """The 10, 50 and 90 % quantiles of noise and period in each column."""
    for name, values in measured._asdict().items():
        for share in (0.1, 0.5, 0.9):
            found = np.quantile(values, share, axis=1)
            yield {
                "measure": name,
                "quantile_percent": f"{100 * share:.0f}",
                **{c.attack: f"{value:.1f}" for c, value in zip(columns, found, strict=True)},
            }


def by_noise(candidates: Mapping[str, Flags], noise: Floats) -> Iterator[Row]:
    """Top-1 of each candidate on attacked images, by the noise of the images."""
    places = {
        f"{low:g} to {high:g}": ((noise >= low) & (noise < high))[1:]
        for low, high in pairwise(BINS)
    }
    yield {"defense": "images", **{name: str(place.sum()) for name, place in places.items()}}
    for spec, flags in candidates.items():
        shares = {
            n: f"{100 * flags[1:][p].mean():.0f}" if p.any() else "" for n, p in places.items()
        }
        yield {"defense": spec, **shares}


if __name__ == "__main__":
    main()
