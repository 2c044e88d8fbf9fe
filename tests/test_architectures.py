"""Networks as torch's exporters write them, in several opsets, and the table in the docs."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsparse.models.onnx.classifier import load_classifier
from rsparse.models.onnx.file import load_onnx
from rsparse.models.spec import InputOptions
from studies import architectures
from studies.tables import read_rows
from tests.onnx_models import images_of
from tests.toy_networks import as_tensor

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from rsparse.models.torch.twin import load_twin  # noqa: E402
from rsparse.models.torch.weights import (  # noqa: E402
    Trainable,
    choose_layers,
    find_layers,
    with_weights,
)

UNIT = InputOptions(preset="unit")
IN_TURNS = [
    pytest.param(architecture, exporter, id=f"{architecture.family}-{exporter}")
    for architecture, exporter in zip(
        architectures.ARCHITECTURES, cycle(reversed(architectures.EXPORTERS)), strict=False
    )
]


class Convolutions(nn.Module):
    """A CNN with normalisation, gates, channel shuffling, resizing and pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.left = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.groups = nn.GroupNorm(2, 8)
        self.squeeze, self.excite = nn.Conv2d(8, 2, 1), nn.Conv2d(2, 8, 1)
        self.layer = nn.LayerNorm(8)
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.hardswish(self.norm(self.stem(x)))
        left, right = x.chunk(2, 1)
        x = torch.cat([functional.mish(self.left(left)), functional.gelu(right)], 1)
        n, c, h, w = x.shape
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        gate = functional.silu(self.squeeze(x.mean((2, 3), keepdim=True)))
        x = self.groups(x) * functional.hardsigmoid(self.excite(gate))
        x = functional.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
        x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        x = functional.max_pool2d(functional.pad(x, (0, 1, 0, 1)), 2, ceil_mode=True)
        return self.head(self.layer(functional.adaptive_avg_pool2d(x, 1).flatten(1)))


class Transformer(nn.Module):
    """Patches, a class token, positions and attention, as in ViT; windows as in Swin."""

    fused = False

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.positions = nn.Parameter(torch.randn(1, 17, 8))
        self.norm, self.joined = nn.LayerNorm(8), nn.Linear(8, 24)
        self.out, self.mixed = nn.Linear(8, 8), nn.Linear(17, 17)
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.roll(self.patches(x), (1, -1), (2, 3))
        n = x.shape[0]
        x = x.reshape(n, 8, 2, 2, 2, 2).permute(0, 2, 4, 3, 5, 1).reshape(n, 16, 8)
        x = torch.cat([self.token.expand(n, -1, -1), x], 1) + self.positions
        q, k, v = self.joined(self.norm(x)).reshape(n, 17, 3, 2, 4).permute(2, 0, 3, 1, 4)
        if self.fused:
            y = functional.scaled_dot_product_attention(q, k, v)
        else:
            y = torch.softmax(q @ k.transpose(-2, -1) / 2, -1) @ v
        y = y.transpose(1, 2).reshape(n, 17, 8)
        x = x + self.out(y)
        x = x + self.mixed(x.transpose(1, 2)).transpose(1, 2)
        return self.head(functional.normalize(x, dim=-1)[:, 0])


class Fused(Transformer):
    """Attention as one operator."""

    fused = True


NETWORKS = {"convolutions": Convolutions, "transformer": Transformer, "fused": Fused}


@pytest.fixture
def exported(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Export a network with a dynamic batch size."""

    def export(name: str, opset: int, *, dynamo: bool) -> Path:
        torch.manual_seed(0)
        network, x, path = NETWORKS[name]().eval(), torch.zeros(2, 3, 16, 16), tmp_path / "m.onnx"
        open_batch: dict[str, Any] = {"dynamic_axes": {"x": {0: "n"}, "scores": {0: "n"}}}
        if dynamo:
            pytest.importorskip("onnxscript")
            n = torch.export.Dim("n")
            open_batch = {"dynamic_shapes": ({0: n},), "verbose": False}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(network, (x,), str(path), dynamo=dynamo, opset_version=opset,
                              input_names=["x"], output_names=["scores"], **open_batch)  # fmt: skip
        return path

    logging.disable(logging.ERROR)
    yield export
    logging.disable(logging.NOTSET)


def check(path: Path) -> None:
    """Check the gradient of the image and the round trip of all weights."""
    classifier = load_classifier(path, UNIT)
    twin = load_twin(classifier, trainable=True)
    x = as_tensor(images_of((16, 16), 3)).requires_grad_(True)
    found = twin(x)
    np.testing.assert_allclose(
        found.detach(), classifier.logits([*x.detach().numpy().transpose(0, 2, 3, 1)]), atol=1e-4
    )
    (gradient,) = torch.autograd.grad(found[:, 0].sum(), x)
    assert (gradient.abs().amax((1, 2, 3)) > 0).all()
    assert twin.to("meta")(x.detach().to("meta")).shape == found.shape  # sizes stay on the CPU
    twin = load_twin(classifier, trainable=True)
    chosen = choose_layers(find_layers(classifier, twin), "all", False, "m.onnx")
    assert len(chosen) >= 5
    trainable = Trainable(twin, chosen)
    with torch.no_grad():
        for tensor in trainable.parameters.values():
            tensor *= 1.1
    changed = with_weights(load_onnx(path), trainable.weights())
    path.write_bytes(changed.with_metadata({}))
    again = load_twin(load_classifier(path, UNIT))
    trainable.use_batch_statistics(False)
    with torch.no_grad():
        torch.testing.assert_close(again(x), twin(x), rtol=1e-4, atol=1e-4)
        assert not torch.allclose(again(x), found, atol=1e-3)


@pytest.mark.parametrize("opset", [11, 13, 17, 20])
@pytest.mark.parametrize("name", ["convolutions", "transformer"])
def test_the_tracing_exporter(exported: Callable[..., Path], name: str, opset: int) -> None:
    check(exported(name, opset, dynamo=False))


@pytest.mark.slow
@pytest.mark.parametrize("opset", [18, 20, 23])
@pytest.mark.parametrize("name", list(NETWORKS))
def test_the_newer_exporter(exported: Callable[..., Path], name: str, opset: int) -> None:
    check(exported(name, opset, dynamo=True))


def test_the_table_of_the_docs() -> None:
    page = architectures.PAGE.read_text(encoding="utf-8")
    assert page == architectures.with_table(page), "run `python -m studies.architectures --table`"
    rows = read_rows(architectures.CSV)
    assert {row["family"] for row in rows} == {one.family for one in architectures.ARCHITECTURES}
    assert all(row["classify"] == "yes" for row in rows)
    assert sum(row["attack"] == "yes" for row in rows) >= 0.92 * len(rows)


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "exporter"), IN_TURNS)
def test_an_architecture(
    timm: Any, architecture: architectures.Architecture, exporter: str
) -> None:
    """Each family by one exporter, in turns; ``studies.architectures`` takes both, half an hour."""
    pytest.importorskip("onnxscript")
    key = {"family": architecture.family, "exporter": exporter}
    expected = [row for row in read_rows(architectures.CSV) if key.items() <= row.items()]
    chosen = {exporter: architectures.EXPORTERS[exporter]}
    assert list(architectures.rows_of(architecture, chosen)) == expected
    assert len(expected) == 1
