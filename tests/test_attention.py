"""Class activation maps: the mathematics, the pictures, and the errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from rsparse.commands.attention import choose_class, short_name
from rsparse.core.attention import (
    class_activation_map,
    overlay_map,
    stretch_to_unit,
    subtract_average_class,
)
from rsparse.models.onnx.classifier import load_classifier, softmax
from rsparse.models.onnx.probes import AttentionProbe
from rsparse.store.images import decode_image, encode_png
from tests.conftest import make_picture, tree_of
from tests.onnx_models import ConvNet, linear_classifier
from tests.refusals import refused

SAID = {"mean": [0, 0, 0], "std": [1, 1, 1], "labels": ["cat", "dog, hound", "emu", "fox"]}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A network with four named classes and five feature maps in its last layer."""
    return ConvNet(metadata={"rsparse.input": json.dumps(SAID)}).save(tmp_path / "m.onnx")


@pytest.fixture
def versions(tmp_path: Path) -> list[Path]:
    """Three folders; all have an image ``a``; other names are only in some."""
    folders = []
    for number, (folder, names) in enumerate(
        (("benign", "abc"), ("adv", "ab"), ("purified", "ac"))
    ):
        (tmp_path / folder).mkdir()
        folders.append(tmp_path / folder)
        for name in names:
            content = encode_png(make_picture(number, 40, 60))
            (tmp_path / folder / f"{name}.png").write_bytes(content)
    return folders


def read(path: Path) -> np.ndarray:
    return decode_image(path.read_bytes(), path)


def test_the_mean_of_the_map_is_the_score_without_bias() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(5, 4, 3)).astype(np.float32)
    weights = rng.normal(size=5).astype(np.float32)
    found = class_activation_map(features, weights)
    assert found.shape == (4, 3)
    assert found.mean() == pytest.approx(float(weights @ features.mean((1, 2))), abs=1e-6)
    one_hot = np.eye(5, dtype=np.float32)[2]
    np.testing.assert_array_equal(class_activation_map(features, one_hot), features[2])


def test_what_softmax_leaves_open_is_taken_out() -> None:
    """Adding the same vector to every class's weights changes neither probabilities nor maps."""
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(4, 5)).astype(np.float32)
    common = rng.normal(size=5).astype(np.float32)
    found = subtract_average_class(weights + 10 * common)
    np.testing.assert_allclose(found, subtract_average_class(weights), atol=1e-5)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-6)


def test_stretching() -> None:
    np.testing.assert_array_equal(stretch_to_unit(np.array([[2, 4], [6, 3]], np.float32)),
                                  np.array([[0, 0.5], [1, 0.25]], np.float32))  # fmt: skip
    np.testing.assert_array_equal(stretch_to_unit(np.full((2, 2), 7, np.float32)), np.zeros((2, 2)))


def test_overlay_colors() -> None:
    """Red where the map is 1, blue where it is 0, in RGB order; nothing at opacity 0."""
    image = np.full((20, 30, 3), 100, np.uint8)
    attention = np.zeros((2, 3), np.float32)
    attention[0, 0] = 1
    shown = overlay_map(image, attention, opacity=1.0)
    assert shown.shape == image.shape
    red, blue = shown[0, 0].astype(int), shown[-1, -1].astype(int)
    assert red[0] > 100 > red[2]
    assert blue[2] > 100 > blue[0]
    np.testing.assert_array_equal(overlay_map(image, attention, opacity=0.0), image)


def test_choice_of_the_class(model: Path) -> None:
    classifier = load_classifier(model)
    assert choose_class("predicted", classifier) == "predicted"
    assert choose_class("dog, hound", classifier) == 1
    assert choose_class("3", classifier) == 3
    message = (
        "--target-class: expected predicted, label, a class name or a number from 0 to 3, got "
    )
    with refused(f"{message}'4'"):
        choose_class("4", classifier)
    with refused(f"{message}'foxx'; did you mean 'fox'?"):
        choose_class("foxx", classifier)
    assert short_name("dog, hound") == "dog"


@pytest.mark.parametrize(
    ("option", "explained", "center"),
    [((), None, True), (("--target-class", "emu"), 2, True), (("--raw-weights",), None, False)],
)
def test_overlays(
    run_cli: Callable[..., Result], pictures: Path, model: Path, tmp_path: Path,
    option: tuple[str, ...], explained: int | None, center: bool,
) -> None:  # fmt: skip
    output = tmp_path / "cams"
    result = run_cli("attention", pictures, "--model", model, "-o", output, *option)
    assert (result.exit_code, result.stdout) == (0, f"{output}\n")
    manifest = json.loads((output / "manifest.json").read_text())
    assert [entry["file"] for entry in manifest["images"]] == ["a.png", "b.png", "sub/c.png"]
    classifier = load_classifier(model)
    probe = AttentionProbe(classifier)
    for entry in manifest["images"]:
        pixels = read(pictures / entry["file"])
        logits, features = probe.features([pixels])
        (version,) = entry["versions"]
        best = int(logits.argmax())
        assert version["predicted"] == best
        chosen = best if explained is None else explained
        assert version["explained"] == chosen
        assert version["explained_probability"] == float(softmax(logits)[0, chosen])
        weights = subtract_average_class(probe.weights) if center else probe.weights
        attention = class_activation_map(features[0], weights[chosen])
        expected = overlay_map(pixels, stretch_to_unit(attention))
        np.testing.assert_array_equal(read(output / entry["file"]), expected)


def test_explaining_the_label(
    run_cli: Callable[..., Result], pictures: Path, model: Path, tmp_path: Path
) -> None:
    labels, output = tmp_path / "labels.csv", tmp_path / "cams"
    labels.write_text("file,label\na.png,3\nb.png,emu\nsub/c.png,0\n")
    run_cli(
        "attention", pictures, "-m", model, "-o", output, "--target-class", "label",
        "--labels", labels,
    )  # fmt: skip
    manifest = json.loads((output / "manifest.json").read_text())
    assert [entry["versions"][0]["explained"] for entry in manifest["images"]] == [3, 2, 0]
    assert [entry["label"] for entry in manifest["images"]] == [3, 2, 0]


def test_without_labels_none_can_be_explained(
    assert_error: Callable[..., None], pictures: Path, model: Path, tmp_path: Path
) -> None:
    assert_error(
        f"{pictures}/a.png: has no label to explain (and 2 more failed)",
        "attention", pictures, "-m", model, "-o", tmp_path / "cams", "--target-class", "label",
    )  # fmt: skip
    assert not (tmp_path / "cams").exists()


def test_panels(
    run_cli: Callable[..., Result], versions: list[Path], model: Path, tmp_path: Path
) -> None:
    output = tmp_path / "cams"
    result = run_cli(
        "attention", *versions, "-m", model, "-o", output, "--picture-size", "100", "--json"
    )
    found = json.loads(result.stdout)
    assert found["columns"] == ["benign", "adv", "purified"]
    assert (found["done"], found["alone"]) == (1, 2)
    turned = run_cli("attention", *versions[::-1], "-m", model, "-o", tmp_path / "r", "--json")
    assert json.loads(turned.stdout)["alone"] == 2  # names of every folder count
    (entry,) = json.loads((output / "manifest.json").read_text())["images"]
    assert entry["name"] == "a"
    assert len(entry["versions"]) == 3
    record = json.loads((output / "manifest.json").read_text())
    assert [s["name"] for s in record["inputs"]] == ["benign", "adv", "purified", "m.onnx"]
    panel = read(output / "a.png")
    assert panel.shape[1] > 300
    assert panel.shape[0] > 200
    assert len(np.unique(panel.reshape(-1, 3), axis=0)) > 1000


def test_equal_runs_give_equal_bytes(
    run_cli: Callable[..., Result], pictures: Path, model: Path, tmp_path: Path
) -> None:
    outputs = [tmp_path / "one", tmp_path / "two"]
    for jobs, output in enumerate(outputs, 1):
        run_cli("attention", pictures, "-m", model, "-o", output, "-j", jobs)
    assert tree_of(outputs[0]) == tree_of(outputs[1])


def test_refusals(
    assert_error: Callable[..., None], pictures: Path, model: Path, tmp_path: Path
) -> None:
    flat = linear_classifier(tmp_path / "flat.onnx", np.ones((2, 12)), (2, 2))
    output = tmp_path / "cams"
    assert_error(
        f"{flat}: expected global average pooling followed by one linear layer (Gemm, MatMul or "
        "1×1 Conv) before the class scores, found the input where the pooling should be",
        "attention", pictures, "-m", flat, "--preset", "unit", "-o", output, "--method", "cam",
    )  # fmt: skip
    assert_error(
        "attention: expected several folders or single images, got both",
        "attention", pictures, pictures / "a.png", "-m", model, "-o", output,
    )  # fmt: skip
    assert_error(
        f"{tmp_path}/none: no such file or folder",
        "attention", pictures, tmp_path / "none", "-m", model, "-o", output,
    )  # fmt: skip
    assert_error(
        f"{pictures}/cams: is inside the input {pictures}; choose another output",
        "attention", pictures, "-m", model, "-o", pictures / "cams",
    )  # fmt: skip
    assert not output.exists()
