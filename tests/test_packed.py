"""Packed convolutions give the same values and gradients as torch's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rsparse.models.onnx.classifier import load_classifier
from rsparse.models.spec import InputOptions
from tests.onnx_models import ConvNet

torch = pytest.importorskip("torch")

from torch import fx, nn  # noqa: E402

from rsparse.models.torch import twin as twin_module  # noqa: E402
from rsparse.models.torch.operators.layers import conv  # noqa: E402
from rsparse.models.torch.operators.pointwise import clip  # noqa: E402
from rsparse.models.torch.operators.shapes import pad  # noqa: E402
from rsparse.models.torch.packed import Limits, PackedConvolution, can_pack, pack  # noqa: E402
from rsparse.models.torch.twin import load_twin  # noqa: E402

pytestmark = pytest.mark.skipif(not can_pack(), reason="torch without oneDNN")

UNIT = InputOptions(preset="unit")
SHAPES = [
    {"kernel_size": 1},
    {"kernel_size": 1, "stride": 2, "bias": False},
    {"kernel_size": 3, "stride": 2},
    {"kernel_size": 3, "stride": (3, 2), "padding": (0, 1)},
    {"kernel_size": (1, 7), "padding": (0, 3)},
    {"kernel_size": 3, "padding": 2, "dilation": 2},
    {"kernel_size": 5, "padding": 4, "stride": 2, "dilation": (1, 2)},
    {"kernel_size": 3, "padding": 1, "groups": 6},
    {"kernel_size": 3, "padding": 1, "stride": 2, "groups": 6},
    {"kernel_size": 3, "groups": 2},
]


class Network(nn.Module):
    """Convolutions before each activation, padded, shared and alone, with a twin's functions."""

    def __init__(self) -> None:
        super().__init__()
        for name, shape in {
            "padded": (6, 3, 3, 3),
            "left": (6, 1, 3, 3),
            "point": (6, 6, 1, 1),
        }.items():
            self.register_buffer(name, torch.randn(shape))
        self.register_buffer("bias", torch.randn(6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = conv(x, self.padded, self.bias, pads=(0, 0, 1, 1), strides=(2, 2))
        x = clip(4 * x, 0.0, 6.0)
        left = conv(x, self.left, pads=(1, 1, 1, 1), group=6)  # used before and after its ReLU
        right = clip(conv(x, self.point, None), 0.0, 6.0)
        x = torch.cat([left + torch.relu(left), torch.tanh(right)])
        return conv(conv(x, self.point), self.point).flatten(1).cumsum(1)


fx.wrap("conv")
fx.wrap("clip")


@pytest.fixture(autouse=True)
def same_weights() -> None:
    torch.manual_seed(0)


def result_and_gradient(
    network: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    x = x.clone().requires_grad_(True)
    y = network(x)
    weights = torch.linspace(-1, 1, y.numel()).reshape(y.shape)
    (gradient,) = torch.autograd.grad((weights * y).sum(), x)
    return y.detach(), gradient


def check_same(one: Callable, other: Callable, x: torch.Tensor) -> None:
    pairs = zip(result_and_gradient(one, x), result_and_gradient(other, x), strict=True)
    for found, expected in pairs:
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES, ids=repr)
def test_one_convolution(shape: dict) -> None:
    """It holds for images of any size, although the first batch determines the layout."""
    convolution = nn.Conv2d(6, 12, **shape).requires_grad_(False)
    packed = PackedConvolution(
        convolution.weight,
        convolution.bias,
        padding=convolution.padding,
        stride=convolution.stride,
        dilation=convolution.dilation,
        groups=convolution.groups,
    )
    for size in ((2, 6, 12, 11), (1, 6, 9, 16), (3, 6, 13, 13)):
        x = torch.randn(size)
        check_same(packed, convolution, x)
        check_same(packed, convolution, x.contiguous(memory_format=torch.channels_last))


@pytest.mark.parametrize(
    ("function", "limits"),
    [(torch.relu, (0.0, None)), (nn.functional.relu6, (0.0, 6.0))],
    ids=["relu", "relu6"],
)
def test_with_its_activation(function: Callable, limits: Limits) -> None:
    convolution = nn.Conv2d(3, 4, 3).requires_grad_(False)
    packed = PackedConvolution(convolution.weight, convolution.bias, limits=limits)
    check_same(packed, lambda x: function(convolution(x)), 3 * torch.randn(2, 3, 8, 9))


def test_a_network() -> None:
    network = Network().requires_grad_(False)
    traced = fx.symbolic_trace(network)
    pack(traced)
    targets = [node.target for node in traced.graph.nodes if node.op == "call_function"]
    assert conv not in targets
    assert targets.count(pad) == 1
    assert targets.count(clip) == 1  # the one after the convolution is fused with it
    assert targets.count(torch.relu) == 1
    check_same(traced, network, torch.randn(2, 3, 10, 12))


def test_twins_are_packed_unless_they_learn(tmp_path: Path) -> None:
    classifier = load_classifier(ConvNet().save(tmp_path / "m.onnx"), UNIT)
    frozen, free = load_twin(classifier), load_twin(classifier, trainable=True)
    kinds = [{type(module) for module in twin.modules()} for twin in (frozen, free)]
    assert PackedConvolution in kinds[0] - kinds[1]
    assert conv in {node.target for node in free.network.graph.nodes}
    check_same(frozen, free, torch.rand(2, 3, 12, 10))


def test_does_without_onednn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twin_module, "can_pack", lambda: False)
    classifier = load_classifier(ConvNet().save(tmp_path / "m.onnx"), UNIT)
    twin = load_twin(classifier)
    assert not any(isinstance(module, PackedConvolution) for module in twin.modules())
    x = np.random.default_rng(0).random((1, 12, 10, 3), np.float32)
    found = twin(torch.from_numpy(x.transpose(0, 3, 1, 2).copy())).numpy()
    np.testing.assert_allclose(found, classifier.logits(list(x)), rtol=1e-4, atol=1e-4)
