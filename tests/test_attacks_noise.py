"""Random noise as an attack: it has the requested norm."""

from __future__ import annotations

import numpy as np
import pytest

from rsparse.attacks import Noise, attack_text, parse_attack
from rsparse.core.metrics import dissimilarity
from tests.refusals import refused

torch = pytest.importorskip("torch")


def grey(level: float = 0.5) -> np.ndarray:
    return np.full((3, 12, 10, 3), level, np.float32)


def attacked(noise: Noise, x: np.ndarray, seed: int = 0) -> np.ndarray:
    from rsparse.attacks import run_attack

    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(360, 2)).eval()
    return run_attack(network, x, np.zeros(3, np.int64), noise, seed).x_adv


def test_noise_changes_every_number_by_eps():
    change = attacked(Noise(eps=8), grey()) - grey()
    np.testing.assert_allclose(np.abs(change), 8 / 255, rtol=1e-5)
    assert abs(np.sign(change).mean()) < 0.1


def test_noise_has_the_relative_norm_d():
    x_adv = attacked(Noise(d=0.05), grey())
    np.testing.assert_allclose(dissimilarity(grey(), x_adv), 0.05, rtol=1e-5)


def test_noise_follows_the_seed_and_stays_within_range():
    white = grey(1.0)
    one, same, other = (attacked(Noise(eps=8), white, seed) for seed in (0, 0, 1))
    assert one.max() == 1
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_noise_has_one_strength():
    assert Noise() == Noise(eps=8)
    assert [attack_text(attack) for attack in parse_attack("noise:d=0.1")] == ["noise-d=0.1"]
    assert Noise().passes == 0
    with refused("eps and d cannot be used together: eps sets the L∞ norm, d the L2 norm"):
        Noise(eps=1, d=0.1)
