"""The outcomes of a check, and how a comparison gets one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from rsparse.core.paired import MARGIN, SIGNIFICANT, Pairs, images_to_exceed, tail

PASS, FAIL, UNDECIDED, NOT_RUN = "pass", "fail", "undecided", "not run"
OUTCOMES = (FAIL, UNDECIDED, NOT_RUN, PASS)
"""Every outcome: what has to be read first is first."""

TOLERATED = 0.01
"""The share of images that may behave in an unexpected way without a defect."""


class Finding(NamedTuple):
    """An outcome and its evidence."""

    outcome: str
    detail: str


def percent(value: float) -> str:
    """A share as the checks print it: ``81 %``; ``0.2 %`` if it is small but not 0."""
    return f"{100 * value:.{int(0 < value < 0.01)}f} %"


def compared(pairs: Pairs, tests: int = 1) -> str:
    """Whether the first classification is right no more often than the second.

    It is contradicted by a significant difference. It holds if a difference in the expected
    direction is significant, or if there is none and a larger one than ``MARGIN`` is excluded.

    Parameters
    ----------
    pairs : Pairs
    tests : int
        The number of comparisons of which one contradiction is enough; p is multiplied by it
        (Bonferroni).
    """
    if pairs.only_first > pairs.only_second:
        return FAIL if pairs.p * tests < SIGNIFICANT else UNDECIDED
    return PASS if pairs.p < SIGNIFICANT or pairs.high < MARGIN else UNDECIDED


def needed(pairs: Pairs, tests: int = 1) -> str:
    """The number of images that would decide a comparison, in words."""
    wrong = pairs.only_first > pairs.only_second
    n = pairs.images_needed(tests if wrong else 1)
    if n is not None and pairs.only_first == pairs.only_second:
        return f"no difference; {n:,} images would exclude one of {100 * MARGIN:.0f} points"
    return f"p = {pairs.p:.2g}; {enough(n)}"


def enough(n: int | None, unit: str = "images") -> str:
    """The number of images that would decide something, in words; None if it is too large."""
    return "too small to be decided" if n is None else f"about {n:,} {unit} would decide it"


def combined(outcomes: Iterable[str]) -> str:
    """One outcome for several: the worst of them."""
    found = set(outcomes)
    return next((outcome for outcome in (FAIL, UNDECIDED, PASS) if outcome in found), NOT_RUN)


def rare(k: int, n: int, what: str, none: str, unit: str = "images") -> Finding:
    """Whether no more than ``TOLERATED`` of the images show something unexpected.

    Parameters
    ----------
    k, n : int
        Images that show it, and all images.
    what : str
        What they do, after "k of n images".
    none : str
        The detail if none does.
    unit : str
        What they are, if not images.
    """
    if not n:
        return Finding(NOT_RUN, "there is no image that it applies to")
    if not k:
        return Finding(PASS, none)
    text = f"{k} of {n} {unit} {what}"
    if tail(k, n, TOLERATED) < SIGNIFICANT:
        return Finding(FAIL, text)
    if k / n <= TOLERATED:
        return Finding(PASS, f"{text}, no more than {percent(TOLERATED)}")
    return Finding(UNDECIDED, f"{text}; {enough(images_to_exceed(k / n, TOLERATED, n), unit)}")
