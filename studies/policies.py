"""Policies for ``calibrate.py``: choose a candidate by the noise and period of an image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from studies.tables import Row

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]

BOUNDS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.9, 1.1, 1.3, 1.6, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)
PERIODS = (2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0, np.inf)
WEIGHTS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32)  # of clean images beside all attacked columns
WANTED = (0, 0.7, 0.8, 0.84, 0.86, 0.88, 0.9, 0.92)


class Measured(NamedTuple):
    """Noise and period of each image in each column (columns, images), the clean column first."""

    noise: Floats
    period: Floats

    def of(self, images: Flags) -> Measured:
        """The same for some of the images."""
        return Measured(self.noise[:, images], self.period[:, images])


class Rule(NamedTuple):
    """A defense for images with less noise and less of a period of two than these bounds."""

    noise_below: float
    period_below: float
    defense: str


Policy = tuple[Rule, ...]


def policy_text(policy: Policy) -> str:
    """``noise < 0.5 and period < 4: none; else: …``."""
    parts = []
    for rule in policy:
        bounds = [("noise", rule.noise_below), ("period", rule.period_below)]
        stated = [f"{name} < {bound:g}" for name, bound in bounds if np.isfinite(bound)]
        parts.append(f"{' and '.join(stated) or 'else'}: {rule.defense}")
    return "; ".join(parts)


def right_behind(policy: Policy, candidates: Mapping[str, Flags], measured: Measured) -> Flags:
    """Which images are right behind a policy, (columns, images).

    ``candidates`` has the same array for each single defense.
    """
    which = _rule_of(measured, policy)
    return np.choose(which, [candidates[rule.defense] for rule in policy]).astype(bool)


def best_policy(
    candidates: Mapping[str, Flags],
    measured: Measured,
    clean: float,
    periods: tuple[float, ...] = PERIODS,
    noises: tuple[float, ...] = BOUNDS,
) -> Policy:
    """The policy of three rules with the most attacked images right and enough clean ones.

    For each pair of bounds of the noise and each bound of the period, every rule takes the
    candidate with the largest weighted accuracy. The weight of clean images rises until enough
    are right.
    """
    found: list[tuple[float, Policy]] = []
    stack, names = np.stack(list(candidates.values())), list(candidates)
    for bounds in combinations(noises, 2):
        for period in periods:
            limits = [(bounds[0], period), (bounds[1], np.inf), (np.inf, np.inf)]
            which = _rule_of(measured, tuple(Rule(*limit, "") for limit in limits))
            places = [which == number for number in range(3)]
            attacked = np.array([[(f & p)[1:].sum() for f in stack] for p in places])
            benign = np.array([[(f & p)[0].sum() for f in stack] for p in places])
            for weight in WEIGHTS:
                chosen = (attacked + weight * benign).argmax(axis=1)
                if benign[np.arange(3), chosen].sum() >= clean * measured.noise.shape[1]:
                    picked = zip(limits, chosen, strict=True)
                    policy = tuple(Rule(*limit, names[number]) for limit, number in picked)
                    found.append((attacked[np.arange(3), chosen].sum(), policy))
                    break
    return max(found, key=lambda pair: pair[0])[1]


def chosen(candidates: Mapping[str, Flags], measured: Measured) -> Iterator[Row]:
    """The best policy for each clean accuracy, and the accuracy of a choice on the other half."""
    half = np.arange(measured.noise.shape[1]) % 2 == 0
    for wanted in WANTED:
        policy = best_policy(candidates, measured, wanted)
        others = []
        for place in (half, ~half):
            own = {name: flags[:, place] for name, flags in candidates.items()}
            chosen_here = best_policy(own, measured.of(place), wanted)
            others.append(right_behind(chosen_here, candidates, measured)[:, ~place])
        right = right_behind(policy, candidates, measured)
        yield {
            "clean_at_least": f"{100 * wanted:.0f}",
            "policy": policy_text(policy),
            "clean": f"{100 * right[0].mean():.0f}",
            "attacked": f"{100 * right[1:].mean():.1f}",
            "clean_on_other_half": f"{100 * np.mean([r[0].mean() for r in others]):.0f}",
            "attacked_on_other_half": f"{100 * np.mean([r[1:].mean() for r in others]):.1f}",
        }


def halves(
    policies: tuple[Policy, ...], candidates: Mapping[str, Flags], measured: Measured
) -> Iterator[Row]:
    """The accuracy of policies on all images and on each half of them."""
    for policy in policies:
        right = right_behind(policy, candidates, measured)
        row = {"policy": policy_text(policy)}
        for name, part in (("", right), ("even_", right[:, ::2]), ("odd_", right[:, 1::2])):
            row[f"{name}clean"] = f"{100 * part[0].mean():.0f}"
            row[f"{name}attacked"] = f"{100 * part[1:].mean():.1f}"
        yield row


def _rule_of(measured: Measured, policy: Policy) -> NDArray[np.intp]:
    """The index of the first rule whose bounds are both above the image's values."""
    fits = [
        (measured.noise < rule.noise_below) & (measured.period < rule.period_below)
        for rule in policy
    ]
    return np.argmax(fits, axis=0)
