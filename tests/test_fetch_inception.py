"""The paper's networks with random weights, and each command on one of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
import pytest
from typer.testing import Result

from rsparse.models.onnx.classifier import load_classifier
from rsparse.models.onnx.graph import FeatureLayer, activation_layers
from rsparse.models.onnx.wiring import attribute
from rsparse.store.images import decode_image, encode_png, to_unit
from tests.conftest import make_picture

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("timm")]
INCEPTION_V3 = "inception_v3.tf_in1k"


@pytest.fixture(scope="module")
def inception_v3(timm: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Inception-v3 with random weights."""
    from rsparse.commands.fetch import fetch_model
    from rsparse.options.fetch import FetchParameters

    path = tmp_path_factory.mktemp("inception") / "inception_v3.onnx"
    fetch_model(INCEPTION_V3, path, FetchParameters(pretrained=False))
    yield path
    path.unlink()  # it is large, and pytest keeps temporary files


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pictures of 299×299."""
    folder = tmp_path_factory.mktemp("photos")
    for seed, name in enumerate("abc"):
        (folder / f"{name}.png").write_bytes(encode_png(make_picture(seed, 299, 299)))
    return folder


@pytest.mark.parametrize(
    ("name", "convolutions", "joins", "features", "megabytes"),
    [
        (INCEPTION_V3, 94, 11, 2048, 95),
        ("inception_v3.tf_adv_in1k", 94, 11, 2048, 95),
        ("inception_v4.tf_in1k", 149, 19, 1536, 171),
        ("inception_resnet_v2.tf_in1k", 244, 43, 1536, 223),
    ],
)
def test_the_papers_networks(
    run_cli: Callable[..., Result], tmp_path: Path,
    name: str, convolutions: int, joins: int, features: int, megabytes: int,
) -> None:  # fmt: skip
    from rsparse.models.torch.twin import load_twin

    path = tmp_path / "m.onnx"
    result = run_cli("fetch", name, "--no-pretrained", "-o", path)
    assert result.exit_code == 0, result.stderr
    assert round(path.stat().st_size / 1e6) == megabytes
    found = json.loads(run_cli("model", "show", path, "--json").stdout)
    path_again = tmp_path / "again.onnx"
    run_cli("fetch", name, "--no-pretrained", "-o", path_again)
    assert path_again.read_bytes() == path.read_bytes()
    path_again.unlink()
    load_twin(load_classifier(path))  # refuses logits other than onnxruntime's
    path.unlink()
    assert found["problem"] is None
    assert found["classes"] == 1000
    assert found["graph"]["input"] == "input, n×3×299×299, float"
    assert found["graph"]["layers"] == f"{convolutions} conv, {joins} join, 1 pool"
    assert found["graph"]["attention"] == f"{features} feature maps"
    assert found["input"]["mean"] == {"value": [0.5, 0.5, 0.5], "source": "metadata"}


def shape_by_layer(path: Path) -> tuple[dict[str, Any], list[FeatureLayer]]:
    """The kernel shape of each convolution by layer name, and the other layers in order."""
    model = onnx.load(path)
    layers = activation_layers(model)
    kernels = [
        attribute(node, "kernel_shape") for node in model.graph.node if node.op_type == "Conv"
    ]
    names = [layer.name for layer in layers if layer.kind == "conv"]
    others = [layer for layer in layers if layer.kind != "conv"]
    return dict(zip(names, kernels, strict=True)), others


@pytest.mark.shared
def test_layers_bear_the_papers_names(inception_v3: Path, shared: Path) -> None:
    """The names are those of the 2015 Inception-v3, which the paper's figures use."""
    kernels, others = shape_by_layer(inception_v3)
    expected, expected_others = shape_by_layer(shared / "models" / "inception_v3_299.onnx")
    assert kernels == expected
    assert [(layer.name, layer.kind, layer.channels) for layer in others] == [
        (layer.name, layer.kind, layer.channels) for layer in expected_others
    ]


@pytest.fixture(scope="module")
def attacked(inception_v3: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from rsparse.attacks import parse_attack
    from rsparse.commands.attack.attack import attack_images
    from rsparse.options.attack import AttackRunParameters

    output = tmp_path_factory.mktemp("attacked") / "adv"
    chosen = parse_attack("fgsm:eps=8")
    attack_images(
        [photos], inception_v3, chosen, output, AttackRunParameters(predicted_labels=True)
    )
    return output


def test_fgsm_is_that_of_timms_network(inception_v3: Path, photos: Path, attacked: Path) -> None:
    """The attack through the torch twin uses the sign of the gradient of timm's network.

    Rounding decides the gradient where a maximum is tied, as it does between float32 and float64.
    In flat parts of the pictures, about one percent of the signs may differ.
    """
    import torch

    from rsparse.models.zoo.networks import build_network, find_model

    network = build_network(find_model(INCEPTION_V3), None, seed=0)
    classifier = load_classifier(inception_v3)
    for path in sorted(photos.iterdir()):
        pixels = decode_image(path.read_bytes(), path)
        x = torch.from_numpy(to_unit(pixels).transpose(2, 0, 1)[None].copy()).requires_grad_(True)
        y = torch.from_numpy(classifier.logits([pixels]).argmax(axis=1))
        torch.nn.functional.cross_entropy(network((x - 0.5) / 0.5), y).backward()
        assert x.grad is not None
        expected = (x + 8 / 255 * x.grad.sign()).clamp(0, 1)[0].detach().numpy().transpose(1, 2, 0)
        found = to_unit(decode_image((attacked / path.name).read_bytes(), path))
        assert (np.abs(found - expected) < 1e-3).mean() > 0.98


def test_the_six_commands(
    run_cli: Callable[..., Result], inception_v3: Path, photos: Path, attacked: Path, tmp_path: Path
) -> None:
    """Localize, attack, purify, classify, activations and attention run without input options."""
    model = ("--model", inception_v3)
    run = {
        "learn-dict": (photos, "--n-atoms", 64, "-o", tmp_path / "d.h5"),
        "localize": (photos, "-o", tmp_path / "masks"),
        "purify": (attacked, "--dict", tmp_path / "d.h5", "-o", tmp_path / "purified"),
        "classify": (tmp_path / "purified", *model, "-o", tmp_path / "pred.csv"),
        "activations": (photos, attacked, *model, "-o", tmp_path / "act.h5",
                        "--plot", tmp_path / "act.png", "--layers", "conv_2,mixed_1,pool_3"),
        "attention": (photos, attacked, tmp_path / "purified", *model, "-o", tmp_path / "cams"),
    }  # fmt: skip
    for command, arguments in run.items():
        result = run_cli(command, *arguments)
        assert result.exit_code == 0, (command, result.stderr)
    assert len((tmp_path / "pred.csv").read_text().splitlines()) == 1 + 3
    with h5py.File(tmp_path / "act.h5") as file:
        names = list(file["layer/name"].asstr())
        assert [file[f"peaks/{place}"].attrs["layer"] for place in range(3)] == [
            b"conv_2", b"mixed_1", b"pool_3",
        ]  # fmt: skip
        assert np.isfinite(file["ratio/all"][()]).all()
    assert names[:5] == ["conv", "conv_1", "conv_2", "conv_3", "conv_4"]
    assert [name for name in names if "/" not in name][5:] == [
        "mixed", *(f"mixed_{number}" for number in range(1, 11)), "pool_3",
    ]  # fmt: skip
    assert sorted(path.name for path in (tmp_path / "cams").glob("*.png")) == [
        "a.png", "b.png", "c.png",
    ]  # fmt: skip


def test_the_random_network_can_be_fooled(inception_v3: Path, photos: Path, attacked: Path) -> None:
    """Its logits depend on the picture, so an attack can change them."""
    manifest = json.loads((attacked / "manifest.json").read_text())
    assert len(manifest["images"]) == 3
    classifier = load_classifier(inception_v3)
    folders = [
        [decode_image(path.read_bytes(), path) for path in sorted(folder.glob("*.png"))]
        for folder in (photos, attacked)
    ]
    before, after = (classifier.logits(images) for images in folders)
    right = before.argmax(axis=1)
    assert (after.argmax(axis=1) != right).all()
    probability = np.exp(before - before.max(axis=1, keepdims=True))
    assert (probability / probability.sum(axis=1, keepdims=True)).max() < 0.99, "not saturated"
