"""How images are fitted to the input: resized, or cropped as in torchvision and timm."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import Result

from rsparse.models.fit import Axis, Fit
from rsparse.models.onnx.classifier import load_classifier
from rsparse.models.resize import fit_pixels, resize, resize_matrix, resize_weights
from rsparse.models.spec import InputOptions
from rsparse.store.folders import read_manifest
from rsparse.store.images import encode_png
from tests.onnx_models import ConvNet, images_of

CROP = InputOptions(preset="unit", resize="crop:0.875")
SIZES = [(300, 400), (400, 300), (224, 225), (50, 60), (64, 1000), (256, 256), (333, 1001)]


def torchvision_geometry(rows: int, columns: int, side: int, resized: int) -> tuple[Axis, Axis]:
    """Resize(resized) and CenterCrop(side) as torchvision 0.28 computes them."""
    short, long = (columns, rows) if columns <= rows else (rows, columns)
    new_short, new_long = resized, int(resized * long / short)
    width, height = (new_short, new_long) if columns <= rows else (new_long, new_short)
    top, left = round((height - side) / 2.0), round((width - side) / 2.0)
    return Axis(rows, height, top, side), Axis(columns, width, left, side)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("side", "share", "resized"), [(224, 0.875, 256), (299, 0.9, 332)])
def test_the_geometry_is_torchvisions(
    size: tuple[int, int], side: int, share: float, resized: int
) -> None:
    """timm resizes the shorter side to floor(side / crop_pct)."""
    assert Fit((side, side), share).axes(*size) == torchvision_geometry(*size, side, resized)


def test_an_input_that_is_no_square() -> None:
    """The image is resized to cover the input size / share and keeps its aspect ratio."""
    assert Fit((100, 200), 0.5).axes(200, 200) == (
        Axis(200, 400, 150, 100), Axis(200, 400, 100, 200)
    )  # fmt: skip


@pytest.mark.parametrize("size", [(30, 45), (45, 30), (9, 7), (12, 40), (200, 13)])
@pytest.mark.parametrize("share", [0.875, 1.0, 0.4])
def test_the_centre_of_the_resized_image(size: tuple[int, int], share: float) -> None:
    """The result equals resizing the whole image with OpenCV and then cropping it."""
    image = np.random.default_rng(0).random((*size, 3), dtype=np.float32)
    fit = Fit((12, 12), share)
    down, along = fit.axes(*size)
    whole = resize(image, Fit((down.n_resized, along.n_resized)))
    expected = whole[down.start : down.start + 12, along.start : along.start + 12]
    np.testing.assert_allclose(resize(image, fit), expected, atol=1e-5)


def test_an_image_of_the_size_is_not_cut_again() -> None:
    (image,) = images_of((40, 30), 1)
    fit = Fit((12, 10), 0.8)
    fitted = fit_pixels(image, fit)
    assert fit_pixels(fitted, fit) is fitted
    assert resize(fitted.astype(np.float32), fit).shape == (12, 10, 3)


@pytest.mark.parametrize(("n_from", "n_to"), [(7, 3), (100, 224), (500, 224), (448, 224), (5, 9)])
def test_weights_are_those_of_opencv(n_from: int, n_to: int) -> None:
    method = cv2.INTER_AREA if n_to < n_from else cv2.INTER_LINEAR
    unit = np.eye(n_from, dtype=np.float32)
    expected = cv2.resize(unit, (n_from, n_to), interpolation=method)
    found = resize_matrix(Axis(n_from, n_to, 0, n_to))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_long_axes_take_memory_in_proportion() -> None:
    tracemalloc.start()
    weights = resize_weights(Axis(1_000_000, 224, 0, 224))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    np.testing.assert_allclose(weights.shares.sum(axis=1), 1, atol=1e-5)
    assert peak < 100e6
    image = np.zeros((1, 300_000, 3), np.float32)
    image[0, 150_000:] = 1
    found = resize(image, Fit((64, 64), 0.5))
    np.testing.assert_allclose(found, 0.5, atol=0.26)  # the edge between two pixels, much enlarged
    found = resize(image, Fit((100, 64)))
    assert found[:, :31].max() < 1e-3
    assert found[:, 33:].min() > 1 - 1e-3


@pytest.mark.parametrize("options", [CROP, InputOptions(preset="unit")], ids=["crop", "squash"])
@pytest.mark.parametrize("size", [(30, 21), (12, 10), (5, 40), (3, 500_000)])
def test_the_twin_fits_as_the_classifier(
    tmp_path: Path, options: InputOptions, size: tuple[int, int]
) -> None:
    torch = pytest.importorskip("torch")
    from rsparse.models.torch.twin import load_twin

    classifier = load_classifier(ConvNet().save(tmp_path / "m.onnx"), options)
    x = np.random.default_rng(0).random((2, *size, 3), dtype=np.float32)
    pixels = torch.from_numpy(x.transpose(0, 3, 1, 2).copy()).requires_grad_()
    logits = load_twin(classifier)(pixels)
    expected = classifier.logits(list(x))
    np.testing.assert_allclose(logits.detach().numpy(), expected, rtol=1e-3, atol=1e-4)
    logits[:, 0].sum().backward()
    used = pixels.grad.abs().sum(dim=(0, 1)) > 0
    down, along = classifier.spec.fit.axes(*size)
    kept = np.zeros(size, bool)
    rows, columns = (resize_weights(axis) for axis in (down, along))
    kept[np.ix_(np.unique(rows.places), np.unique(columns.places))] = True
    assert not used.numpy()[~kept].any(), "what is cut off has no gradient"
    assert used.numpy()[kept].mean() > 0.5


def test_attacks_at_both_sizes(run_cli: Callable[..., Result], tmp_path: Path) -> None:
    """At the model's input size by default, at the image's own size with --keep-size."""
    pytest.importorskip("foolbox")
    path = ConvNet().save(tmp_path / "m.onnx")
    (tmp_path / "a.png").write_bytes(encode_png(images_of((40, 31), 1)[0]))
    model = ("-m", path, "--preset", "unit", "--resize", "crop:0.875")
    attack = ("attack", tmp_path / "a.png", *model, "-a", "fgsm:eps=30", "--predicted-labels")
    sizes = []
    for name, more in (("view", ()), ("own", ("--keep-size",))):
        result = run_cli(*attack, "-o", tmp_path / name, *more)
        assert result.exit_code == 0, result.stderr
        made = cv2.imread(str(tmp_path / name / "a.png"))
        sizes.append(made.shape[:2])
        manifest = read_manifest(tmp_path / name)
        assert manifest is not None
        assert manifest["parameters"]["input"]["resize"] == "crop:0.875"
        again = run_cli("classify", tmp_path / name, *model, "-o", tmp_path / f"{name}.csv")
        assert again.exit_code == 0, again.stderr
        rows = (tmp_path / f"{name}.csv").read_text().splitlines()
        assert int(rows[1].split(",")[3]) == manifest["images"][0]["prediction"]
    assert sizes == [(12, 10), (40, 31)]


def test_purify_cuts_as_a_model(run_cli: Callable[..., Result], tmp_path: Path) -> None:
    (image,) = images_of((40, 31), 1)
    (tmp_path / "a.png").write_bytes(encode_png(image))
    out = tmp_path / "out"
    options = ("--defense", "median:size=1", "--resize-to", "12x10:crop:0.875", "-o", out)
    assert run_cli("purify", tmp_path / "a.png", *options).exit_code == 0
    found = cv2.imread(str(out / "a.png"))[..., ::-1]
    np.testing.assert_array_equal(found, fit_pixels(image, Fit((12, 10), 0.875)))
    manifest = read_manifest(out)
    assert manifest is not None
    assert (manifest["parameters"]["size"], manifest["parameters"]["crop"]) == ([12, 10], 0.875)
