"""Calibrate the levels of ``--sparsity auto`` on training photographs, and tell what was tried.

Attacks photographs of ``train/`` that the classifier gets right (gray-box), judges candidates by
``rsparse evaluate``, and chooses by the noise that each image shows. Nothing here sees ``photos/``.
Everything is kept in the work folder; an interrupted run goes on where it stopped.

    python -m studies.calibrate --shared ../shared --work bench-work/calibrate

Prints Markdown: each candidate, the noise by column, each level's accuracy by noise, and the best
levels for the clean accuracy that is asked for.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsparse.commands.evaluate.evaluate import run_matrix
from rsparse.commands.evaluate.layout import Matrix, PlannedColumn
from rsparse.commands.learn_dict import learn_dict
from rsparse.core.levels import Pixels, noise_level, period_two
from rsparse.defenses import defense_text, parse_defense
from rsparse.evaluation.files import load_evaluation
from rsparse.evaluation.plan import Plan, parse_attacks, parse_defenses
from rsparse.evaluation.results import Column, Evaluation
from rsparse.options.evaluate import EvaluateParameters
from rsparse.options.learn_dict import LearnParameters
from rsparse.store.images import decode_image
from rsparse.work.workers import LocalWorkers
from studies.plans import ATOMS, model
from studies.policies import Shown, as_levels_say, print_halves, print_policies

ATTACKS = (
    "fgsm:eps=2,6,14,22", "bim:eps=2,6,14,22", "mi-fgsm:d=0.01,0.05,0.1,0.2",
    "cw-l2:d=0.01,0.05,0.1,0.2,steps=30",
)  # fmt: skip
FORMER = "keep:period=4<0.5,bilateral+whole:4<1.6,bilateral+whole:1"
FEW = "bilateral+whole:16:weakest=2:stride=5"
COMPARED = (
    FORMER,
    "keep:period=4<0.5,bilateral+whole:6:stride=8<1.6,bilateral+whole:1",
    "keep:period=4<0.5,bilateral+whole:5:stride=8<1.6,bilateral+whole:1",
    "keep:period=4<0.5,bilateral+whole:4:stride=8<1.6,bilateral+whole:1",
    f"keep:period=4<0.5,bilateral+whole:5:stride=8<1.6,{FEW}",
    LearnParameters.levels,
    LearnParameters.levels.replace(":period=4", ""),
    LearnParameters.levels.replace("=4<0.5", "=2.5<0.4"),
)
FIRST = "regionsparse:localize=no,prefilter=yes"
APART = 8  # stride: patches side by side, each pixel in one
CANDIDATES = {  # as levels spell them, by the defense that they are
    "keep": "none",
    **{f"bilateral+whole:{k}": f"{FIRST},sparsity={k}" for k in (1, 2, 4)},
    **{
        f"bilateral+whole:{k}:stride={APART}": f"{FIRST},sparsity={k},stride={APART}"
        for k in (2, 3, 4, 5, 6)
    },
    **{
        f"whole:{k}:stride={APART}": f"regionsparse:localize=no,sparsity={k},stride={APART}"
        for k in (3, 4, 6)
    },
    FEW: f"{FIRST},sparsity=16,weakest=2,stride=5",
}
TRIED = (  # with --tried
    f"{FIRST},sparsity=16,weakest=1.5,stride=5,8", f"{FIRST},sparsity=1,stride=4",
    f"{FIRST},sparsity=8,stride=4", "bilateral+jpeg:quality=20",
)  # fmt: skip
BASELINES = ("jpeg:quality=10,20",)
QUIETEST = 0.15  # in the picture
BINS = (0.0, 0.3, 0.6, 1.0, 1.6, 2.5, 4.0, 6.0, np.inf)

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]


def main() -> None:
    options = _options()
    found, shown = _judged(options)
    noise = shown.noise
    right = {d.text: np.stack([found.correct(c, d) for c in found.columns]) for d in found.defenses}
    levels = {name: right[_text(spec)] for name, spec in CANDIDATES.items()}
    right["**the default levels**"] = as_levels_say(LearnParameters.levels, levels, shown)
    right["the former levels"] = as_levels_say(FORMER, levels, shown)
    print(f"{options.model}, {len(found.names)} photographs that it gets right\n")
    _print_candidates(found.columns, right)
    _print_measure("noise, grey levels", found.columns, noise)
    _print_measure("period of two", found.columns, shown.period)
    _print_curve(levels, noise)
    if options.plot:
        drawn = {name: flags for name, flags in levels.items() if not name.startswith("whole")}
        draw_curve(drawn, noise, options.plot)
    print_policies(levels, shown)
    print_halves(COMPARED, levels, shown)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True, help="photographs and models")
    parser.add_argument("--work", type=Path, required=True, help="folder for the artifacts")
    parser.add_argument("--model", choices=("mobilenet-v2", "inception-v3"), default="mobilenet-v2")
    parser.add_argument("--every", type=int, default=5, help="take every n-th photograph")
    parser.add_argument("--tried", action="store_true", help="judge more than can be a level")
    parser.add_argument("--plot", type=Path, help="PNG of the levels' accuracy by noise")
    parser.add_argument("--jobs", type=int, default=2)
    return parser.parse_args()


def _judged(options: argparse.Namespace) -> tuple[Evaluation, Shown]:
    """The evaluation of all candidates, and what each image of each column shows."""
    matrix = Matrix(_plan(options))
    run_matrix(matrix, workers=LocalWorkers(options.jobs))
    found = load_evaluation(matrix.plan.output)
    images = [[_image(matrix, column, name) for name in found.names] for column in matrix.columns]
    noise, period = (
        np.array([[measure(image) for image in column] for column in images])
        for measure in (noise_level, period_two)
    )
    return found, Shown(noise, period)


def _plan(options: argparse.Namespace) -> Plan:
    train = options.shared / "train"
    return Plan(
        images=tuple(sorted(train.glob("*.jpg"))[:: options.every]),
        labels=train / "labels.csv",
        model=model(options.shared, options.model),
        attacks=parse_attacks(list(ATTACKS)),
        defenses=parse_defenses(
            [*CANDIDATES.values(), *(TRIED if options.tried else ()), *BASELINES]
        ),
        output=options.work / options.model,
        dictionaries={"": _dictionary(options)},
        parameters=EvaluateParameters(checks=False),
    )


def _dictionary(options: argparse.Namespace) -> Path:
    path: Path = options.work / "dict.h5"
    if not path.exists():
        parameters = LearnParameters(**ATOMS, levels="")
        learn_dict([options.shared / "train"], path, parameters, workers=LocalWorkers(options.jobs))
    return path


def _image(matrix: Matrix, column: PlannedColumn, name: str) -> Pixels:
    path = matrix.folder_of(column) / f"{name}.png"
    return decode_image(path.read_bytes(), path)


def _text(spec: str) -> str:
    return defense_text(parse_defense(spec)[0])


def _print_candidates(columns: tuple[Column, ...], right: dict[str, Flags]) -> None:
    print("| top-1, % |", " | ".join(column.attack for column in columns), "| mean of attacked |")
    print("|---" * (len(columns) + 2) + "|")
    for name, flags in sorted(right.items(), key=lambda item: -item[1][1:].mean()):
        cells = " | ".join(f"{100 * value:.0f}" for value in flags.mean(axis=1))
        print(f"| {name} | {cells} | {100 * flags[1:].mean():.1f} |")
    best = np.stack(list(right.values())).mean(axis=2).max(axis=0)
    cells = " | ".join(f"{100 * value:.0f}" for value in best)
    print(f"| the best of each column | {cells} | {100 * best[1:].mean():.1f} |\n")


def _print_measure(what: str, columns: tuple[Column, ...], measured: Floats) -> None:
    print(f"| {what} |", " | ".join(column.attack for column in columns), "|")
    print("|---" * (len(columns) + 1) + "|")
    for share in (0.1, 0.5, 0.9):
        cells = " | ".join(f"{value:.1f}" for value in np.quantile(measured, share, axis=1))
        print(f"| {100 * share:.0f} % have less than | {cells} |")
    print()


def _print_curve(levels: dict[str, Flags], noise: Floats) -> None:
    """Accuracy of each level by the noise of the attacked images."""
    places = [(noise >= low) & (noise < high) for low, high in pairwise(BINS)]
    heads = [f"{low:g} to {high:g}" for low, high in pairwise(BINS)]
    print("| top-1 of attacked images, %, by their noise |", " | ".join(heads), "|")
    print("|---" * (len(heads) + 1) + "|")
    print("| images |", " | ".join(str(place[1:].sum()) for place in places), "|")
    for name, flags in levels.items():
        cells = (flags[1:][place[1:]] for place in places)
        print(
            f"| {name} |", " | ".join(f"{100 * c.mean():.0f}" if len(c) else "" for c in cells), "|"
        )
    print()


def draw_curve(levels: dict[str, Flags], noise: Floats, path: Path) -> None:
    """Accuracy of each level on attacked images by their noise, and how much clean ones have."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.6), layout="constrained")
    canvas, axes = FigureCanvasAgg(figure), figure.add_subplot()
    places = [(noise >= low) & (noise < high) for low, high in pairwise(BINS)]
    middles = [max(QUIETEST, float(np.median(noise[1:][place[1:]]))) for place in places]
    for number, (name, flags) in enumerate(levels.items()):
        shares = [100 * flags[1:][place[1:]].mean() for place in places]
        axes.plot(middles, shares, marker="osD^v<>Ph"[number % 9], label=name, markersize=4)
    low, middle, high = np.quantile(noise[0], (0.05, 0.5, 0.95))
    axes.axvspan(max(QUIETEST, low), high, color="#dddddd", label="90 % of clean images", zorder=0)
    axes.axvline(middle, color="#999999", zorder=0)
    axes.set(
        xscale="log", xlim=(QUIETEST, 12), ylim=(0, 100),
        xlabel="noise in the flattest parts, grey levels",
        ylabel="attacked images classified rightly, %",
    )  # fmt: skip
    ticks = [0.2, 0.5, 1, 2, 5, 10]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
    axes.minorticks_off()
    axes.legend(fontsize=8, ncols=2, loc="upper right")
    with path.open("wb") as file:
        canvas.print_png(file, metadata={"Software": None})


if __name__ == "__main__":
    main()
