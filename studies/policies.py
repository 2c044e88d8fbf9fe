"""Policies for ``calibrate.py``: choose a candidate by the noise and period of an image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from studies.tables import Row

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]
Bounds = Sequence[tuple[float, float, float]]

# Images below both bounds, noise and period, may pass for clean: the clearest ones, then others.
FIRST = tuple(product((0.3, 0.5, 0.8), (1.5, 2.0, 2.5)))
SECOND = tuple(product((1.2, 1.6, 2.5, 4.0), (2.0, 2.5, 3.0)))
WEAK = (1.2, 1.6, 2.2)  # noise below which an attack counts as weak
# Bounds if the noise in colour decides, too: period and colour of images that may pass for clean,
# and the colour below which an attack counts as weak.
COLOR = tuple(product((2.5, 3.0, 4.0, 6.0), (0.5, 0.7, 0.9), (2.5, 3.5)))
NOISY = 4.0  # noise of images that cannot pass for clean
WEIGHTS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32)  # of clean images beside all attacked columns
WANTED = (0, 0.84, 0.92)
FOLDS = 5
LEAST = "deepfool"  # attacks of least change, each of which counts half


class Measured(NamedTuple):
    """What is measured of each image in each column (columns, images), the clean column first.

    Noise, the period of two, and the noise in colour.
    """

    noise: Floats
    period: Floats
    color: Floats

    def of(self, images: Flags) -> Measured:
        """The same for some of the images."""
        return Measured(*(values[:, images] for values in self))


class Rule(NamedTuple):
    """A defense for images with less noise, period of two and noise in colour than these bounds."""

    noise_below: float
    period_below: float
    color_below: float
    defense: str


Policy = tuple[Rule, ...]


def policy_text(policy: Policy) -> str:
    """``noise < 0.5 and period < 4: none; else: …``."""
    parts = []
    for rule in policy:
        bounds = zip(Measured._fields, rule[:3], strict=True)
        stated = [f"{name} < {bound:g}" for name, bound in bounds if np.isfinite(bound)]
        parts.append(f"{' and '.join(stated) or 'else'}: {rule.defense}")
    return "; ".join(parts)


def right_behind(policy: Policy, candidates: Mapping[str, Flags], measured: Measured) -> Flags:
    """Which images are right behind a policy, (columns, images).

    ``candidates`` has the same array for each defense that an image needs.
    """
    which = _rule_of(measured, [rule[:3] for rule in policy])
    right = np.zeros(which.shape, dtype=bool)
    for number in np.unique(which):
        place = which == number
        right[place] = candidates[policy[number].defense][place]
    return right


def all_bounds() -> list[Bounds]:
    """The bounds of four rules: two for images that may pass for clean, two by noise alone."""
    inf = np.inf
    return [
        ((*first, inf), (*second, inf), (weak, inf, inf), (inf, inf, inf))
        for first, second, weak in product(FIRST, SECOND, WEAK)
        if first[1] <= second[1]
    ]


def color_bounds() -> list[Bounds]:
    """The bounds of three rules: for images that may pass for clean, for weak attacks, for all."""
    inf = np.inf
    return [
        ((NOISY, period, color), (inf, inf, weak), (inf, inf, inf)) for period, color, weak in COLOR
    ]


def best_policy(
    candidates: Mapping[str, Flags],
    measured: Measured,
    columns: Sequence[str],
    clean: float,
    bounds: Sequence[Bounds],
) -> Policy:
    """The policy with the most attacked images right and enough clean ones.

    For each set of bounds, every rule takes the candidate with the largest weighted accuracy. The
    weight of clean images rises until enough are right.

    Raises
    ------
    LookupError
        If no policy leaves enough clean images right.
    """
    found: list[tuple[float, Policy]] = []
    stack, names = np.stack(list(candidates.values())), list(candidates)
    weights = column_weights(columns)
    for limits in bounds:
        which = _rule_of(measured, limits)
        rules = np.arange(len(limits))
        right = np.array([(stack & (which == rule)).sum(axis=2) for rule in rules])
        attacked, benign = right[..., 1:] @ weights, right[..., 0]
        for weight in WEIGHTS:
            chosen = (attacked + weight * benign).argmax(axis=1)
            if benign[rules, chosen].sum() >= clean * measured.noise.shape[1]:
                policy = tuple(
                    Rule(*limit, names[number])
                    for limit, number in zip(limits, chosen, strict=True)
                )
                found.append((attacked[rules, chosen].sum(), policy))
                break
    if not found:
        raise LookupError(f"no policy leaves {100 * clean:.0f} % of the clean images right")
    return max(found, key=lambda pair: pair[0])[1]


def column_weights(columns: Sequence[str]) -> Floats:
    """The weight of each attacked column."""
    return np.array([0.5 if column.startswith(LEAST) else 1.0 for column in columns[1:]])


def shares(right: Flags, columns: Sequence[str]) -> Row:
    """Shares in %: clean, over attacks of least change, over all other attacks."""
    least = np.array([column.startswith(LEAST) for column in columns])
    others = ~least
    others[0] = False
    return {
        "clean": f"{100 * right[0].mean():.1f}",
        "least_change": f"{100 * right[least].mean():.1f}" if least.any() else "",
        "attacked": f"{100 * right[others].mean():.1f}",
    }


def chosen(
    candidates: Mapping[str, Flags],
    measured: Measured,
    columns: Sequence[str],
    bounds: Mapping[str, Sequence[Bounds]],
) -> Iterator[Row]:
    """The best policy for each clean accuracy, and the accuracy of choices on other images.

    ``bounds`` are the sets of bounds to search, by what they ask for. Each fold of the images is
    judged behind the policy that is best on all other folds.
    """
    for (asked, some), wanted in product(bounds.items(), WANTED):
        policy = best_policy(candidates, measured, columns, wanted, some)
        unseen = _unseen(candidates, measured, columns, wanted, some)
        yield {
            "by": asked,
            "clean_at_least": f"{100 * wanted:.0f}",
            "policy": policy_text(policy),
            **shares(right_behind(policy, candidates, measured), columns),
            **{f"{name}_unseen": share for name, share in shares(unseen, columns).items()},
        }


def _unseen(
    candidates: Mapping[str, Flags],
    measured: Measured,
    columns: Sequence[str],
    wanted: float,
    bounds: Sequence[Bounds],
) -> Flags:
    """Which images are right behind the policy that is best on all folds but theirs."""
    fold = np.arange(measured.noise.shape[1]) % FOLDS
    unseen = np.zeros_like(next(iter(candidates.values())))
    for number in range(FOLDS):
        own = fold != number
        part = {name: flags[:, own] for name, flags in candidates.items()}
        policy = best_policy(part, measured.of(own), columns, wanted, bounds)
        unseen[:, ~own] = right_behind(policy, candidates, measured)[:, ~own]
    return unseen


def halves(
    policies: Sequence[Policy],
    candidates: Mapping[str, Flags],
    measured: Measured,
    columns: Sequence[str],
) -> Iterator[Row]:
    """The accuracy of policies on all images and on each half of them."""
    for policy in policies:
        right = right_behind(policy, candidates, measured)
        row = {"policy": policy_text(policy)}
        for name, part in (("", right), ("even_", right[:, ::2]), ("odd_", right[:, 1::2])):
            row |= {f"{name}{key}": share for key, share in shares(part, columns).items()}
        yield row


def _rule_of(measured: Measured, bounds: Bounds) -> NDArray[np.intp]:
    """The index of the first rule whose bounds are both above the image's values."""
    fits = [
        np.all([values < bound for values, bound in zip(measured, limits, strict=True)], axis=0)
        for limits in bounds
    ]
    return np.argmax(fits, axis=0)
