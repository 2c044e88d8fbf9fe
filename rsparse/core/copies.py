"""Find images that show the same picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIDE = 16
"""Side of the thumbnails that are compared."""

_LIKE = 2.0  # grey levels: root mean square of the difference of two thumbnails
_CORRELATED = 0.99
_PLAIN = 8.0  # grey levels: a thumbnail with less contrast shows nothing to recognise
_ROWS = 512


def find_copies(thumbnails: NDArray[np.floating]) -> list[tuple[int, int]]:
    """Pairs of thumbnails that show the same picture, also if one is its mirror image.

    Parameters
    ----------
    thumbnails : ndarray of shape (n, side, side, 3)
        In grey levels 0–255.

    Returns
    -------
    list of (int, int)
        For each thumbnail that repeats an earlier one, the earliest such and itself, sorted.

    Notes
    -----
    Two pictures are the same if their thumbnails differ by at most two grey levels (root mean
    square) and are correlated by 0.99 or more. Thumbnails of almost no contrast are left out.
    """
    x = np.asarray(thumbnails, np.float64)
    whole, mirrored = (part.reshape(len(x), -1) for part in (x, x[:, :, ::-1]))
    centred = whole - whole.mean(axis=1, keepdims=True)
    deviation = centred.std(axis=1)
    known = deviation >= _PLAIN
    found: dict[int, int] = {}
    for start in range(0, len(x), _ROWS):
        rows = slice(start, start + _ROWS)
        for other in (whole, mirrored):
            same = _alike(whole[rows], other) & known[rows, None] & known[None, :]
            for i, j in zip(*np.nonzero(same), strict=True):
                first, second = sorted((int(i) + start, int(j)))
                if first != second:
                    found[second] = min(first, found.get(second, first))
    return [(found[second], second) for second in sorted(found)]


def count_strangers(thumbnails: NDArray[np.floating], originals: NDArray[np.floating]) -> int:
    """The number of images that are closer to another original than to their own.

    Parameters
    ----------
    thumbnails, originals : ndarray of shape (n, side, side, 3)
        Of changed images and of their originals.
    """
    a, b = (np.asarray(x, np.float64).reshape(len(x), -1) for x in (thumbnails, originals))
    own = ((a - b) ** 2).sum(axis=1)
    count = 0
    for start in range(0, len(a), _ROWS):
        rows = slice(start, start + _ROWS)
        squares = (a[rows] ** 2).sum(1)[:, None] + (b**2).sum(1)[None, :] - 2 * a[rows] @ b.T
        count += int(np.count_nonzero(squares.min(axis=1) < 0.5 * own[rows]))
    return count


def _alike(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which rows of ``a`` and ``b`` are alike, (len(a), len(b))."""
    k = a.shape[1]
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1)[None, :] - 2 * a @ b.T
    deviations = [rows - rows.mean(axis=1, keepdims=True) for rows in (a, b)]
    norms = [np.maximum(np.linalg.norm(rows, axis=1), 1e-9) for rows in deviations]
    correlation = deviations[0] @ deviations[1].T / np.outer(*norms)
    return (squares <= k * _LIKE**2) & (correlation >= _CORRELATED)
