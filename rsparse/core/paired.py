"""Compare two classifications of the same images: exact tests, and how many images decide."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rsparse.errors import InputError

Flags = NDArray[np.bool_]
Shares = NDArray[np.float64]

SIGNIFICANT = 0.05
MARGIN = 0.05
"""Two shares are as good as equal if their difference is certainly below this."""

MOST_IMAGES = 10_000_000
_Z = 1.959964  # of a 95 % interval


@dataclass(frozen=True)
class Pairs:
    """Two classifications of the same images.

    Attributes
    ----------
    only_first, only_second : int
        Images that only the first, or only the second, classifies correctly (the discordant
        pairs).
    n : int
        All images.
    """

    only_first: int
    only_second: int
    n: int

    @classmethod
    def of(cls, first: Flags, second: Flags) -> Pairs:
        """The pairs of two arrays of flags (n,).

        Raises
        ------
        InputError
            If the shapes differ.
        """
        if first.shape != second.shape:
            raise InputError(
                f"expected flags of the same images, got {first.shape} and {second.shape}"
            )
        more, less = (int(np.count_nonzero(x)) for x in (first & ~second, second & ~first))
        return cls(more, less, len(first))

    @property
    def p(self) -> float:
        """Exact two-sided p-value of McNemar's test, in (0, 1].

        Under the null hypothesis each discordant pair goes either way with probability ½.

        Notes
        -----
        McNemar (1947). The exact form is a binomial (sign) test on the discordant pairs.
        """
        from scipy.special import bdtr

        discordant = self.only_first + self.only_second
        fewer = min(self.only_first, self.only_second)
        return min(1.0, 2 * float(bdtr(fewer, discordant, 0.5))) if discordant else 1.0

    @property
    def high(self) -> float:
        """Upper end of the 95 % interval of the first share minus the second.

        Notes
        -----
        Agresti and Min (2005): Wald's interval with half an image added to each of the four cells.
        It is also valid if no pair is discordant.
        """
        n = self.n + 2
        difference = (self.only_first - self.only_second) / n
        variance = (self.only_first + self.only_second + 1) / n - difference**2
        return difference + _Z * math.sqrt(variance / n)

    def with_images(self, n: int) -> Pairs:
        """What the same shares would be on ``n`` images."""
        first, second = (round(k * n / self.n) for k in (self.only_first, self.only_second))
        return Pairs(first, second, n)

    def images_needed(self, tests: int = 1) -> int | None:
        """About how many images would decide at the observed difference; None if too many.

        If it is one of several ``tests``, p is multiplied by their number (Bonferroni).
        """
        if not self.n:
            return None
        if self.only_first == self.only_second:
            return smallest(lambda n: self.with_images(n).high < MARGIN, self.n)
        return smallest(lambda n: self.with_images(n).p * tests < SIGNIFICANT, self.n)


@dataclass(frozen=True)
class MeanDifference:
    """The mean of the paired differences of two numbers for each image.

    Attributes
    ----------
    mean, deviation : float
        Of the differences.
    n : int
        All images.
    """

    mean: float
    deviation: float
    n: int

    @classmethod
    def of(cls, first: Shares, second: Shares) -> MeanDifference:
        """The difference of two arrays (n,)."""
        difference = first - second
        n = len(difference)
        return cls(float(difference.mean()), float(difference.std(ddof=1)) if n > 1 else 0.0, n)

    @property
    def p(self) -> float:
        """Two-sided p-value of Student's paired t-test; 1 if all differences are equal to 0."""
        from scipy.special import stdtr

        if self.n < 2 or self.mean == 0:
            return 1.0
        if self.deviation == 0:
            return 0.0
        t = abs(self.mean) / self.deviation * math.sqrt(self.n)
        return min(1.0, 2 * float(stdtr(self.n - 1, -t)))

    @property
    def images_needed(self) -> int | None:
        """About how many images would decide at the observed difference; None if too many."""
        if self.mean == 0 or self.n < 2:
            return None
        return smallest(lambda n: replace(self, n=n).p < SIGNIFICANT, self.n)


def mcnemar(first: Flags, second: Flags) -> float:
    """Exact two-sided p-value of McNemar's test for flags of the same images (``Pairs.p``).

    Parameters
    ----------
    first, second : bool arrays of shape (n,)
        Which images each classifies correctly.

    Raises
    ------
    InputError
        If the shapes differ.
    """
    return Pairs.of(first, second).p


def tail(k: int, n: int, share: float) -> float:
    """Probability of ``k`` or more of ``n`` if each has the probability ``share``."""
    from scipy.special import bdtrc

    return 1.0 if k <= 0 else float(bdtrc(k - 1, n, share))


def images_to_exceed(observed: float, expected: float, n: int) -> int | None:
    """About how many images would show that a share is above ``expected``; None if too many."""
    if observed <= expected:
        return None
    return smallest(lambda m: tail(round(observed * m), m, expected) < SIGNIFICANT, n)


def smallest(decides: Callable[[int], bool], n: int) -> int | None:
    """About the smallest number above ``n`` that decides; None if ``MOST_IMAGES`` do not."""
    low, high = n, max(n + 1, 2)
    while not decides(high):
        low, high = high, 2 * high
        if high > MOST_IMAGES:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if decides(middle) else (middle, high)
    return high
