"""Measure the noise in an image, in brightness and in colour, and whether it has a period of two.

The flattest parts of an image, which contain only noise, show how strong an attack is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Plane = NDArray[np.float32]
Channel = Callable[[Pixels], Plane]
"""Computes a plane (h, w) of an image, such as its grey levels."""

# Immerkær, "Fast noise variance estimation" (1996): ignores planes and straight edges. The
# norm of its entries is 6, so the deviation of white noise does not change.
_LAPLACIAN_DIFFERENCE = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32) / 6
_WINDOW = 8
_QUANTILE = 0.02
_FLAT = 1e-3  # squared grey levels; blocks of less power are not used
_FLAT_POWER = 4.0  # power at which a block has half the weight of a flat block
_LARGEST_SHARE = 4.0  # of a pixel relative to its block's mean, so that no single pixel dominates
_FEWEST_BLOCKS = 12
_BAND = 1 << 18  # pixels that are filtered together, so that a large image takes little memory
_CONTRASTS = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / 4  # rows, columns, both


def flattest(image: Pixels, share: float = _QUANTILE) -> NDArray[np.bool_]:
    """Find the pixels on which the noise in the flattest parts of an image depends.

    Parameters
    ----------
    image : uint8 array of shape (h, w, 3), RGB
    share : float
        Share of the windows of ``noise_level`` that count as flattest, 0 to 1. As long as only
        other pixels change, and not so that further windows become flatter than these, the quantile
        of this share stays as it is.

    Returns
    -------
    bool array of shape (h, w)
    """
    power = _power(image, _BRIGHTNESS)
    flat = (power <= np.quantile(power, share)).astype(np.uint8)
    reach = np.ones((_WINDOW + 3, _WINDOW + 3), np.uint8)  # of a window and the filter around it
    return np.asarray(cv2.dilate(flat, reach)) > 0


def noise_level(image: Pixels) -> float:
    """Measure the standard deviation of the noise in the flattest parts of an image.

    Parameters
    ----------
    image : uint8 array of shape (h, w, 3), RGB

    Returns
    -------
    float
        Grey levels. The grey image is filtered so that planes and straight edges vanish; the result
        is the 2 % quantile of its local deviation in windows of 8×8. It is 0 if a part of the image
        is completely flat.

    Notes
    -----
    Texture does not count as noise as long as at least a fiftieth of the image has none.
    """
    return _flattest(image, _BRIGHTNESS)


def color_noise(image: Pixels) -> float:
    """Measure the standard deviation of the noise in colour in the flattest parts of an image.

    Photographs have little of it: cameras interpolate the colours of neighbouring pixels, and JPEG
    files mostly store colour at half the resolution. The gradients of a network differ from channel
    to channel, and so do the attacks that are computed from them. A JPEG file that is made after
    the attack removes it.

    Parameters
    ----------
    image : uint8 array of shape (h, w, 3), RGB

    Returns
    -------
    float
        Grey levels: as ``noise_level``, but of the differences red − green and blue − green, whose
        local powers are added. It is 0 for a grey image.
    """
    return _flattest(image, _COLOR)


def period_two(image: Pixels) -> float:
    """Test whether the noise in an image differs between even and odd rows and columns.

    The first convolutions of most networks have stride 2, so gradients, and the attacks computed
    from them, differ between even and odd pixels. Most photographs hardly have such a period. It is
    stronger in JPEG files that were not resized, because their blocks have an even side.

    Parameters
    ----------
    image : uint8 array of shape (h, w, 3), RGB

    Returns
    -------
    float
        Hotelling's T² over blocks of 8×8, divided by its 3 degrees of freedom. It is about 1 if
        even and odd pixels have equal noise, for images of any size, and 0 if the image is too
        small or too flat for the test.

    Notes
    -----
    The grey image is filtered as in ``noise_level``. For each block, the test computes which share
    of its power each of the four kinds of pixels (even and odd rows and columns) has. Shares do
    not depend on the strength of the noise. Flat blocks, which contain little but noise, have more
    weight. Resizing an image after an attack removes the period.
    """
    return _period_of(image, _BRIGHTNESS)


def color_period_two(image: Pixels) -> float:
    """Test for the period of two in brightness and in colour at once.

    Weak attacks show in colour first, where photographs have little noise that could hide them.

    Parameters
    ----------
    image : uint8 array of shape (h, w, 3), RGB

    Returns
    -------
    float
        As ``period_two``, but with the contrasts of the grey levels and of the differences
        red − green and blue − green, 9 degrees of freedom. A difference that is flat almost
        everywhere is left out; of a grey image, this is ``period_two``.
    """
    return _period_of(image, (*_BRIGHTNESS, *_COLOR))


def _period_of(image: Pixels, channels: Sequence[Channel]) -> float:
    """Hotelling's T² of the contrasts of several planes (h, w) by its degrees of freedom.

    Blocks that are flat in any plane do not count. The first plane alone remains if too few do.
    """
    if min(image.shape[:2]) < _WINDOW + 4:
        return 0.0
    planes = [_blocks(image, channel) for channel in channels]
    means = np.array([mean for mean, _ in planes])
    noisy = means > _FLAT
    kept = [number for number, some in enumerate(noisy) if some.sum() >= _FEWEST_BLOCKS]
    if 0 not in kept:
        return 0.0
    used = noisy[kept].all(axis=0)
    if used.sum() < _FEWEST_BLOCKS:
        kept, used = [0], noisy[0]
    contrasts = np.concatenate([planes[number][1][used] @ _CONTRASTS for number in kept], axis=1)
    n_contrasts = contrasts.shape[1]
    weights = 1 / (1 + means[kept][:, used].mean(axis=0) / _FLAT_POWER)
    weights /= weights.sum()
    average = weights @ contrasts
    covariance = (contrasts * weights[:, None]).T @ contrasts + 1e-9 * np.eye(n_contrasts)
    independent = 1 / np.square(weights).sum()
    return float(independent * average @ np.linalg.solve(covariance, average) / n_contrasts)


def _blocks(image: Pixels, channel: Channel) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mean square (n,) of each block of a plane, and the shares (n, 4) of its kinds of pixels.

    The borders, which the filter mirrors, belong to no block.
    """
    rows, columns = ((length - 4) // _WINDOW * _WINDOW for length in image.shape[:2])
    bands = [
        _shares_of_blocks(_rest(image, channel, 2 + top, 2 + bottom)[:, 2 : 2 + columns])
        for top, bottom in _bands(rows, image.shape[1])
    ]
    means, kinds = (np.concatenate(parts) for parts in zip(*bands, strict=True))
    return means, kinds


def _shares_of_blocks(rest: Plane) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """``_blocks`` of a few rows of blocks; the shares of flat blocks mean nothing."""
    side = _WINDOW
    n_rows, n_columns = rest.shape[0] // side, rest.shape[1] // side
    squares = np.square(rest.astype(np.float64)).reshape(n_rows, side, n_columns, side)
    power = np.ascontiguousarray(squares.transpose(0, 2, 1, 3)).reshape(-1, side, side)
    mean = power.mean(axis=(1, 2))
    shares = np.minimum(power / np.maximum(mean, _FLAT)[:, None, None], _LARGEST_SHARE)
    return mean, shares.reshape(-1, side // 2, 2, side // 2, 2).mean(axis=(1, 3)).reshape(-1, 4)


def _flattest(image: Pixels, channels: Sequence[Channel]) -> float:
    """The 2 % quantile of the local deviation; ``channels`` are as for ``_power``."""
    power = _power(image, channels)
    return float(np.sqrt(max(float(np.quantile(power, _QUANTILE, overwrite_input=True)), 0)))


def _power(image: Pixels, channels: Sequence[Channel]) -> Plane:
    """The mean square of the noise in the window around each pixel, added over channels (h, w)."""
    height, width = image.shape[:2]
    window = (min(_WINDOW, width), min(_WINDOW, height))
    power = np.empty((height, width), np.float32)
    for top, bottom in _bands(height, width):
        first, last = max(top - _WINDOW // 2, 0), min(bottom + _WINDOW // 2, height)
        squares = np.zeros((last - first, width), np.float32)
        for channel in channels:
            rest = _rest(image, channel, first, last)
            squares += rest * rest
        mean = cv2.blur(squares, window, borderType=cv2.BORDER_REFLECT_101)
        power[top:bottom] = mean[top - first : bottom - first]
    return power


def _bands(rows: int, width: int) -> Iterator[tuple[int, int]]:
    """The first row of each band, and the one behind its last; blocks are whole."""
    step = _WINDOW * max(_BAND // (_WINDOW * width), 1)
    for top in range(0, rows, step):
        yield top, min(top + step, rows)


def _rest(image: Pixels, channel: Channel, top: int, bottom: int) -> Plane:
    """Remove planes and straight edges from some rows of a channel."""
    first = max(top - 1, 0)
    plane = channel(image[first : bottom + 1])
    rest = cv2.filter2D(plane, -1, _LAPLACIAN_DIFFERENCE, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(rest[top - first : bottom - first], dtype=np.float32)


def _grey(image: Pixels) -> Plane:
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)


def _less_green(number: int) -> Channel:
    """A channel less the green one."""

    def difference(image: Pixels) -> Plane:
        one, green = (np.ascontiguousarray(image[:, :, i]) for i in (number, 1))
        return np.asarray(cv2.subtract(one, green, dtype=cv2.CV_32F), np.float32)

    return difference


_BRIGHTNESS: Sequence[Channel] = (_grey,)
_COLOR: Sequence[Channel] = (_less_green(0), _less_green(2))
