"""Several strengths of noise in one option."""

from __future__ import annotations

import math

from rsparse.errors import InputError

ONE_OR_SEVERAL = "a number above 0 and at most 2, or several separated by commas"


def sigmas_from(text: str, option: str) -> tuple[float, ...]:
    """Standard deviations for pixels in [0, 1], separated by commas, in rising order.

    Raises
    ------
    InputError
        If one is no number above 0 and at most 2, or is named twice.

    Examples
    --------
    >>> sigmas_from(".25,.12", "sigma")
    (0.12, 0.25)
    """
    try:
        values = sorted(float(word) for word in text.split(","))
    except ValueError:
        values = [math.nan]
    if not all(0 < value <= 2 for value in values):
        raise InputError(f"{option}: expected {ONE_OR_SEVERAL}, got {text!r}")
    if len(set(values)) < len(values):
        raise InputError(f"{option}: names the same noise twice: {text}")
    return tuple(values)
