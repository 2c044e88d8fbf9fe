"""What the outputs of a network for two different images say about their meaning."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rsparse.models.fields import LOGITS, PROBABILITIES, SIGMOIDS

Floats = NDArray[np.float32]

_ROUNDING = 1e-6
_SUM_ROUNDING = 1e-3


def score_type_of(outputs: Floats, is_within_unit: bool = False) -> str:
    """What outputs (n, n_outputs) are, if the graph does not say so.

    Parameters
    ----------
    outputs : ndarray
        For images that differ.
    is_within_unit : bool
        Whether the graph keeps them between 0 and 1.

    Returns
    -------
    str
        ``probabilities`` if no output is below 0 and they add up to the same for all images, such
        as 1 or 100; ``sigmoids`` if they are otherwise known to stay between 0 and 1.
    """
    sums = outputs.sum(axis=1)
    is_share = outputs.shape[1] > 1 and (outputs >= -_ROUNDING).all() and sums[0] > _ROUNDING
    is_whole = np.allclose(sums, 1, atol=_SUM_ROUNDING) or not (outputs == outputs[0]).all()
    if is_share and is_whole and np.allclose(sums, sums[0], rtol=1e-4):
        return PROBABILITIES
    return SIGMOIDS if is_within_unit else LOGITS


def doubts_about_images(scores: Floats) -> list[str]:
    """What speaks against scores (2, n) of two different images: sentences about a file."""
    if not np.array_equal(scores[0], scores[1]):
        return []
    return [
        "gives the same scores for two quite different images; check its weights, and how its "
        "input is prepared (rsparse model show)"
    ]


def note_of_sum(probabilities: Floats) -> list[str]:
    """What to say of probabilities (n, n_classes) that do not add up to 1."""
    total = float(probabilities[0].sum())
    if abs(total - 1) <= _SUM_ROUNDING:
        return []
    return [f"its outputs add up to {total:.4g} for every image, and are divided by that"]


def doubts_about_logits(
    numbers: Floats, ending: str | None, is_within_unit: bool = False
) -> list[str]:
    """What speaks against taking numbers for logits: sentences about a file.

    Parameters
    ----------
    numbers : ndarray of shape (2, n_outputs), float32
        Those of two different images.
    ending : str or None
        The softmax or sigmoid that takes them, ``None`` if they are the outputs themselves.
    is_within_unit : bool
        Whether the graph keeps them between 0 and 1. One number for an image says too little.
    """
    may_be_chance = numbers.shape[1] == 1
    if not (is_within_unit or (not may_be_chance and ((numbers >= 0) & (numbers <= 1)).all())):
        return []
    if ending is not None:
        return [
            f"what enters its {ending} is from 0 to 1 for two quite different images, as if it "
            "were probabilities already; if so, its probabilities are nearly equal for all "
            f"classes, and attacks by gradients weak: export it without that {ending}"
        ]
    return [
        "its outputs for two quite different images are from 0 to 1, as probabilities of each "
        "class by itself are, but are taken for logits; if they are probabilities, say so: "
        "--score-type sigmoids"
    ]
