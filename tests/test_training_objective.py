"""The training objective, the attacks during training, and when training slows down and ends."""

from __future__ import annotations

import numpy as np
import pytest

from rsparse.training.schedule import is_stuck, learning_rate

torch = pytest.importorskip("torch")

from rsparse.training.objective import bim, distillation_loss  # noqa: E402


class TestObjective:
    def test_distillation(self):
        """T² · Σ p log(p / q), where T = 2, p = softmax(0.5, 1.5) and q = softmax(1, 0)."""
        wanted, found = torch.tensor([[1.0, 3.0]]), torch.tensor([[2.0, 0.0]])
        p, q = (np.exp([a, b]) / np.exp([a, b]).sum() for a, b in ((0.5, 1.5), (1.0, 0.0)))
        expected = 4 * (p * np.log(p / q)).sum()
        assert distillation_loss(found, wanted, 2).item() == pytest.approx(expected, rel=1e-5)

    def test_distillation_is_never_below_nothing(self):
        """Rounding errors alone would make some of these losses negative."""
        wanted = torch.randn(4096, 10, generator=torch.Generator().manual_seed(0))
        nearly = wanted + 1e-6 * torch.randn(4096, 10, generator=torch.Generator().manual_seed(1))
        assert distillation_loss(wanted, wanted, 1).abs().max() == 0
        assert distillation_loss(nearly, wanted, 1).min() == 0

    def test_fgsm_moves_each_image_by_its_own_eps(self):
        """It moves away from the prediction, not at all for eps = 0, and never beyond [0, 255]."""
        network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2, bias=False))
        signs = torch.tensor([1.0, -1.0] * 6)
        network[1].weight.data = torch.stack([signs, -signs])
        x = torch.full((3, 3, 2, 2), 100 / 255)
        x[:, 0, 0, 0] = 101 / 255  # predicted as class 0, the direction of signs
        x[2, 0, 0, 1] = 1.0
        found = bim(network, x, torch.tensor([0.0, 5.0, 5.0])) * 255
        step = -5 * signs.reshape(3, 2, 2)
        np.testing.assert_allclose(found[0], 255 * x[0], atol=1e-4)
        np.testing.assert_allclose(found[1], 255 * x[1] + step, atol=1e-4)
        assert found[2, 0, 0, 1] == 255 if x[2].flatten() @ signs > 0 else 250
        assert not found.requires_grad

    @pytest.mark.parametrize(("steps", "where"), [(1, 106), (2, 100), (3, 104), (5, 102)])
    def test_bim_goes_by_the_gradient_where_it_is(self, steps, where):
        """The logit falls towards 102 from both sides; steps of 6, 6, 4 and 2.4 start at 100."""

        class Valley(torch.nn.Module):
            def forward(self, x):
                logit = (255 * x[:, 0, 0, :1] - 102).abs() + 1
                return torch.cat([logit, torch.zeros_like(logit)], dim=1)

        x = torch.full((1, 3, 1, 1), 100 / 255)
        found = 255 * bim(Valley(), x, torch.tensor([6.0]), steps)
        np.testing.assert_allclose(found.flatten(), [where, 100, 100], atol=1e-4)

    def test_bim_stays_within_eps(self):
        network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2, bias=False))
        x = torch.rand(4, 3, 2, 2, generator=torch.Generator().manual_seed(0))
        x = (x * 255).round() / 255
        eps = torch.tensor([0.0, 1.0, 5.0, 9.0])
        one, many = (bim(network, x, eps, steps) for steps in (1, 4))
        np.testing.assert_allclose(one, many, atol=1e-6)  # the gradient's signs do not change


class TestSchedule:
    def test_it_rises_and_falls(self):
        rates = [learning_rate(step, 100, 2.0, 0.1) for step in range(100)]
        assert rates[:10] == pytest.approx([0.2 * n for n in range(1, 11)])
        assert rates[10] == 2
        assert rates[55] == pytest.approx(1)
        assert 0 < rates[99] < 0.001

    def test_all_warmup_and_none(self):
        assert learning_rate(3, 4, 1.0, 1.0) == 1
        assert learning_rate(0, 1, 1.0, 0.0) == 1

    def test_patience(self):
        assert not is_stuck([1.0] * 9, None)
        assert not is_stuck([3.0, 2.0, 4.0], 2)
        assert is_stuck([3.0, 2.0, 4.0, 2.0], 2)
