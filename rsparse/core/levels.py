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

import cv2
import numpy as np
from numpy.typing import NDArray

from rsparse.errors import InputError
from rsparse.parameters import PurifyParameters

Pixels = NDArray[np.uint8]

DEFAULT_SPARSITY = 2
"""K where neither the user nor the dictionary says another."""

# Immerkær, "Fast noise variance estimation" (1996): blind to planes and straight edges. The norm
# of its numbers is 6, so white noise keeps its deviation.
_LAPLACIAN_DIFFERENCE = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32) / 6
_WINDOW = 8
_QUANTILE = 0.02


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
    """

    noise_below: float
    sparsity: int
    localize: bool = True
    prefilter: bool = False


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
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    rest = cv2.filter2D(grey, -1, _LAPLACIAN_DIFFERENCE, borderType=cv2.BORDER_REFLECT_101)
    side = (min(_WINDOW, image.shape[1]), min(_WINDOW, image.shape[0]))
    power = cv2.blur(rest * rest, side, borderType=cv2.BORDER_REFLECT_101)
    return float(np.sqrt(max(np.quantile(power, _QUANTILE), 0)))


def check_levels(levels: Sequence[Level]) -> None:
    """See that levels can be used.

    Raises
    ------
    InputError
        If they do not rise up to infinity, or one has a negative number of atoms.
    """
    bounds = [level.noise_below for level in levels]
    rising = all(low < high for low, high in zip([0.0, *bounds], bounds, strict=False))
    if levels and not (rising and bounds[-1] == np.inf):
        raise InputError("dictionary: its levels do not rise from above 0 to one without a limit")
    for level in levels:
        if level.sparsity < 0:
            raise InputError(f"dictionary: a level has sparsity {level.sparsity}")


def parse_levels(text: str) -> tuple[Level, ...]:
    """The levels that ``keep<0.4,region:2<1.6,bilateral+whole:1`` spells; none for an empty text.

    Raises
    ------
    InputError
        If it is spelled otherwise, or its noise does not rise.

    Examples
    --------
    >>> parse_levels("keep<0.4,bilateral+whole:1")[1]
    Level(noise_below=inf, sparsity=1, localize=False, prefilter=True)
    """
    levels = tuple(_parse_level(word) for word in text.split(",")) if text else ()
    try:
        check_levels(levels)
    except InputError as error:
        raise InputError(f"levels {text!r}: {str(error).removeprefix('dictionary: ')}") from None
    return levels


def _parse_level(word: str) -> Level:
    match = re.fullmatch(
        r"\s*(?:keep|(bilateral\+)?(region|whole):0*([1-9]\d{0,3}))(?:<(\d+(?:\.\d+)?))?\s*", word
    )
    if match is None:
        raise InputError(
            "levels: expected keep<noise, region:K<noise, whole:K<noise or the latter two after "
            f"bilateral+, the last without <noise, got {word!r}"
        )
    prefilter, place, sparsity, noise = match.groups()
    return Level(
        float(noise) if noise else np.inf, int(sparsity or 0), place != "whole", bool(prefilter)
    )


def level_for(image: Pixels, levels: Sequence[Level], parameters: PurifyParameters) -> Level:
    """How one image is purified.

    Parameters
    ----------
    image : uint8 array of shape (h, w, 3), RGB
    levels : sequence of Level
        The dictionary's, perhaps none.
    parameters : PurifyParameters
        Its ``sparsity`` is used where it says one; its ``prefilter`` holds at every level.
    """
    level = Level(np.inf, parameters.sparsity or DEFAULT_SPARSITY)
    if parameters.sparsity is None and levels:
        noise = noise_level(image)
        level = next(level for level in levels if noise < level.noise_below)
    return replace(level, prefilter=level.prefilter or parameters.prefilter)
