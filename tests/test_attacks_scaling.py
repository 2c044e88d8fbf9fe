"""Scaling to an average dissimilarity."""

from __future__ import annotations

import numpy as np
import pytest

from rsparse.attacks.scaling import Scaling, scale_to_average, scaled
from rsparse.core.metrics import dissimilarity

torch = pytest.importorskip("torch")

from tests.toy_networks import (  # noqa: E402
    linear_problem,
)

pytestmark = pytest.mark.usefixtures("one_torch_core")


def scaling_of(x: np.ndarray, x_adv: np.ndarray, d: float) -> Scaling:
    return scale_to_average(lambda: zip(x, x_adv, strict=True), d)


def test_scaling_without_clipping_is_a_quotient() -> None:
    _, x, _ = linear_problem()
    x_adv = x + np.float32(0.001) * np.arange(1, 4, dtype=np.float32)[:, None, None, None]
    raw = dissimilarity(x, x_adv).mean()
    found = scaling_of(x, x_adv, 0.05)
    assert found.d_raw == pytest.approx(raw)
    assert found.tau == pytest.approx(0.05 / raw, rel=1e-4)
    assert dissimilarity(x, scaled(x, x_adv, found.tau)).mean() == pytest.approx(0.05, rel=1e-4)


def test_scaling_makes_up_for_clipped_pixels() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, (4, 8, 8, 3)).astype(np.float32)
    x_adv = np.clip(x + rng.normal(0, 0.004, x.shape), 0, 1).astype(np.float32)
    found = scaling_of(x, x_adv, 0.2)
    assert found.tau > 0.2 / found.d_raw * 1.02
    reached = dissimilarity(x, scaled(x, x_adv, found.tau)).mean()
    assert found.d == pytest.approx(reached)
    assert reached == pytest.approx(0.2, rel=1.01e-4)


def test_scaling_never_shrinks() -> None:
    _, x, _ = linear_problem()
    found = scaling_of(x, x + np.float32(0.1), 0.05)
    assert found.tau == 1
    assert found.d == found.d_raw > 0.05


def test_scaling_shrinks_if_it_may() -> None:
    """x_adv − x is multiplied by d / d_raw; no pixel is clipped on the way to x."""
    _, x, _ = linear_problem()
    x_adv = np.clip(x + np.float32(0.1), 0, 1)
    found = scale_to_average(lambda: zip(x, x_adv, strict=True), 0.05, shrink=True)
    raw = dissimilarity(x, x_adv).mean()
    assert found.tau == pytest.approx(0.05 / raw)
    assert found.d == pytest.approx(0.05, rel=1e-4)
    assert dissimilarity(x, scaled(x, x_adv, found.tau)).mean() == pytest.approx(0.05, rel=1e-4)


def test_scaling_beyond_black_and_white_stops() -> None:
    x = np.full((1, 2, 2, 3), 0.9, np.float32)
    found = scaling_of(x, x + np.float32(0.01), 0.5)
    assert found.d == pytest.approx(1 / 9, rel=1e-5)


def test_scaling_of_nothing() -> None:
    empty = np.zeros((0, 2, 2, 3), np.float32)
    assert scaling_of(empty, empty, 0.1) == Scaling(1.0, 0.0, 0.0)
    x = np.full((2, 2, 2, 3), 0.5, np.float32)
    assert scaling_of(x, x, 0.1) == Scaling(1.0, 0.0, 0.0)
