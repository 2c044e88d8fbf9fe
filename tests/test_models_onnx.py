"""ONNX classifiers: inputs and outputs."""

from __future__ import annotations

import pickle
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from rsparse.models.fit import Fit
from rsparse.models.onnx.classifier import Classifier, load_classifier, softmax
from rsparse.models.resize import resize, resize_matrix
from rsparse.models.spec import InputOptions, InputSpec
from tests.onnx_models import ConvNet, images_of, linear_classifier
from tests.refusals import refused

UNIT = InputOptions(preset="unit")


def test_linear_scores(tmp_path: Path) -> None:
    """Scores of a linear classifier, computed by hand for each preprocessing step."""
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(3, 3 * 4 * 5))
    path = linear_classifier(tmp_path / "m.onnx", weights, (4, 5))
    mean, std = (0.1, 0.2, 0.3), (0.5, 1.0, 2.0)
    (image,) = images_of((4, 5), 1)
    for channels in ("rgb", "bgr"):
        spec = InputSpec((4, 5), mean, std, 255.0, channels)
        ordered = image[..., ::-1] if channels == "bgr" else image
        x = (ordered / 255 * 255 - np.array(mean)) / np.array(std)
        expected = weights @ x.transpose(2, 0, 1).reshape(-1)
        np.testing.assert_allclose(Classifier(path, spec).logits([image])[0], expected, rtol=1e-4)


def test_float_images_are_images_in_unit_range(tmp_path: Path) -> None:
    classifier = load_classifier(ConvNet().save(tmp_path / "m.onnx"), UNIT)
    (image,) = images_of((12, 10), 1)
    x = image.astype(np.float32) / 255
    np.testing.assert_array_equal(classifier.logits([image]), classifier.logits([x]))
    with pytest.raises(ValueError, match=r"expected an image of shape \(h, w, 3\)"):
        classifier.logits([x[..., 0]])


def test_channels_last(tmp_path: Path) -> None:
    first = load_classifier(ConvNet().save(tmp_path / "first.onnx"), UNIT)
    last = load_classifier(ConvNet(layout="NHWC").save(tmp_path / "last.onnx"), UNIT)
    assert (first.spec.layout, last.spec.layout) == ("NCHW", "NHWC")
    assert last.spec.size == (12, 10)
    images = images_of((20, 31), 3)
    assert last.prepare(images).shape == (3, 12, 10, 3)
    np.testing.assert_allclose(first.logits(images), last.logits(images), rtol=1e-5, atol=1e-5)


def test_softmax_tail_is_left_out(tmp_path: Path) -> None:
    images = images_of((12, 10), 3)
    plain = load_classifier(ConvNet().save(tmp_path / "m.onnx"), UNIT).logits(images)
    for tail in ("Softmax", "LogSoftmax"):
        classifier = load_classifier(ConvNet(tail=tail).save(tmp_path / f"{tail}.onnx"), UNIT)
        np.testing.assert_array_equal(classifier.logits(images), plain)
        np.testing.assert_allclose(classifier.probabilities(images), softmax(plain))


def test_softmax_of_large_scores() -> None:
    found = softmax(np.array([[1000.0, 1000.0, -1000.0]], np.float32))
    np.testing.assert_array_equal(found, np.array([[0.5, 0.5, 0]], np.float32))


def test_scores_do_not_depend_on_the_batch(tmp_path: Path) -> None:
    images = images_of((12, 10), 5)
    alone = load_classifier(ConvNet().save(tmp_path / "m.onnx"), UNIT)
    together = alone.logits(images)
    for row, image in zip(together, images, strict=True):
        np.testing.assert_array_equal(alone.logits([image])[0], row)
    for batch in (1, 2, 4):
        fixed = load_classifier(ConvNet(batch=batch).save(tmp_path / f"{batch}.onnx"), UNIT)
        np.testing.assert_allclose(fixed.logits(images), together, rtol=1e-5, atol=1e-5)
        assert fixed.logits(images[:1]).shape == (1, 4)


def test_class_offset_and_names(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(1001, 3 * 2 * 2))
    path = linear_classifier(tmp_path / "m.onnx", weights, (2, 2))
    names = tuple(f"class {index}" for index in range(1000))
    images = images_of((2, 2), 2)
    whole = load_classifier(path, UNIT)
    assert (whole.n_classes, whole.class_names[7]) == (1001, "7")
    named = load_classifier(path, InputOptions("unit", class_offset=1, labels=names))
    assert (named.n_classes, named.class_names[7]) == (1000, "class 7")
    np.testing.assert_array_equal(named.logits(images), whole.logits(images)[:, 1:])
    hint = "; use --class-offset 1 to skip a leading background class"
    with refused(f"{path}: has 1001 classes, but 1000 class names were given{hint}"):
        load_classifier(path, InputOptions("unit", labels=names))
    with refused(f"{path}: has 1001 outputs, too few for a class offset of 1001"):
        load_classifier(path, InputOptions("unit", class_offset=1001, labels=names))


def test_number_of_classes_where_the_graph_leaves_it_open(tmp_path: Path) -> None:
    path = ConvNet().save(tmp_path / "m.onnx")
    model = onnx.load(path)
    model.graph.output[0].type.tensor_type.ClearField("shape")
    path.write_bytes(model.SerializeToString())
    assert load_classifier(path, UNIT).n_classes == 4


def test_a_pickled_classifier_carries_the_path(tmp_path: Path) -> None:
    classifier = load_classifier(ConvNet().save(tmp_path / "m.onnx"), UNIT)
    content = pickle.dumps(classifier)
    assert len(content) < 1000
    images = images_of((12, 10), 2)
    again = pickle.loads(content)
    np.testing.assert_array_equal(again.logits(images), classifier.logits(images))


def test_fit_to_input(tmp_path: Path) -> None:
    """The network's input can be saved and classified again with the same result."""
    classifier = load_classifier(ConvNet().save(tmp_path / "m.onnx"), UNIT)
    images = images_of((37, 23), 3)
    fitted = [classifier.fit_to_input(image) for image in images]
    assert {image.shape for image in fitted} == {(12, 10, 3)}
    np.testing.assert_array_equal(classifier.logits(fitted), classifier.logits(images))
    assert classifier.fit_to_input(fitted[0]) is fitted[0]


@pytest.mark.parametrize(
    "source", [(12, 10), (24, 20), (37, 23), (5, 4), (6, 40), (30, 4), (12, 4)]
)
def test_resizing_is_two_matrix_products(source: tuple[int, int]) -> None:
    image = np.random.default_rng(0).random((*source, 3), dtype=np.float32)
    fit = Fit((12, 10))
    down, along = map(resize_matrix, fit.axes(*source))
    expected = np.einsum("ij,jkc,lk->ilc", down, image, along)
    np.testing.assert_allclose(resize(image, fit), expected, atol=1e-5)
    np.testing.assert_allclose(down.sum(axis=1), 1, atol=1e-5)


def test_shrinking_averages_areas() -> None:
    image = np.arange(16, dtype=np.float32).reshape(4, 4, 1)
    np.testing.assert_allclose(resize(image, Fit((2, 2)))[..., 0], [[2.5, 4.5], [10.5, 12.5]])
    grown = cv2.resize(image, (9, 7), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(resize(image, Fit((7, 9)))[..., 0], grown)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("model", "preset", "top1"),
    [
        ("mobilenet_v2_224", "mobilenet-v2", 0.855),
        ("mobilenet_v1_075_192", "unit", 0.74),
        pytest.param("inception_v3_299", "inception-v3", 0.62, marks=pytest.mark.slow),
    ],
)
def test_accuracy_on_photographs(shared: Path, model: str, preset: str, top1: float) -> None:
    from rsparse.store.class_index import ClassIndex
    from rsparse.store.images import decode_image
    from rsparse.store.label_files import read_label_file

    classifier = load_classifier(shared / "models" / f"{model}.onnx", InputOptions(preset), 2)
    labels = read_label_file(shared / "photos" / "labels.csv", ClassIndex(())).by_name
    paths = [shared / "photos" / f"{name}.png" for name in labels]
    correct = [
        classifier.logits([decode_image(path.read_bytes(), path)]).argmax() == label.number
        for path, label in zip(paths, labels.values(), strict=True)
    ]
    assert np.mean(correct) == pytest.approx(top1)
