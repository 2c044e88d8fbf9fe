"""Which candidates to take by what an image shows: levels for ``calibrate.py`` to choose from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rsparse.core.levels import parse_levels

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]

GRID = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.9, 1.1, 1.3, 1.6, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)
PERIODS = (2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0, np.inf)
WEIGHTS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32)  # of clean images beside all attacked columns
WANTED = (0, 0.7, 0.8, 0.84, 0.86, 0.88, 0.9, 0.92)


class Shown(NamedTuple):
    """What is measured in each image of each column (columns, images), the clean ones first."""

    noise: Floats
    period: Floats

    def of(self, images: Flags) -> Shown:
        """The same of some of the images."""
        return Shown(self.noise[:, images], self.period[:, images])


class Policy(NamedTuple):
    """Candidates for rising noise, and what they reach; the first up to a period, too."""

    bounds: tuple[float, ...]
    period: float
    names: tuple[str, ...]
    right: Flags  # (columns, images)

    @property
    def clean(self) -> float:
        return _clean(self.right)

    @property
    def attacked(self) -> float:
        return _attacked(self.right)

    @property
    def text(self) -> str:
        period = f":period={self.period:g}" if np.isfinite(self.period) else ""
        said = [f"{name}<{bound:g}" for name, bound in zip(self.names, self.bounds, strict=False)]
        said[0] = said[0].replace("<", f"{period}<")
        return ",".join([*said, self.names[-1]])


def best_policy(
    candidates: Mapping[str, Flags], shown: Shown, clean: float, periods: tuple[float, ...]
) -> Policy:
    """The levels of largest mean attacked accuracy among those with enough clean accuracy.

    For each two bounds of the noise and each of the period every level takes the candidate of
    largest weighted accuracy; the weight of clean images rises until they are right often enough.
    """
    found: list[Policy] = []
    stack, names = np.stack(list(candidates.values())), list(candidates)
    for bounds in combinations(GRID, 2):
        for period in periods:
            which = _numbers(shown, [(bounds[0], period), (bounds[1], np.inf), (np.inf, np.inf)])
            places = [which == number for number in range(3)]
            attacked = np.array([[(f & p)[1:].sum() for f in stack] for p in places])
            benign = np.array([[(f & p)[0].sum() for f in stack] for p in places])
            for weight in WEIGHTS:
                chosen = (attacked + weight * benign).argmax(axis=1)
                if benign[np.arange(3), chosen].sum() >= clean * shown.noise.shape[1]:
                    picked = tuple(names[number] for number in chosen)
                    right = np.choose(which, [candidates[name] for name in picked]).astype(bool)
                    found.append(Policy(bounds, period, picked, right))
                    break
    return max(found, key=lambda policy: policy.attacked)


def as_levels_say(text: str, candidates: Mapping[str, Flags], shown: Shown) -> Flags:
    """What levels reach whose candidates were judged by themselves."""
    levels = parse_levels(text)
    which = _numbers(shown, [(level.noise_below, level.period_below) for level in levels])
    names = [_without_bounds(word) for word in text.split(",")]
    return np.choose(which, [candidates[name] for name in names]).astype(bool)


def print_policies(
    candidates: Mapping[str, Flags], shown: Shown, periods: tuple[float, ...] = PERIODS
) -> None:
    """The best levels for each clean accuracy, chosen on one half, told on the other too."""
    print("| clean, at least | levels | clean | attacked | chosen on half, told on the other |")
    print("|---|---|---|---|---|")
    half = np.arange(shown.noise.shape[1]) % 2 == 0
    for wanted in WANTED:
        best = best_policy(candidates, shown, wanted, periods)
        other = []
        for chosen in (half, ~half):
            own = {name: flags[:, chosen] for name, flags in candidates.items()}
            policy = best_policy(own, shown.of(chosen), wanted, periods)
            told = as_levels_say(policy.text, candidates, shown)[:, ~chosen]
            other.append((told[0].mean(), told[1:].mean()))
        clean, attacked = 100 * np.mean(other, axis=0)
        print(
            f"| {100 * wanted:.0f} % | `{best.text}` | {100 * best.clean:.0f} | "
            f"{100 * best.attacked:.1f} | {clean:.0f} and {attacked:.1f} |"
        )
    print()


def print_halves(texts: Sequence[str], candidates: Mapping[str, Flags], shown: Shown) -> None:
    """What levels reach on all images, and on either half of them."""
    print("| levels | clean | attacked | even photographs | odd photographs |")
    print("|---|---|---|---|---|")
    for text in texts:
        right = as_levels_say(text, candidates, shown)
        parts = [right, right[:, ::2], right[:, 1::2]]
        clean, attacked = ([100 * f(part) for part in parts] for f in (_clean, _attacked))
        halves = [f"{clean[half]:.0f} and {attacked[half]:.1f}" for half in (1, 2)]
        print(f"| `{text}` | {clean[0]:.0f} | {attacked[0]:.1f} | {' | '.join(halves)} |")
    print()


def _clean(right: Flags) -> float:
    return float(right[0].mean())


def _attacked(right: Flags) -> float:
    return float(right[1:].mean())


def _numbers(shown: Shown, bounds: list[tuple[float, float]]) -> NDArray[np.intp]:
    """The level of each image: the first whose noise and period exceed the image's."""
    fits = [(shown.noise < noise) & (shown.period < period) for noise, period in bounds]
    return np.argmax(fits, axis=0)


def _without_bounds(word: str) -> str:
    parts = word.strip().partition("<")[0].split(":")
    return ":".join(part for part in parts if not part.startswith("period="))
