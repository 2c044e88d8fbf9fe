"""The figure of certified radii, from the certificates of an evaluation's images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rsparse.denoisers import denoiser_of
from rsparse.pictures.certified import certified_chart
from rsparse.report.figures import CERTIFIED, Figure
from rsparse.store.certificates import Certificates

_HEADER = ("sigma", "radius", "grey_levels", "certified", "low", "high", "images")


def certified_figure(found: Certificates, record: Mapping[str, Any]) -> Figure:
    """Certified accuracy against the radius, for each σ.

    Parameters
    ----------
    found : Certificates
        Of the evaluation's images.
    record : mapping
        Their record.
    """
    chart = certified_chart(found)
    denoiser = denoiser_of(record["parameters"]["denoiser"]).spec
    rows = [
        (sigma, radius, found.grey(radius), share.value, share.low, share.high, share.n)
        for sigma, series in zip(found.sigmas, chart.series, strict=True)
        for radius, share in zip(series.x, series.y, strict=True)
    ]
    return Figure(
        CERTIFIED,
        CERTIFIED,
        f"Certified behind {denoiser}. {found.sentence}.",
        f"Share of the images whose right class is certified within a radius, with {found.n:,} "
        f"samples of each image and α = {found.alpha:g}.",
        chart,
        _HEADER,
        tuple(rows),
    )
