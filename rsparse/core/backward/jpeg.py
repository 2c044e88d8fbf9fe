"""Differentiate JPEG compression: libjpeg's steps in floats, with a smooth stand-in for rounding.

Shin, Song (2017), "JPEG-resistant adversarial images", replace the rounding ⌊c⌉ of a coefficient by
⌊c⌉ + (c − ⌊c⌉)³. Coefficients close to a jump have a slope, those that are quantised to 0 almost
none. Every other step is linear.
"""

from __future__ import annotations

import io
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rsparse.core.backward.borders import folded

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_BLOCK = 8
_UNIT = 16  # pixels along a side that share a block of each colour difference
_TO_YCC = np.array(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
)
_TO_RGB = np.array([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]])


class Coefficients(NamedTuple):
    """The DCT coefficients of a plane, (h/8, w/8, 8, 8), in units of their quantisation steps."""

    values: Doubles
    steps: Doubles


def smooth_jpeg(image: NDArray[np.floating], quality: int) -> Doubles:
    """Compress an image (h, w, 3) in grey levels and decode it, with the smooth stand-in.

    With true rounding instead it would be ``core.compression.jpeg`` up to about one level, without
    its final rounding and clipping.
    """
    planes = [
        _values(_smoothly_rounded(plane.values) * plane.steps)
        for plane in _coefficients(np.asarray(image, np.float64), quality)
    ]
    return _joined(planes)[: image.shape[0], : image.shape[1]]


def jpeg_vjp(image: Pixels, upper: Floats, quality: int) -> Floats:
    """Multiply a gradient by the transposed Jacobian of ``smooth_jpeg``.

    Parameters
    ----------
    image : uint8 array of shape (h, w, 3), RGB
        The image that was compressed.
    upper : float32 array of shape (h, w, 3)
        Gradient with respect to the decoded image.
    quality : int
        As in ``core.compression.jpeg``.

    Returns
    -------
    float32 array of shape (h, w, 3)
        Gradient with respect to ``image``.
    """
    height, width = image.shape[:2]
    missing = -height % _UNIT, -width % _UNIT
    above = np.pad(upper.astype(np.float64), ((0, missing[0]), (0, missing[1]), (0, 0)))
    colours = above @ _TO_RGB
    halves = _halving(len(above)), _halving(above.shape[1])
    doubles = _doubling(len(above)), _doubling(above.shape[1])
    lower = np.empty_like(above)
    for channel, plane in enumerate(_coefficients(image.astype(np.float64), quality)):
        gradient = colours[:, :, channel]
        if channel:
            gradient = doubles[0].T @ gradient @ doubles[1]
        slope = 3 * np.square(plane.values - np.rint(plane.values))
        gradient = _values(_transformed(gradient) * slope)
        lower[:, :, channel] = halves[0].T @ gradient @ halves[1] if channel else gradient
    whole = folded(lower @ _TO_YCC, (0, missing[0]), (0, missing[1]), "edge")
    return whole.astype(np.float32)


def _coefficients(image: Doubles, quality: int) -> list[Coefficients]:
    """The coefficients of lightness and of both colour differences, which have half the size."""
    missing = -image.shape[0] % _UNIT, -image.shape[1] % _UNIT
    padded = np.pad(image, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
    planes = np.moveaxis(padded @ _TO_YCC.T, 2, 0)
    rows, columns = _halving(len(padded)), _halving(padded.shape[1])
    light, dark = _steps(quality)
    return [
        Coefficients(_transformed(planes[0] - 128) / light, light),
        *(Coefficients(_transformed(rows @ p @ columns.T) / dark, dark) for p in planes[1:]),
    ]


def _joined(planes: list[Doubles]) -> Doubles:
    """Decode the planes to RGB."""
    rows, columns = (_doubling(length) for length in planes[0].shape)
    colours = [planes[0] + 128, *(rows @ plane @ columns.T for plane in planes[1:])]
    return np.stack(colours, axis=-1) @ _TO_RGB.T


def _smoothly_rounded(values: Doubles) -> Doubles:
    whole = np.rint(values)
    return whole + (values - whole) ** 3


def _transformed(plane: Doubles) -> Doubles:
    """The DCT of each block, (h/8, w/8, 8, 8)."""
    rows, columns = (length // _BLOCK for length in plane.shape)
    blocks = plane.reshape(rows, _BLOCK, columns, _BLOCK).transpose(0, 2, 1, 3)
    return np.asarray(_cosines() @ blocks @ _cosines().T)


def _values(coefficients: Doubles) -> Doubles:
    """The plane (h, w) of coefficients (h/8, w/8, 8, 8); the transpose of ``_transformed``."""
    blocks = _cosines().T @ coefficients @ _cosines()
    rows, columns = blocks.shape[:2]
    return blocks.transpose(0, 2, 1, 3).reshape(rows * _BLOCK, columns * _BLOCK)


@cache
def _cosines() -> Doubles:
    """The matrix of the orthonormal DCT of eight numbers."""
    return np.asarray(cv2.dct(np.eye(_BLOCK), flags=cv2.DCT_ROWS)).T.astype(np.float64)


@cache
def _halving(length: int) -> Doubles:
    """The matrix (length/2, length) that averages pairs."""
    return np.kron(np.eye(length // 2), np.full((1, 2), 0.5))


@cache
def _doubling(length: int) -> Doubles:
    """The matrix (length, length/2) of libjpeg's filter: ¾ of the nearer and ¼ of the next one."""
    half = length // 2
    places = np.arange(length)
    near = places // 2
    far = np.clip(near + np.where(places % 2, 1, -1), 0, half - 1)
    matrix = np.zeros((length, half))
    matrix[places, near] += 0.75
    matrix[places, far] += 0.25
    return matrix


@cache
def _steps(quality: int) -> tuple[Doubles, Doubles]:
    """The quantisation steps (8, 8) of lightness and colour that libjpeg uses at a quality."""
    file = io.BytesIO()
    Image.new("RGB", (_UNIT, _UNIT)).save(file, "JPEG", quality=quality)
    tables = Image.open(file).quantization  # type: ignore[attr-defined]
    light, colour = (np.array(tables[n], np.float64).reshape(_BLOCK, _BLOCK) for n in (0, 1))
    return light, colour
