"""Check that two runtimes give the same logits for a network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

PARITY_TOLERANCE = 1e-3
"""Largest accepted difference between logits, relative to their range."""

ROUNDING = 5e-5
"""What sums of thousands of float32 numbers in different orders differ by, relative to their size.

It counts only for logits whose range is a small part of their size."""


def probe_images(size: tuple[int, int]) -> list[Floats]:
    """Two images (h, w, 3) in [0, 1] to compare logits on: noise, and smooth waves."""
    height, width = size
    noise = np.random.default_rng(0).random((height, width, 3), dtype=np.float32)
    down, along = np.mgrid[0 : 2 * np.pi : height * 1j, 0 : 2 * np.pi : width * 1j]
    waves = [np.sin(down), np.sin(along + 1), np.sin(down + along + 2)]
    return [noise, (np.stack(waves, axis=-1) / 2 + 0.5).astype(np.float32)]


def disagreement(found: Floats, expected: Floats) -> str | None:
    """How much logits differ, as text, or ``None`` if they agree within the tolerances above."""
    difference, scale = difference_of(found, expected)
    rounding = ROUNDING * float(np.abs(expected).max())
    if difference <= max(PARITY_TOLERANCE * scale, rounding):
        return None
    return f"{difference:.2g}, with logits over a range of {scale:.2g}"


def difference_of(found: Floats, expected: Floats) -> tuple[float, float]:
    """The largest difference (infinite if the shapes differ), and the range of ``expected``."""
    if found.shape != expected.shape:
        return float("inf"), max(float(np.ptp(expected)), 1e-6)
    return float(np.abs(found - expected).max()), max(float(np.ptp(expected)), 1e-6)
