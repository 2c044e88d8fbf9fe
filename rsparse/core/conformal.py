"""Combine several scores of unusualness into one p-value, by conformal prediction.

Nothing is assumed about the scores but that larger values are more unusual. The only assumption
about the images is that a clean one is exchangeable with those of the reference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_SAME = 1 - 1e-9  # sums of equal numbers in another order differ by less


@dataclass(frozen=True)
class Unusualness:
    """How unusual the scores of some images are among those of a reference.

    Attributes
    ----------
    p_value : float array of shape (m,)
        In (0, 1]. A clean image has a p-value of ``level`` or less with probability ``level`` at
        most.
    combined : float array of shape (m,)
        Mean of 1 / tail probability over the scores, by which images are ranked; 1 or more.
    tails : float array of shape (m, k)
        The tail probability of each score, in (0, 1].
    """

    p_value: Floats
    combined: Floats
    tails: Floats


class Reference:
    """The scores of clean images, among which others are ranked.

    Parameters
    ----------
    scores : float array of shape (n, k)
        Finite; larger is more unusual.
    """

    def __init__(self, scores: Floats) -> None:
        self.scores = np.asarray(scores, dtype=np.float64)
        self._sorted = np.sort(self.scores, axis=0)
        self._ranks = np.stack([self._at_least(row) for row in self.scores]).reshape(scores.shape)

    def unusualness(self, scores: Floats) -> Unusualness:
        """Rank images among the reference.

        Parameters
        ----------
        scores : float array of shape (m, k)

        Notes
        -----
        Full conformal prediction (Vovk, Gammerman, Shafer 2005). The image and the reference are
        taken together, n + 1 images. A score's tail probability, for each of them, is the share of
        the n + 1 whose score is at least as large. The mean of their reciprocals is that of the
        harmonic mean p-value (Wilson 2019): one very unusual score is enough, however usual the
        others are, since most attacks show in few scores. Since the image is treated like all
        others, its mean has each of the n + 1 ranks with the same probability if it is exchangeable
        with them, also if the scores depend on each other. The p-value is the share of the n + 1
        whose mean is at least as large, so that none is below 1/(n + 1). A lower score never lowers
        it, so it also holds for an image all of whose scores are at most those of one that is
        exchangeable with the reference.
        """
        m, k = scores.shape
        p_value, combined, tails = np.empty(m), np.empty(m), np.empty((m, k))
        together = len(self.scores) + 1
        for number, row in enumerate(np.asarray(scores, dtype=np.float64)):
            tails[number] = (1 + self._at_least(row)) / together
            combined[number] = (1 / tails[number]).mean()
            others = (together / (self._ranks + (row >= self.scores))).mean(axis=1)
            as_unusual = np.count_nonzero(others >= combined[number] * _SAME)
            p_value[number] = (1 + as_unusual) / together
        return Unusualness(p_value, combined, tails)

    def _at_least(self, row: Floats) -> NDArray[np.int64]:
        """How many images of the reference have at least these scores, by score (k,)."""
        below = [
            np.searchsorted(column, value, side="left")
            for column, value in zip(self._sorted.T, row, strict=True)
        ]
        return len(self._sorted) - np.array(below, dtype=np.int64)
