"""The fixtures are reproducible and small, and their answers are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from make_fixtures import write_fixtures
from onnx import numpy_helper

from rsparse.core.omp import omp, reconstruct
from rsparse.models.onnx.classifier import load_classifier
from rsparse.store.dictionaries import load_dictionary
from rsparse.store.images import decode_image
from tests.conftest import REPOSITORY

FIXTURES = REPOSITORY / "fixtures"
IMAGES = sorted((FIXTURES / "images").iterdir())
LOSSLESS = ("bmp-rgb", "png-palette", "png-rgb", "tiff-rgb", "webp-lossless")


def read(path: Path) -> np.ndarray:
    return decode_image(path.read_bytes(), path)


@pytest.fixture(scope="module")
def again(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fixtures, generated again."""
    folder = tmp_path_factory.mktemp("fixtures")
    write_fixtures(folder)
    return folder


def test_they_are_small() -> None:
    sizes = {path: path.stat().st_size for path in FIXTURES.rglob("*") if path.is_file()}
    assert max(sizes.values()) <= 20_000
    assert sum(sizes.values()) <= 50_000


def test_the_same_files_are_made(again: Path) -> None:
    def names(folder: Path) -> set[str]:
        files = (path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix() for path in files}

    assert names(FIXTURES) == names(again) | {"README.md"}


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.name)
def test_images_have_the_same_pixels(path: Path, again: Path) -> None:
    difference = read(path).astype(int) - read(again / "images" / path.name)
    # JPEG decoders may round differently
    assert np.abs(difference).max() <= (3 if path.suffix == ".jpg" else 0)


def test_the_dictionary_is_the_same(again: Path) -> None:
    shipped, record = load_dictionary(FIXTURES / "dict.h5")
    made, made_record = load_dictionary(again / "dict.h5")
    np.testing.assert_allclose(made.atoms, shipped.atoms, atol=1e-6)
    assert {**made_record, "generator": None} == {**record, "generator": None}


def test_the_classifier_is_the_same(again: Path) -> None:
    shipped, made = (onnx.load(folder / "colours.onnx") for folder in (FIXTURES, again))
    for weights, made_weights in zip(
        shipped.graph.initializer, made.graph.initializer, strict=True
    ):
        np.testing.assert_array_equal(
            numpy_helper.to_array(made_weights), numpy_helper.to_array(weights)
        )
    assert made.metadata_props == shipped.metadata_props
    assert made.graph.node == shipped.graph.node


def test_every_kind_of_image_shows_the_same_picture() -> None:
    pixels = {path.stem: read(path).astype(int) for path in IMAGES}
    truth = pixels["png-rgb"]
    assert truth.shape == (20, 24, 3)
    for name in LOSSLESS:
        np.testing.assert_array_equal(pixels[name], truth, err_msg=name)
    for name in ("jpeg-cmyk", "jpeg-rotated"):
        assert np.abs(pixels[name] - truth).mean() < 6, name
    np.testing.assert_array_equal(pixels["png-grey"], pixels["png-grey16"])
    np.testing.assert_array_equal(pixels["png-grey"][:, :, 0], pixels["png-grey"][:, :, 2])
    assert (pixels["png-alpha"][:, :8] == 255).all()
    np.testing.assert_array_equal(pixels["png-alpha"][:, 8:], truth[:, 8:])


def test_the_dictionary_keeps_the_largest_coefficients() -> None:
    atoms = load_dictionary(FIXTURES / "dict.h5")[0].atoms
    np.testing.assert_allclose(atoms @ atoms.T, np.eye(48), atol=1e-6)
    coefficients = np.zeros(48, dtype=np.float32)
    coefficients[[3, 11, 40]] = (5, -4, 0.5)
    patch = (coefficients @ atoms)[None]
    chosen, weights = omp(patch, atoms, 2)
    assert chosen.tolist() == [[3, 11]]
    np.testing.assert_allclose(weights, [[5, -4]], atol=1e-5)
    np.testing.assert_allclose(
        reconstruct(chosen, weights, atoms)[0], 5 * atoms[3] - 4 * atoms[11], atol=1e-5
    )


def test_the_classifier_names_the_brightest_colour() -> None:
    classifier = load_classifier(FIXTURES / "colours.onnx")
    assert classifier.spec.labels == ("red", "green", "blue")
    x = np.zeros((3, 16, 16, 3), np.uint8)
    for colour in range(3):
        x[colour, :, :, colour] = 51
    np.testing.assert_allclose(classifier.logits(x), 0.2 * np.eye(3), atol=1e-6)
