"""ComDefend training: the export matches the trained network, and training can be resumed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import comdefend_model as training  # noqa: E402
from comdefend_onnx import export, measured_psnr  # noqa: E402

from rsparse.models.onnx.session import Session  # noqa: E402
from tests.conftest import make_picture  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_torch_core", "_as_before")


@pytest.fixture
def _as_before() -> Iterator[None]:
    """Training makes torch deterministic and seeds it."""
    before = torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng():
        yield
    torch.use_deterministic_algorithms(before)


def test_an_interrupted_training_ends_with_the_same_weights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(training, "SAVE", 1)
    monkeypatch.setattr(training, "LOG", 1)
    monkeypatch.setattr(training, "BATCH", 2)
    monkeypatch.setattr(training, "PATCH", 8)
    images = [make_picture(seed) for seed in range(3)]
    for _ in training.train(images, 3, tmp_path / "whole.npz"):
        pass
    next(iter(training.train(images, 3, tmp_path / "parts.npz")))
    with np.load(tmp_path / "parts.npz") as arrays:
        assert arrays["step"] == 1
    for _ in training.train(images, 3, tmp_path / "parts.npz"):
        pass
    with np.load(tmp_path / "whole.npz") as whole, np.load(tmp_path / "parts.npz") as parts:
        assert set(whole) == set(parts)
        for name in whole:
            np.testing.assert_array_equal(whole[name], parts[name])


def test_the_graph_is_the_network_that_was_trained() -> None:
    """The code's hardness is folded into the weights, and its sigmoid is rounded."""
    torch.manual_seed(0)
    network = training.ComDefend()
    image = make_picture(5, 20, 24)
    x = (image.transpose(2, 0, 1)[None] / 255).astype(np.float32)
    graph = export(network.arrays(step=0))
    (found,) = Session(graph, Path("comdefend")).run(x)
    with torch.no_grad():
        code = torch.sigmoid(network.compressor(torch.from_numpy(x) - 0.5)) > 0.5
        expected = torch.sigmoid(network.reconstructor(code.float())).numpy()
    assert np.median(np.abs(found - expected)) < 1e-3  # half precision flips a few code bits
    assert measured_psnr(graph, [image]) < 20
    hard = network.arrays(step=training.RAMP)["compressor.16.weight"]
    factor = hard / network.compressor[16].weight.detach().numpy()
    np.testing.assert_allclose(factor, training.HARDNESS, rtol=1e-5)


def test_the_learning_rate_falls_to_nothing() -> None:
    rates = [training.learning_rate(step) for step in range(training.STEPS)]
    assert max(rates) == training.LEARNING_RATE == rates[training.WARM_UP]
    assert rates[training.STEPS - training.COOLDOWN] == training.LEARNING_RATE
    assert 0 < rates[-1] < 1e-3 * training.LEARNING_RATE
