"""Calibrate the levels of ``--sparsity auto`` on training photographs, and tell what was tried.

Attacks photographs of ``train/`` that the classifier gets right (gray-box), judges candidates by
``rsparse evaluate``, and chooses by the noise that each image shows. Nothing here sees ``photos/``.
Everything is kept in the work folder; an interrupted run goes on where it stopped.

    python benchmarks/calibrate.py --shared ../shared --work bench-work/calibrate

Prints Markdown: each candidate, the noise by column, each level's accuracy by noise, and the best
levels for the clean accuracy that is asked for.
"""

from __future__ import annotations

import argparse
from itertools import combinations, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from plans import ATOMS, model

from rsparse.core.levels import noise_level
from rsparse.defenses import defense_text, parse_defense
from rsparse.evaluation.files import load_evaluation
from rsparse.evaluation.plan import Plan, parse_attacks, parse_defenses
from rsparse.evaluation.results import Column, Evaluation
from rsparse.images import decode_image
from rsparse.matrix.layout import Attacked, Matrix
from rsparse.matrix.running import run_matrix
from rsparse.parallel import Here
from rsparse.parameters import EvaluateParameters, LearnParameters
from rsparse.stages.learn_dict import learn_dict

ATTACKS = (
    "fgsm:eps=2,6,14,22", "bim:eps=2,6,14,22", "mi-fgsm:d=0.01,0.05,0.1,0.2",
    "cw-l2:d=0.01,0.05,0.1,0.2,steps=30",
)  # fmt: skip
DICTIONARIES = {
    "": {}, "k256": {"n_atoms": 256}, "b6": {"patch_size": 6}, "b12": {"patch_size": 12},
}  # fmt: skip
WHOLE, FIRST = "regionsparse:localize=no", "regionsparse:localize=no,prefilter=yes"
REGION = "regionsparse"
CANDIDATES = {  # as levels spell them, by the defense that they are
    "keep": "none",
    "region:8": f"{REGION}:sparsity=8",
    "whole:2": f"{WHOLE},sparsity=2",
    "whole:8": f"{WHOLE},sparsity=8",
    "bilateral+whole:1": f"{FIRST},sparsity=1",
    "bilateral+whole:2": f"{FIRST},sparsity=2",
    "bilateral+whole:3": f"{FIRST},sparsity=3",
    "bilateral+whole:4": f"{FIRST},sparsity=4",
    "bilateral+region:2": f"{REGION}:prefilter=yes,sparsity=2",
}
TRIED = (  # with --tried
    f"{REGION}:sparsity=2,4", f"{WHOLE},sparsity=1,3,4",
    f"{FIRST},sparsity=2,stride=1", f"{FIRST},sparsity=2,stride=4",
    f"{FIRST},sparsity=2,dictionary=k256", f"{FIRST},sparsity=1,dictionary=b6",
    f"{FIRST},sparsity=2,dictionary=b6", f"{FIRST},sparsity=3,dictionary=b12",
    f"{WHOLE},sparsity=2,dictionary=k256", f"{WHOLE},sparsity=1,dictionary=b6",
    f"{WHOLE},sparsity=3,dictionary=b12",
    f"median+{WHOLE},sparsity=1", f"median+{FIRST},sparsity=2", f"nlm:h=10+{WHOLE},sparsity=2",
)  # fmt: skip
BASELINES = ("jpeg:quality=10,20",)
QUIETEST = 0.15  # in the picture
GRID = (0.2, 0.3, 0.4, 0.5, 0.7, 0.9, 1.1, 1.3, 1.6, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)
BINS = (0.0, 0.3, 0.6, 1.0, 1.6, 2.5, 4.0, 6.0, np.inf)

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]


class Policy(NamedTuple):
    """Candidates for rising noise, and what they reach."""

    bounds: tuple[float, ...]
    names: tuple[str, ...]
    right: Flags  # (columns, images); the clean column first

    @property
    def clean(self) -> float:
        return float(self.right[0].mean())

    @property
    def attacked(self) -> float:
        return float(self.right[1:].mean())

    @property
    def text(self) -> str:
        said = [f"{name}<{bound:g}" for name, bound in zip(self.names, self.bounds, strict=False)]
        return ",".join([*said, self.names[-1]])


def main() -> None:
    options = _options()
    found, noise = _judged(options)
    right = {d.text: np.stack([found.correct(c, d) for c in found.columns]) for d in found.defenses}
    levels = {name: right[_text(spec)] for name, spec in CANDIDATES.items()}
    right["**the default levels**"] = _by_default(levels, noise)
    print(f"{options.model}, {len(found.names)} photographs that it gets right\n")
    _print_candidates(found.columns, right)
    _print_noise(found.columns, noise)
    _print_curve(levels, noise)
    if options.plot:
        draw_curve(levels, noise, options.plot)
    _print_policies(levels, noise)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True, help="photographs and models")
    parser.add_argument("--work", type=Path, required=True, help="folder for the artifacts")
    parser.add_argument("--model", choices=("mobilenet-v2", "inception-v3"), default="mobilenet-v2")
    parser.add_argument("--every", type=int, default=8, help="take every n-th photograph")
    parser.add_argument("--tried", action="store_true", help="judge more than can be a level")
    parser.add_argument("--plot", type=Path, help="PNG of the levels' accuracy by noise")
    parser.add_argument("--jobs", type=int, default=2)
    return parser.parse_args()


def _judged(options: argparse.Namespace) -> tuple[Evaluation, Floats]:
    """The evaluation of all candidates, and the noise of each image of each column."""
    matrix = Matrix(_plan(options))
    run_matrix(matrix, workers=Here(options.jobs))
    found = load_evaluation(matrix.plan.output)
    noise = [[_noise(matrix, column, name) for name in found.names] for column in matrix.columns]
    return found, np.array(noise)


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
        dictionaries={name: _dictionary(options, name) for name in DICTIONARIES},
        parameters=EvaluateParameters(checks=False),
    )


def _dictionary(options: argparse.Namespace, name: str) -> Path:
    path: Path = options.work / f"dict{name and '-'}{name}.h5"
    if not path.exists():
        parameters = LearnParameters(**{**ATOMS, **DICTIONARIES[name]}, levels="")
        learn_dict([options.shared / "train"], path, parameters, workers=Here(options.jobs))
    return path


def _noise(matrix: Matrix, column: Attacked, name: str) -> float:
    path = matrix.folder_of(column) / f"{name}.png"
    return noise_level(decode_image(path.read_bytes(), path))


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


def _print_noise(columns: tuple[Column, ...], noise: Floats) -> None:
    print("| noise, grey levels |", " | ".join(column.attack for column in columns), "|")
    print("|---" * (len(columns) + 1) + "|")
    for share in (0.1, 0.5, 0.9):
        cells = " | ".join(f"{value:.1f}" for value in np.quantile(noise, share, axis=1))
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


def _print_policies(levels: dict[str, Flags], noise: Floats) -> None:
    """The best levels for each clean accuracy, chosen on one half, told on the other too."""
    print("| clean, at least | levels | clean | attacked | chosen on half, told on the other |")
    print("|---|---|---|---|---|")
    half = np.arange(noise.shape[1]) % 2 == 0
    for wanted in (0, 0.7, 0.8, 0.84, 0.86, 0.88, 0.9, 0.92):
        best = best_policy(levels, noise, wanted)
        other = []
        for chosen in (half, ~half):
            own = best_policy(
                {n: f[:, chosen] for n, f in levels.items()}, noise[:, chosen], wanted
            )
            told = _apply(levels, noise, own.bounds, own.names)[:, ~chosen]
            other.append((told[0].mean(), told[1:].mean()))
        clean, attacked = 100 * np.mean(other, axis=0)
        print(
            f"| {100 * wanted:.0f} % | `{best.text}` | {100 * best.clean:.0f} | "
            f"{100 * best.attacked:.1f} | {clean:.0f} and {attacked:.1f} |"
        )


def best_policy(levels: dict[str, Flags], noise: Floats, clean: float) -> Policy:
    """The levels of largest mean attacked accuracy among those with enough clean accuracy.

    For each two bounds every interval of noise takes the candidate of largest weighted accuracy;
    the weight of clean images rises until they are right often enough.
    """
    found: list[Policy] = []
    stack = np.stack(list(levels.values()))
    names = list(levels)
    for bounds in combinations(GRID, 2):
        places = [(noise >= low) & (noise < high) for low, high in pairwise((0.0, *bounds, np.inf))]
        attacked = np.array([[(f & p)[1:].sum() for f in stack] for p in places])
        benign = np.array([[(f & p)[0].sum() for f in stack] for p in places])
        for weight in (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32):
            chosen = (attacked + weight * benign).argmax(axis=1)
            own = benign[np.arange(3), chosen].sum() / noise.shape[1]
            if own >= clean:
                picked = tuple(names[number] for number in chosen)
                found.append(Policy(bounds, picked, _apply(levels, noise, bounds, picked)))
                break
    return max(found, key=lambda policy: policy.attacked)


def _by_default(levels: dict[str, Flags], noise: Floats) -> Flags:
    """What the levels that ``learn-dict`` writes reach."""
    words = [word.partition("<") for word in LearnParameters.levels.split(",")]
    bounds = tuple(float(bound) for _, _, bound in words[:-1])
    return _apply(levels, noise, bounds, tuple(name for name, _, _ in words))


def _apply(
    levels: dict[str, Flags], noise: Floats, bounds: tuple[float, ...], names: tuple[str, ...]
) -> Flags:
    which = np.searchsorted(bounds, noise, side="right")
    return np.choose(which, [levels[name] for name in names]).astype(bool)


if __name__ == "__main__":
    main()
