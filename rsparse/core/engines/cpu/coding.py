"""Code a whole image: z-score overlapping patches, code them, and average the result.

An image is read and coded in bands of rows, so that beside the image and the result there are only
the rows under way. All sums have the order that they would have without bands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from rsparse.core.dictionary import Dictionary
from rsparse.core.engines.cpu import loops
from rsparse.core.engines.cpu.overlap import Overlap, Part
from rsparse.core.omp import BLOCK, in_threads
from rsparse.core.patches import blocks_of_positions, statistics_by_rows

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Image = Floats | NDArray[np.uint8]

_NONE = np.empty(0, dtype=np.float32)
_BAND = 1 << 19
"""Numbers in the rows that are converted together."""


class CodedBand(NamedTuple):
    """Finished rows of a coded image, from ``top`` on, of some channels.

    ``average`` (rows, w, c) float32 is not clipped, and 0 at pixels without a coded patch;
    ``covered`` (rows, w) is true at the others.
    """

    top: int
    channels: slice
    average: Floats
    covered: Mask


def sparse_code(
    x: Image,
    dictionary: Dictionary,
    sparsity: int,
    stride: int,
    mask: Mask | None = None,
    threads: int = 1,
    min_correlation: float = 0.0,
    inner: loops.Loops | None = None,
) -> tuple[Floats, Mask]:
    """Replace an image by the average of its sparsely coded, overlapping patches.

    Each patch dimension is z-scored by its mean and deviation over this image's grid of patches,
    coded with at most K atoms, and scaled back.

    Parameters
    ----------
    x : array of shape (h, w, 3), float32 in [0, 1] or uint8
    dictionary : Dictionary
    sparsity : int
        K.
    stride : int
        Pixels between neighbouring patches.
    mask : bool array of shape (h, w), optional
        Code only patches that contain a true pixel.
    threads : int
        Their number does not change a byte of the result.
    min_correlation : float
        A patch gets no more atoms once no atom's correlation with its z-scored residual is above
        this; with 0, only K limits the atoms. Patches with little content get few atoms, as with a
        hard threshold on the coefficients of an orthonormal dictionary.
    inner : Loops, optional
        The inner loops; by default the fastest available.

    Returns
    -------
    coded : float32 array of shape (h, w, 3)
        Not clipped; 0 at pixels without a coded patch.
    covered : bool array of shape (h, w)
    """
    coded, covered = np.zeros(x.shape, np.float32), np.zeros(x.shape[:2], bool)
    stops = sparsity, min_correlation
    for band in coded_bands(x, dictionary, stops, stride, mask, threads, inner, in_bands=False):
        rows = slice(band.top, band.top + len(band.average))
        coded[rows, :, band.channels] = band.average
        covered[rows] = band.covered
    return coded, covered


def coded_bands(
    x: Image,
    dictionary: Dictionary,
    stops: tuple[int, float],
    stride: int,
    mask: Mask | None = None,
    threads: int = 1,
    inner: loops.Loops | None = None,
    *,
    in_bands: bool = True,
) -> Iterator[CodedBand]:
    """The result of ``sparse_code`` in bands, which do not overlap; ``stops`` has K and the bound.

    Rows without a coded patch may be left out. Unless it reads the image ``in_bands``, all patches
    of a layer are gathered from one array, the whole layer.
    """
    inner = inner or loops.fastest
    slices = [slice(0, 3)] if dictionary.color else [slice(c, c + 1) for c in range(3)]
    for channels in slices:
        layer = _Layer(x, channels, dictionary, stops, stride, inner, in_bands)
        overlap = Overlap(x.shape[1], channels.stop - channels.start)
        blocks = blocks_of_positions(x.shape[:2], dictionary.patch_size, stride, mask, BLOCK)
        groups = _grouped(blocks, x.shape[1] * 3) if in_bands else iter([list(blocks)])
        for part in in_threads(layer.part, filter(None, groups), threads):
            for top, average, covered in overlap.finished_above(part.top):
                yield CodedBand(top, channels, average, covered)
            overlap.add(part)
        for top, average, covered in overlap.rest():
            yield CodedBand(top, channels, average, covered)


class _Layer:
    """The channels of an image that are coded together, with their z-score.

    The z-score is part of the encoder and the decoder: the correlations of a patch p with the atoms
    D are D (p − μ)/σ = (D/σ) p − (D/σ) μ, and a code c is decoded to σ ⊙ Dᵀc + μ.
    """

    def __init__(
        self,
        x: Image,
        channels: slice,
        dictionary: Dictionary,
        stops: tuple[int, float],
        stride: int,
        inner: loops.Loops,
        in_bands: bool = True,
    ) -> None:
        self.x, self.channels, self.inner, self.in_bands = x, channels, inner, in_bands
        self.b, self.gram = dictionary.patch_size, dictionary.gram
        self.min_correlation = stops[1]
        atoms = dictionary.atoms
        # Without the mean, rounding errors in (D/σ) p would grow with μ/σ.
        self.center = np.zeros(channels.stop - channels.start, np.float32)
        if dictionary.normalize:
            self.center = self._mean()
        mean, deviation, scale = _standardisation(self.rows, x.shape[:2], dictionary, stride)
        self.encoder = np.ascontiguousarray((atoms * scale).T)
        self.bias = mean @ self.encoder
        self.decoder = atoms * deviation
        self.offset = mean + np.tile(self.center, self.b * self.b)
        self.steps = min(stops[0], *atoms.shape)

    def rows(self, rows: slice, columns: slice = slice(None)) -> Floats:
        """Some rows of the image, (n, w, c) in [0, 1], minus the mean colour."""
        chosen = self.x[rows, columns, self.channels]
        if chosen.dtype != np.uint8:
            return np.ascontiguousarray(chosen - self.center, dtype=np.float32)
        part = np.ascontiguousarray(chosen, dtype=np.uint8)
        levels = np.arange(256, dtype=np.float32)[:, None, None] / np.float32(255)
        table = levels - self.center  # (256, 1, c)
        return np.asarray(cv2.LUT(part, table), dtype=np.float32).reshape(part.shape)

    def _mean(self) -> Floats:
        """The mean colour: that of ``x.mean(axis=(0, 1))``, which adds one pixel after another.

        It sums a single channel in pairs of halves, which needs all of it.
        """
        height, width = self.x.shape[:2]
        if len(self.center) == 1:
            return self.rows(slice(None)).mean(axis=(0, 1))
        total = np.zeros((1, len(self.center)), np.float32)
        for rows in _bands(height, width * total.size):
            pixels = self.rows(rows).reshape(-1, total.size)
            total[0] = np.add.reduce(np.concatenate([total, pixels]), axis=0)
        return np.asarray(total[0] / np.float32(height * width), dtype=np.float32)

    def part(self, blocks: Sequence[NDArray[np.intp]]) -> Part:
        """Code the patches of some blocks, and sum those of each in the rows that they cover."""
        corners = np.concatenate(blocks)
        (top, left), (bottom, right) = corners.min(axis=0), corners.max(axis=0) + self.b
        if not self.in_bands:
            top, left, (bottom, right) = 0, 0, self.x.shape[:2]
        x = self.rows(slice(top, bottom), slice(left, right))
        counts = patches_over_each_pixel(corners - (top, left), x.shape[:2], self.b)
        strips = [self._strip(x, block - (top, left)) for block in blocks]
        return Part(int(top), int(left), strips, counts)

    def _strip(self, x: Floats, corners: NDArray[np.intp]) -> tuple[int, Floats]:
        """The first row of the sums of a block's patches, and the sums."""
        patches = np.empty((len(corners), self.encoder.shape[0]), dtype=np.float32)
        self.inner.gather(x, corners, self.b, patches)
        correlations = patches @ self.encoder
        correlations -= self.bias
        chosen = np.zeros((len(corners), self.steps), dtype=np.int32)
        weights = np.zeros((len(corners), self.steps), dtype=np.float32)
        self.inner.pursue(
            correlations, self.gram, self.steps, _NONE, 0.0, chosen, weights, self.min_correlation
        )
        top, bottom = int(corners[0, 0]), int(corners[-1, 0]) + self.b
        sums = np.zeros((bottom - top, *x.shape[1:]), dtype=np.float32)
        self.inner.add_patches(
            sums, top, corners, self.b, chosen, weights, self.decoder, self.offset
        )
        return top, sums


def _grouped(blocks: Iterator[NDArray[np.intp]], numbers: int) -> Iterator[list[NDArray[np.intp]]]:
    """Blocks that are coded from the same rows, each of which has ``numbers`` numbers."""
    group: list[NDArray[np.intp]] = []
    for block in blocks:
        if group and (block[-1, 0] - group[0][0, 0]) * numbers > _BAND:
            yield group
            group = []
        group.append(block)
    if group:
        yield group


def _bands(height: int, numbers: int) -> Iterator[slice]:
    """Slices of rows, each of which has ``numbers`` numbers."""
    step = max(_BAND // numbers, 1)
    return (slice(top, min(top + step, height)) for top in range(0, height, step))


class Standardisation(NamedTuple):
    """The z-score of a layer's patches, eq. (17): μ, σ, and 1/σ or 0, each of shape (b·b·c,)."""

    mean: Floats
    deviation: Floats
    scale: Floats


def standardisation(x: Floats, dictionary: Dictionary, stride: int) -> Standardisation:
    """Measure the patches of a centred layer (h, w, c); without ``normalize``, μ = 0 and σ = 1."""
    return _standardisation(x.__getitem__, x.shape[:2], dictionary, stride)


def _standardisation(
    rows_of: Callable[[slice], Floats],
    shape: tuple[int, ...],
    dictionary: Dictionary,
    stride: int,
) -> Standardisation:
    mean = np.zeros(dictionary.atoms.shape[1], dtype=np.float32)
    deviation = np.ones_like(mean)
    if dictionary.normalize:
        mean, deviation = statistics_by_rows(rows_of, shape, dictionary.patch_size, stride)
    scale = np.divide(1, deviation, out=np.zeros_like(deviation), where=deviation > 1e-6)
    return Standardisation(mean, deviation, scale)


def patches_over_each_pixel(
    corners: NDArray[np.intp], shape: tuple[int, ...], patch_size: int
) -> Floats:
    """Count the patches at these corners that contain each pixel, (h, w)."""
    hits = np.zeros(shape, dtype=np.float32)
    hits[corners[:, 0], corners[:, 1]] = 1
    last = patch_size - 1
    counts = cv2.boxFilter(
        hits,
        -1,
        (patch_size, patch_size),
        anchor=(last, last),
        normalize=False,
        borderType=cv2.BORDER_CONSTANT,
    )
    return np.rint(counts).astype(np.float32, copy=False)
