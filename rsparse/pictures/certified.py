"""Draw certified accuracy against the radius."""

from __future__ import annotations

import numpy as np

from rsparse.pictures.series import BASELINE_STYLES, Lines, Series
from rsparse.store.certificates import Certificates

_PLACES = 13


def certified_chart(found: Certificates) -> Lines:
    """A line for each σ, up to the largest radius that its samples allow.

    Without labels, the share certified as any class.
    """
    styles = ("ours", *BASELINE_STYLES)
    series = []
    for k, sigma in enumerate(found.sigmas):
        places = np.linspace(0, float(found.caps[k]), _PLACES)
        shares = tuple(found.certified_accuracy(k, float(radius)) for radius in places)
        label = f"σ = {sigma:g}: up to {found.caps[k]:.3f} with {found.n:,} samples"
        series.append(Series(label, styles[k % len(styles)], tuple(places.tolist()), shares))
    return Lines("certified L2 radius, pixels in [0, 1]", tuple(series), fitted=True)
