"""ONNX classifiers: what is refused, what goes in, what comes out."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from rsparse.errors import InputError
from rsparse.models.graph import activation_layers
from rsparse.models.onnx_classifier import Classifier, load_classifier, softmax
from rsparse.models.onnx_file import load_onnx
from rsparse.models.probes import AttentionProbe, PeakProbe
from rsparse.models.resize import resize, resize_matrix
from rsparse.models.spec import InputSpec, SpecOptions
from tests.onnx_models import ConvNet, linear_classifier, save_graph
from tests.refusals import refused

UNIT = SpecOptions(preset="unit")


def images_of(size: tuple[int, int], n: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for _ in range(n)]


def one_node(path: Path, op: str = "Relu", **kwargs: object) -> Path:
    nodes = [helper.make_node(op, ["image"], ["scores"])]
    defaults = {"input_dims": ("n", 3, 4, 4), "output_dims": ("n", 2)} | kwargs
    return save_graph(path, nodes, {}, **defaults)


def with_second_input(path: Path) -> Path:
    model = onnx.load(one_node(path))
    model.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, (1,)))
    path.write_bytes(model.SerializeToString())
    return path


def with_second_output(path: Path) -> Path:
    model = onnx.load(one_node(path))
    model.graph.output.append(helper.make_tensor_value_info("image", TensorProto.FLOAT, None))
    path.write_bytes(model.SerializeToString())
    return path


def test_linear_scores(tmp_path: Path) -> None:
    """The scores of a linear classifier, worked out by hand for each step of the preparation."""
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
    named = load_classifier(path, SpecOptions("unit", class_offset=1, labels=names))
    assert (named.n_classes, named.class_names[7]) == (1000, "class 7")
    np.testing.assert_array_equal(named.logits(images), whole.logits(images)[:, 1:])
    hint = "; with --class-offset 1 a leading background class is left out"
    with refused(f"{path}: has 1001 classes, but 1000 class names are given{hint}"):
        load_classifier(path, SpecOptions("unit", labels=names))
    with refused(f"{path}: has 1001 outputs, too few for a class offset of 1001"):
        load_classifier(path, SpecOptions("unit", class_offset=1001, labels=names))


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
    """What the network sees can be saved and classified again with the same result."""
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
    down, along = resize_matrix(source[0], 12), resize_matrix(source[1], 10)
    expected = np.einsum("ij,jkc,lk->ilc", down, image, along)
    np.testing.assert_allclose(resize(image, (12, 10)), expected, atol=1e-5)
    np.testing.assert_allclose(down.sum(axis=1), 1, atol=1e-5)


def test_shrinking_averages_areas() -> None:
    image = np.arange(16, dtype=np.float32).reshape(4, 4, 1)
    np.testing.assert_allclose(resize(image, (2, 2))[..., 0], [[2.5, 4.5], [10.5, 12.5]])
    grown = cv2.resize(image, (9, 7), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(resize(image, (7, 9))[..., 0], grown)


def test_not_onnx(tmp_path: Path) -> None:
    missing = tmp_path / "missing.onnx"
    with refused(f"{missing}: cannot be read: no such file or directory"):
        load_onnx(missing)
    with refused(f"{tmp_path}: cannot be read: is a directory"):
        load_onnx(tmp_path)
    path = tmp_path / "m.onnx"
    whole = ConvNet().save(path).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with refused(f"{path}: is not an ONNX model, or is cut off"):
        load_onnx(path)
    path.write_bytes(b"")
    with refused(f"{path}: is not an ONNX model, or is cut off"):
        load_onnx(path)
    path.write_text("a text that is no model")
    with refused(f"{path}: is not an ONNX model, or is cut off"):
        load_onnx(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable(tmp_path: Path) -> None:
    path = ConvNet().save(tmp_path / "m.onnx")
    path.chmod(0)
    with refused(f"{path}: cannot be read: permission denied"):
        load_onnx(path)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        (
            {"input_dims": ("n", 784)},
            "expected an image of 4 dimensions as input, such as 1×3×224×224; 'image' has 2: n×784",
        ),
        (
            {"input_dims": None},
            "expected an image of 4 dimensions as input, such as 1×3×224×224; "
            "'image' has an unknown shape",
        ),
        (
            {"input_dims": ("n", 1, 28, 28)},
            "expected an image of 3 colour channels as input; 'image' is 4: n×1×28×28",
        ),
        (
            {"input_type": TensorProto.UINT8},
            "expected a float32 image as input; 'image' is uint8",
        ),
        (
            {"output_dims": ("n", 21, 4, 4)},
            "expected one row of class scores for an image as output, such as 1×1000; "
            "'scores' has 4: n×21×4×4",
        ),
    ],
)
def test_not_an_image_classifier(tmp_path: Path, kwargs: dict, message: str) -> None:
    path = one_node(tmp_path / "m.onnx", **kwargs)
    with refused(f"{path}: {message}"):
        load_onnx(path)


def test_several_inputs_or_outputs(tmp_path: Path) -> None:
    path = with_second_input(tmp_path / "m.onnx")
    with refused(f"{path}: expected one input, an image; it has 2: image, mask"):
        load_onnx(path)
    path = with_second_output(tmp_path / "m.onnx")
    with refused(f"{path}: expected one output, the class scores; it has 2: scores, image"):
        load_onnx(path)


def test_weights_listed_as_inputs_are_no_inputs(tmp_path: Path) -> None:
    """Files of ONNX's early versions list their weights among the inputs."""
    path = ConvNet().save(tmp_path / "m.onnx")
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        value = helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        model.graph.input.insert(0, value)
    path.write_bytes(model.SerializeToString())
    assert load_onnx(path).input_name == "image"
    assert load_classifier(path, UNIT).logits(images_of((12, 10), 1)).shape == (1, 4)


def test_what_onnxruntime_refuses(tmp_path: Path) -> None:
    path = one_node(tmp_path / "m.onnx", "NoSuchOperator")
    classifier = load_classifier(path, UNIT)
    with pytest.raises(InputError, match="onnxruntime cannot run it: ") as raised:
        classifier.logits(images_of((4, 4), 1))
    message = str(raised.value)
    assert message.startswith(f"{path}: ")
    assert "NoSuchOperator" in message
    assert "\n" not in message


def outside_weights(path: Path, location: str) -> Path:
    """A classifier whose weights the file looks for at ``location``."""
    model = onnx.load(ConvNet().save(path))
    tensor = next(entry for entry in model.graph.initializer if entry.name == "w")
    onnx.external_data_helper.set_external_data(tensor, location)
    tensor.ClearField("raw_data")
    path.write_bytes(model.SerializeToString())
    return path


def test_weights_beside_the_model(tmp_path: Path) -> None:
    net = ConvNet()
    inside = load_classifier(net.save(tmp_path / "inside.onnx"), UNIT)
    path = outside_weights(tmp_path / "m.onnx", "weights/w.bin")
    with refused(f"{path}: keeps weights in 'weights/w.bin', which is not beside it"):
        load_onnx(path)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "w.bin").write_bytes(net.weights.tobytes())
    images = images_of((12, 10), 2)
    outside = load_classifier(path, UNIT)
    np.testing.assert_array_equal(outside.logits(images), inside.logits(images))
    (tmp_path / "weights" / "w.bin").write_bytes((net.weights + 1).tobytes())
    assert load_onnx(path).sha256 != outside.sha256, "the weights are part of the model"
    (tmp_path / "weights" / "w.bin").write_bytes(b"short")
    with refused(f"{path}: the weights 'w' kept outside it cannot be read"):
        load_onnx(path)


@pytest.mark.parametrize("location", ["/etc/passwd", "../w.bin", "a/../../w.bin", "a\\w.bin", ""])
def test_weights_outside_the_folder(tmp_path: Path, location: str) -> None:
    (tmp_path / "w.bin").write_bytes(ConvNet().weights.tobytes())
    (tmp_path / "models").mkdir()
    path = outside_weights(tmp_path / "models" / "m.onnx", location)
    with refused(f"{path}: keeps weights outside its own folder: {location!r}"):
        load_onnx(path)


def test_weights_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(ConvNet().weights.tobytes())
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "w.bin").symlink_to(tmp_path / "w.bin")
    path = outside_weights(tmp_path / "models" / "m.onnx", "w.bin")
    with refused(f"{path}: keeps weights outside its own folder: 'w.bin' is a link"):
        load_onnx(path)


def test_weights_hidden_in_a_node(tmp_path: Path) -> None:
    tensor = onnx.numpy_helper.from_array(np.zeros(4, np.float32), "hidden")
    onnx.external_data_helper.set_external_data(tensor, "/etc/passwd")
    node = helper.make_node("Constant", [], ["unused"], value=tensor)
    path = save_graph(tmp_path / "m.onnx", [node], {}, ("n", 3, 4, 4), ("n", 2))
    with refused(f"{path}: keeps weights outside its own folder: '/etc/passwd'"):
        load_onnx(path)


def test_weights_that_are_no_numbers(tmp_path: Path) -> None:
    weights = np.full((2, 12), np.nan)
    path = linear_classifier(tmp_path / "m.onnx", weights, (2, 2))
    with refused(f"{path}: gives class scores that are no finite numbers"):
        load_classifier(path, UNIT).check()


def test_damaged_files_are_refused_in_one_line(tmp_path: Path) -> None:
    """Bytes changed at random: a model is refused in one line, or it runs; nothing else."""
    path, rng = tmp_path / "m.onnx", np.random.default_rng(0)
    outcomes = []
    for _ in range(150):
        kwargs = [{}, {"head": "Conv", "background": True}, {"tail": "Softmax"}][rng.integers(3)]
        content = bytearray(ConvNet(**kwargs).save(path).read_bytes())
        for place in rng.integers(0, len(content), rng.integers(1, 4)):
            content[place] = rng.integers(0, 256)
        path.write_bytes(content)
        try:
            classifier = load_classifier(path, UNIT).check()
            PeakProbe(classifier, activation_layers(classifier.graph))
            AttentionProbe(classifier)
            outcomes.append("runs")
        except InputError as error:
            outcomes.append(str(error))
    messages = [text for text in outcomes if text != "runs"]
    assert 0 < len(messages) < len(outcomes)
    assert all(text.startswith((f"{path}: ", "model: ")) for text in messages)
    assert not any("\n" in text for text in messages)


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
    from rsparse.images import decode_image
    from rsparse.labels import read_label_rows

    classifier = load_classifier(shared / "models" / f"{model}.onnx", SpecOptions(preset), 2)
    labels = read_label_rows(shared / "photos" / "labels.csv", ())
    paths = [shared / "photos" / f"{name}.png" for name in labels]
    correct = [
        classifier.logits([decode_image(path.read_bytes(), path)]).argmax() == label
        for path, label in zip(paths, labels.values(), strict=True)
    ]
    assert np.mean(correct) == pytest.approx(top1)
