"""The two stages of ``studies.certificates`` keep the certificates valid."""

from __future__ import annotations

from argparse import Namespace
from types import SimpleNamespace

import numpy as np
import pytest

from rsparse.core.smoothing import largest_radius, radius_of
from rsparse.store.certificates import Certificates
from studies import certificates as study

SIGMA = 0.12


def certificates(hits: np.ndarray, n: int, alpha: float) -> Certificates:
    """Of images whose class 1 got ``hits`` of ``n`` samples, and class 0 the others."""
    rows = [
        (0, number, index, 10 * index, count if index else n - count)
        for number, count in enumerate(hits.tolist())
        for index in (0, 1)
    ]
    names = tuple(f"{number:05d}" for number in range(len(hits)))
    labels = np.ones(len(hits), np.int64)
    return Certificates(
        names, ("",) * len(names), labels, ("no", "yes"), (SIGMA,), np.array(rows, np.int64),
        ((0, n),), 10, alpha, (8, 8),
    )  # fmt: skip


def options(**given: float) -> Namespace:
    values = {"sigma": SIGMA, "n": 100, "more": 1000, "reach": 0.25}
    return Namespace(**(values | given))


def test_who_may_reach_a_radius():
    """0.25 takes p = Φ(0.25 / 0.12) = 0.981: 95 of 100 is too far below, 96 is not."""
    found = certificates(np.array([100, 96, 95, 60, 40]), 100, 0.0005)
    assert study.may_reach(found, options()).tolist() == [True, True, False, False, False]
    assert study.may_reach(found, options(reach=0.01)).tolist() == [True, True, True, False, False]


@pytest.mark.parametrize("p", [0.75, 0.9, 0.97])
def test_radii_are_too_large_as_rarely_as_alpha_says(monkeypatch, p):
    """With a large alpha, over many images whose probability is known."""
    rng, size = np.random.default_rng(0), 4000
    monkeypatch.setattr(study, "ALPHA", 0.2)
    asked = []

    def drawn(chosen, spec, k, options, first, n):
        asked.append((len(chosen), first, n))
        names = [image.name for image in chosen]
        found = certificates(rng.binomial(n, p, len(chosen)), n, study.alpha_of(options))
        return Certificates(tuple(names), *(getattr(found, name) for name in (
            "sha256", "labels", "class_names", "sigmas", "counts", "samples", "n0", "alpha", "size",
        )))  # fmt: skip

    monkeypatch.setattr(study, "certificates_of", drawn)
    images = [SimpleNamespace(name=f"{number:05d}") for number in range(size)]
    found = study.outcome_of(images, "none", 0, options(reach=radius_of(p, SIGMA)))
    wrong = float((found.radii > radius_of(p, SIGMA)).mean())
    assert 0.02 < wrong < 0.2
    assert asked[0] == (size, 0, 100)
    assert asked[1] == (found.second, 100, 1000)
    assert 0.8 * size < found.second < size
    assert found.right.mean() > 0.99


def test_the_cap_and_shares_of_a_row():
    found = study.Outcome(("a", "b"), np.array([True, False]), np.array([0.2, 0.3]), 1)
    row = study.row_of(found, "none", options(n0=10, model=None))
    assert float(row["cap"]) == pytest.approx(largest_radius(1000, SIGMA, 0.0005), abs=1e-3)
    assert (row["at_0"], row["at_0.15"], row["at_0.25"], row["at_0.5"]) == (
        "50.0",
        "50.0",
        "0.0",
        "",
    )


def test_only_common_photographs_are_compared():
    names = tuple("abcdefgh")
    first = study.Outcome(names, np.ones(8, bool), np.full(8, 0.2), 0)
    other = study.Outcome(names[:6], np.ones(6, bool), np.full(6, 0.05), 0)
    assert study.compared(first, other) == pytest.approx(2 / 2**6)
