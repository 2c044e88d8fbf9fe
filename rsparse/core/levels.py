"""How strongly an image is purified: chosen from the noise that it shows (``--sparsity auto``).

No single K wins at every strength of an attack: few atoms remove strong perturbations and, with
them, what the classifier needs of a clean image. The strength shows in the flattest parts of an
image, where only noise is left. A dictionary may hold levels for rising noise, each with its own
K, with or without localization, with or without a filter before.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rsparse.errors import InputError
from rsparse.options.purify import PurifyParameters

Pixels = NDArray[np.uint8]

DEFAULT_SPARSITY = 2
"""K where neither the user nor the dictionary says another."""
DEFAULT_STRIDE = 2
"""Pixels between patches, likewise."""

# Immerkær, "Fast noise variance estimation" (1996): blind to planes and straight edges. The norm
# of its numbers is 6, so white noise keeps its deviation.
_LAPLACIAN_DIFFERENCE = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32) / 6
_WINDOW = 8
_QUANTILE = 0.02
_FLAT = 1e-3  # power of a block, in squared grey levels, in which there is nothing to share out
_FLAT_POWER = 4.0  # at which a block weighs half of a flat one
_LARGEST_SHARE = 4.0  # of a pixel, in its block's mean: one point does not decide
_FEWEST_BLOCKS = 12
_CONTRASTS = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / 4  # rows, columns, both


@dataclass(frozen=True)
class Level:
    """How images up to some noise are purified.

    Attributes
    ----------
    noise_below : float
        It is for images whose ``noise_level`` is less; infinite in the last level.
    sparsity : int
        K; 0 leaves the image as it is.
    localize : bool
        Code the object region only, or the whole image.
    prefilter : bool
        Filter the whole image as the background before it is coded.
    period_below : float
        It is for images whose ``period_two`` is less; the others go on to the next level.
    weakest, stride
        As in ``PurifyParameters``.
    """

    noise_below: float
    sparsity: int
    localize: bool = True
    prefilter: bool = False
    period_below: float = np.inf
    weakest: float = 0.0
    stride: int = DEFAULT_STRIDE


def noise_level(image: Pixels) -> float:
    """The deviation of the noise in the flattest parts of an image, in grey levels.

    Parameters
    ----------
    image : uint8 array of shape (h, w, 3), RGB

    Returns
    -------
    float
        The 2 % quantile of the local deviation, over windows of 8×8, of the grey image filtered
        so that planes and straight edges vanish. 0 for an image that is flat somewhere.

    Notes
    -----
    Texture is not mistaken for noise as long as a fiftieth of the image has none.
    """
    rest = _rest(image)
    side = (min(_WINDOW, image.shape[1]), min(_WINDOW, image.shape[0]))
    power = cv2.blur(rest * rest, side, borderType=cv2.BORDER_REFLECT_101)
    return float(np.sqrt(max(np.quantile(power, _QUANTILE), 0)))


def period_two(image: Pixels) -> float:
    """How surely the noise in an image differs between its even and odd rows and columns.

    Networks take an image in through convolutions of stride 2, so that gradients, and what an
    attack makes of them, are not alike on even and odd pixels. Most photographs hardly have such a
    period; JPEG files of just this size, whose blocks have an even side, have more of it.

    Parameters
    ----------
    image : uint8 array of shape (h, w, 3), RGB

    Returns
    -------
    float
        Hotelling's T² over blocks of 8×8, divided by its 3 degrees of freedom: about 1 where even
        and odd pixels are alike, for images of any size. 0 for an image too small or too flat to
        tell.

    Notes
    -----
    Of the grey image, filtered as for ``noise_level``, each block tells how its power is shared
    out among the four kinds of pixels. Relative to the block's power, it does not matter how
    strong the noise is; flat blocks, which hold little else, weigh more. An image that was
    attacked at another size and then resized has lost the period.
    """
    side = _WINDOW
    rows, columns = ((length - 4) // side * side for length in image.shape[:2])
    if min(rows, columns) < side:
        return 0.0
    rest = _rest(image)[2 : 2 + rows, 2 : 2 + columns].astype(np.float64)  # mirrored at the border
    squares = np.square(rest).reshape(rows // side, side, columns // side, side)
    power = squares.transpose(0, 2, 1, 3).reshape(-1, side, side)
    mean = power.mean(axis=(1, 2))
    power, mean = power[mean > _FLAT], mean[mean > _FLAT]
    if len(mean) < _FEWEST_BLOCKS:
        return 0.0
    shares = np.minimum(power / mean[:, None, None], _LARGEST_SHARE)
    kinds = shares.reshape(-1, side // 2, 2, side // 2, 2).mean(axis=(1, 3)).reshape(-1, 4)
    contrasts = kinds @ _CONTRASTS
    weights = 1 / (1 + mean / _FLAT_POWER)
    weights /= weights.sum()
    average = weights @ contrasts
    spread = (contrasts * weights[:, None]).T @ contrasts + 1e-9 * np.eye(3)
    independent = 1 / np.square(weights).sum()
    return float(independent * average @ np.linalg.solve(spread, average) / 3)


def _rest(image: Pixels) -> NDArray[np.float32]:
    """The grey image (h, w) without planes and straight edges."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    rest = cv2.filter2D(grey, -1, _LAPLACIAN_DIFFERENCE, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(rest, dtype=np.float32)


def check_levels(levels: Sequence[Level]) -> None:
    """See that levels can be used.

    Raises
    ------
    InputError
        If they do not rise up to infinity, or one has a negative number of atoms or the like.
    """
    bounds = [level.noise_below for level in levels]
    rising = all(low < high for low, high in zip([0.0, *bounds], bounds, strict=False))
    endless = bool(levels) and bounds[-1] == levels[-1].period_below == np.inf
    if levels and not (rising and endless):
        raise InputError("dictionary: its levels do not rise from above 0 to one without a limit")
    for level in levels:
        if not level.period_below > 0:
            raise InputError(f"dictionary: a level has period below {level.period_below:g}")
        for name, least in (("sparsity", 0), ("weakest", 0), ("stride", 1)):
            value = getattr(level, name)
            if not least <= value < np.inf:
                raise InputError(f"dictionary: a level has {name} {value:g}")


def parse_levels(text: str) -> tuple[Level, ...]:
    """The levels that ``keep<0.4,region:2<1.6,bilateral+whole:1`` spells; none for an empty text.

    Raises
    ------
    InputError
        If it is spelled otherwise, or its noise does not rise.

    Notes
    -----
    A level may go on by ``:period=…``, the bound of ``period_below``, and those that code by
    ``:weakest=…`` and ``:stride=…``.

    Examples
    --------
    >>> parse_levels("keep<0.4,bilateral+whole:8:stride=6")[1].stride
    6
    """
    levels = tuple(_parse_level(word) for word in text.split(",")) if text else ()
    try:
        check_levels(levels)
    except InputError as error:
        raise InputError(f"levels {text!r}: {str(error).removeprefix('dictionary: ')}") from None
    return levels


def _parse_level(word: str) -> Level:
    match = re.fullmatch(
        r"\s*(?:keep|(bilateral\+)?(region|whole):0*([1-9]\d{0,3}))"
        r"((?::[a-z]+=[^:<]+)*)(?:<(\d+(?:\.\d+)?))?\s*",
        word,
    )
    if match is None:
        raise InputError(
            "levels: expected keep<noise, region:K<noise, whole:K<noise or the latter two after "
            f"bilateral+, the last without <noise, got {word!r}"
        )
    prefilter, place, sparsity, more, noise = match.groups()
    below = float(noise) if noise else np.inf
    level = Level(below, int(sparsity or 0), place != "whole", bool(prefilter))
    return replace(level, **_parse_more(word, more)) if more else level


def _parse_more(word: str, more: str) -> dict[str, Any]:
    """A level's fields that ``:weakest=1.5:stride=6`` says, as ``PurifyParameters`` checks them."""
    pairs = [pair.split("=") for pair in more[1:].split(":")]
    kinds: dict[str, type] = {"period": float, "weakest": float, "stride": int}
    try:
        said: dict[str, Any] = {name: kinds[name](value) for name, value in pairs}
        period = said.pop("period", np.inf)
        PurifyParameters(**said)
    except (KeyError, ValueError):
        raise InputError(
            f"levels: expected :period=NUMBER, :weakest=NUMBER or :stride=PIXELS, got {word!r}"
        ) from None
    except InputError as error:
        raise InputError(f"levels: {word!r}: {error}") from None
    if len({name for name, _ in pairs}) < len(pairs):
        raise InputError(f"levels: {word!r} says something twice")
    return {**said, "period_below": period}


def level_for(image: Pixels, levels: Sequence[Level], parameters: PurifyParameters) -> Level:
    """How one image is purified.

    Parameters
    ----------
    image : uint8 array of shape (h, w, 3), RGB
    levels : sequence of Level
        The dictionary's, perhaps none.
    parameters : PurifyParameters
        Its ``sparsity`` is used where it says one, and no level then; its ``weakest`` and
        ``stride``, where it says them, and its ``prefilter`` hold at every level.
    """
    level = Level(np.inf, parameters.sparsity or DEFAULT_SPARSITY)
    if parameters.sparsity is None and levels:
        level = _by_noise(image, levels)
    said = {
        name: value
        for name in ("weakest", "stride")
        if (value := getattr(parameters, name)) is not None
    }
    return replace(level, prefilter=level.prefilter or parameters.prefilter, **said)


def _by_noise(image: Pixels, levels: Sequence[Level]) -> Level:
    """The first level whose noise, and whose period of two, exceeds the image's."""
    noise = noise_level(image)
    period = period_two(image) if any(level.period_below < np.inf for level in levels) else 0.0
    return next(
        level for level in levels if noise < level.noise_below and period < level.period_below
    )
