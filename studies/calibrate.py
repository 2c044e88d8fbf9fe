"""Judge candidates for the default policy on training photographs, into docs/policies/.

    python -m studies.calibrate --shared ../shared --work bench-work/calibrate

This module attacks photographs of ``train/`` that the classifier gets right (gray-box), judges
candidates, and chooses among them by the noise and period of each image. It does not use
``photos/``. The work folder keeps everything; an interrupted run continues.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from rsparse.core.noise import color_noise, color_period_two, noise_level
from rsparse.defenses import defense_text, parse_defense
from rsparse.defenses.policy import DEFAULT_POLICY, load_policy
from rsparse.evaluation.plan import parse_attacks
from studies.chunks import CLEAN, Photographs, judged
from studies.pages import DOCS
from studies.plans import SPARING, WITHOUT_JPEG, dictionary, model, text_of
from studies.policies import (
    Flags,
    Floats,
    Measured,
    Policy,
    Rule,
    all_bounds,
    chosen,
    color_bounds,
    halves,
    right_behind,
    shares,
)
from studies.tables import Row, write_rows

ATTACKS = ("fgsm:eps=2,10", "bim:eps=2,10", "mi-fgsm-l2:d=0.01", "deepfool:scale=1,2,4")
TAKEN = slice(None)
N_CHUNKS = 40
WHOLE, FILTERED = "localize=no", "localize=no,prefilter=yes"
APART = 8  # stride: patches side by side, each pixel in one


def _coded(k: int, how: str = WHOLE, jpeg: int | None = None) -> str:
    then = "" if jpeg is None else f"+jpeg:quality={jpeg}"
    return f"regionsparse:sparsity={k},stride={APART},{how}{then}"


def _filtered(tolerance: int) -> str:
    return f"{FILTERED},bilateral_sigma_color={tolerance}"


STRONG = f"regionsparse:sparsity=16,min_correlation=2,stride=5,{FILTERED}"
CANDIDATES = (
    *(_coded(k) for k in (24, 12, 8)),
    _coded(8, _filtered(40)),
    _coded(8, _filtered(30), jpeg=60),
    _coded(12, _filtered(60), jpeg=60),
    STRONG,
    f"{STRONG}+jpeg:quality=70",
)
STRONGEST = 6  # the noise of attacks that no candidate is meant for
LAST = f"regionsparse:sparsity=1,{FILTERED}"  # at that noise
MEASURES = (noise_level, color_period_two, color_noise)
TRIED = (  # not part of a policy
    "jpeg:quality=75", "bilateral:sigma-color=60+jpeg:quality=60", SPARING,
)  # fmt: skip
BOUNDS = {"noise and period": all_bounds(), "these and noise in colour": color_bounds()}
BINS = (0.0, 0.3, 0.6, 1.0, 1.6, 2.5, 4.0, 6.0, np.inf)


def main() -> None:
    options = _options()
    photographs = Photographs(
        options.shared / "train",
        TAKEN,
        model(options.shared, options.model),
        parse_attacks(list(ATTACKS)),
        {"": dictionary(options.shared, options.work, jobs=1)},
        options.work,
        N_CHUNKS,
    )
    chunks = range(options.chunks)
    found = judged(photographs, chunks, {}, MEASURES)
    measured = Measured(*(found.measures[measure.__name__] for measure in MEASURES))
    last = (LAST,) if (measured.noise >= STRONGEST).any() else ()
    defenses = {spec: parse_defense(spec)[0] for spec in (*CANDIDATES, *last, *TRIED)}
    found = judged(photographs, chunks, defenses, ())
    candidates = {spec: found.right[spec] for spec in CANDIDATES}
    everything = {spec: found.right[spec] for spec in (*CANDIDATES, *last)}
    right = {text_of(spec): flags for spec, flags in found.right.items()}
    for name in (DEFAULT_POLICY, WITHOUT_JPEG.partition(":")[2]):
        right[f"policy-{name}"] = right_behind(rules_of(name), everything, measured)
    columns = photographs.columns
    tables: Mapping[str, Iterator[Row]] = {
        "candidates": by_column(columns, right),
        "noise-and-period": quantiles(columns, measured),
        "by-noise": by_noise(candidates, measured.noise),
        "chosen": chosen(candidates, measured, columns, BOUNDS),
        "about": about(measured.noise.shape[1], options.chunks),
        "neighbours": halves(compared(), everything, measured, columns),
    }
    print(f"{options.model}, {measured.noise.shape[1]} photographs that it gets right")
    for name, rows in tables.items():
        write_rows(options.output / f"{name}.csv", list(rows))
        print(options.output / f"{name}.csv")


def about(photographs: int, chunks: int) -> Iterator[Row]:
    """How many photographs were judged."""
    yield {"key": "photographs", "value": str(photographs)}
    yield {"key": "chunks", "value": f"{chunks} of {N_CHUNKS}"}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True, help="photographs and models")
    parser.add_argument("--work", type=Path, required=True, help="folder for the artifacts")
    parser.add_argument("--model", choices=("mobilenet-v2", "inception-v3"), default="mobilenet-v2")
    parser.add_argument("--chunks", type=int, default=N_CHUNKS, help="judge only the first ones")
    parser.add_argument(
        "-o", "--output", type=Path, default=DOCS / "policies", help="folder for the tables"
    )
    return parser.parse_args()


def rules_of(name: str) -> Policy:
    """A built-in policy, with the specs of the candidates."""
    specs = {text_of(spec): spec for spec in (*CANDIDATES, LAST)}
    return tuple(
        Rule(rule.noise_below, rule.color_period_below, np.inf, specs[defense_text(rule.defense)])
        for rule in load_policy(name).defense.rules
    )


def compared() -> tuple[Policy, ...]:
    """The default policy, and others that differ from it in one bound or defense."""
    default = rules_of(DEFAULT_POLICY)
    first, second, third, last = default

    def with_weak(defense: str) -> Policy:
        return (first, second._replace(defense=defense), third, last)

    return (
        default,
        *((first._replace(defense=_coded(k)), *default[1:]) for k in (24, 8)),
        *((first._replace(period_below=period), *default[1:]) for period in (2.0, 3.0, 4.0)),
        *((first, second._replace(noise_below=noise), third, last) for noise in (1.2, 2.2)),
        with_weak(_coded(8, _filtered(40))),
        with_weak(_coded(12, _filtered(60), jpeg=60)),
        (first, second, third._replace(defense=STRONG), last),
    )


def by_column(columns: Sequence[str], right: Mapping[str, Flags]) -> Iterator[Row]:
    """Top-1 of each defense in each column, sorted by the mean over attacked columns."""
    for name in sorted(right, key=lambda name: -right[name][1:].mean()):
        means = {
            f"{k}_share" if k == CLEAN else k: v for k, v in shares(right[name], columns).items()
        }
        yield {"defense": name, **_cells(columns, right[name].mean(axis=1)), **means}
    best = np.max([flags.mean(axis=1) for flags in right.values()], axis=0)
    yield {"defense": "the best of each column", **_cells(columns, best)}


def _cells(columns: Sequence[str], means: Floats) -> Row:
    row = {name: f"{100 * mean:.0f}" for name, mean in zip(columns, means, strict=True)}
    return row | {"mean": f"{100 * means[1:].mean():.1f}"}


def quantiles(columns: Sequence[str], measured: Measured) -> Iterator[Row]:
    """The 10, 50 and 90 % quantiles of noise and period in each column."""
    for name, values in measured._asdict().items():
        for share in (0.1, 0.5, 0.9):
            found = np.quantile(values, share, axis=1)
            yield {
                "measure": name,
                "quantile_percent": f"{100 * share:.0f}",
                **{c: f"{value:.1f}" for c, value in zip(columns, found, strict=True)},
            }


def by_noise(candidates: Mapping[str, Flags], noise: Floats) -> Iterator[Row]:
    """Top-1 of each candidate on attacked images, by the noise of the images."""
    places = {
        f"{low:g} to {high:g}": ((noise >= low) & (noise < high))[1:]
        for low, high in pairwise(BINS)
    }
    yield {"defense": "images", **{name: str(place.sum()) for name, place in places.items()}}
    for spec, flags in candidates.items():
        found = {
            n: f"{100 * flags[1:][p].mean():.0f}" if p.any() else "" for n, p in places.items()
        }
        yield {"defense": spec, **found}


if __name__ == "__main__":
    main()
