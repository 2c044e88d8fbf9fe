"""Networks that do not simply map float32 RGB images to a row of logits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import Result

from rsparse.models.diagnosis import other_specs
from rsparse.models.onnx.classifier import load_classifier, sigmoid, softmax
from rsparse.models.onnx.probes import AttentionProbe, layer_activations
from rsparse.models.spec import InputOptions
from rsparse.store.images import encode_png
from tests.onnx_models import ConvNet, images_of, save_graph
from tests.refusals import refused
from tests.score_graphs import (
    FLAT,
    SIGMOID_TAILS,
    UNIT,
    head,
    in_half_precision,
    node,
    plain_logits,
    tailed,
)


@pytest.mark.parametrize(
    ("tail", "dims"),
    [
        ([node("Identity", "z", "scores")], ("n", 4, 1, 1)),
        ([node("Identity", "z", "scores")], None),
        ([node("Identity", "z", "scores")], ("n", "k", "h", "w")),
        ([node("Transpose", "z", "scores", perm=[0, 2, 3, 1])], ("n", 1, 1, 4)),
        ([node("Softmax", "z", "scores", axis=1)], ("n", 4, 1, 1)),
        ([node("Softmax", "z", "s", axis=1), node("Flatten", "s", "scores")], ("n", 4)),
    ],
    ids=["4 sides", "unknown", "open", "last", "softmax", "flattened softmax"],
)
def test_sides_of_one_are_dropped(tmp_path: Path, tail: list, dims: tuple | None) -> None:
    classifier = load_classifier(head(tmp_path / "m.onnx", *tail, output=dims), UNIT).check()
    images = images_of((8, 8), 2)
    assert classifier.n_classes == 4
    expected = plain_logits(tmp_path, images)
    np.testing.assert_allclose(classifier.logits(images), expected, rtol=1e-5, atol=1e-5)
    layers, _ = layer_activations(classifier, images)
    assert [layer.name for layer in layers] == ["conv", "pool"]
    probe = AttentionProbe(classifier)
    np.testing.assert_allclose(probe.features(images)[0], expected, rtol=1e-5, atol=1e-5)


def test_a_batch_of_one_without_its_side(tmp_path: Path) -> None:
    sides = {"sides": np.array([4])}
    path = head(
        tmp_path / "m.onnx", node("Reshape", "z", "sides", "l"), node("Softmax", "l", "scores"),
        constants=sides, dims=(1, 3, 8, 8), output=(4,),
    )  # fmt: skip
    images = images_of((8, 8), 3)
    found = load_classifier(path, UNIT).check().logits(images)
    np.testing.assert_allclose(found, plain_logits(tmp_path, images), rtol=1e-5, atol=1e-5)


def test_a_sigmoid_without_any_side(tmp_path: Path) -> None:
    path = head(
        tmp_path / "m.onnx", node("Sigmoid", "z", "s"), node("Squeeze", "s", "scores"),
        classes=1, dims=(1, 3, 8, 8), output=(),
    )  # fmt: skip
    images = images_of((8, 8), 3)
    found = load_classifier(path, UNIT).check().logits(images)[:, 1:]
    np.testing.assert_allclose(found, single_logit(tmp_path, images), rtol=1e-5)


def test_scores_of_every_pixel_are_refused(tmp_path: Path) -> None:
    for dims in (("n", 5, 6, 6), None, ("n", "k", "h", "w")):
        path = save_graph(
            tmp_path / "m.onnx", [node("Conv", "image", "w", "scores")],
            {"w": np.ones((5, 3, 3, 3), np.float32)}, ("n", 3, 8, 8), dims,
        )  # fmt: skip
        with refused(
            f"{path}: expected one row of class scores per image as output, such as 1×1000, "
            "but 'scores' has shape n×5×6×6"
        ):
            load_classifier(path, UNIT)


SOFTMAX_TAILS = {
    "behind moves": [
        node("Flatten", "z", "l"), node("Softmax", "l", "s", axis=1),
        node("Unsqueeze", "s", "axis", "u"), node("Transpose", "u", "t", perm=[1, 0, 2]),
        node("Squeeze", "t", "zero", "q"), node("Cast", "q", "f", to=TensorProto.FLOAT),
        node("Identity", "f", "scores"),
    ],
    "log": [FLAT, node("Softmax", "scores", "s", axis=-1), node("Log", "s", "out")],
    "log of clipped": [
        FLAT, node("Softmax", "scores", "s", axis=-1), node("Clip", "s", "tiny", "", "k"),
        node("Log", "k", "out"),
    ],
    "log-softmax": [FLAT, node("LogSoftmax", "scores", "out", axis=1)],
    "exp of log-softmax": [
        FLAT, node("LogSoftmax", "scores", "l", axis=1), node("Exp", "l", "out"),
    ],
    "written out": [
        FLAT, node("ReduceMax", "scores", "m", axes=[1], keepdims=1),
        node("Sub", "scores", "m", "d"), node("Exp", "d", "e"),
        node("ReduceSum", "e", "axis1", "t", keepdims=1), node("Div", "e", "t", "out"),
    ],
    "written out, not shifted": [
        FLAT, node("Exp", "scores", "e"), node("ReduceSum", "e", "axis1", "t", keepdims=1),
        node("Div", "e", "t", "out"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("tail", SOFTMAX_TAILS)
def test_softmax_near_the_end_is_left_out(tmp_path: Path, tail: str) -> None:
    path = tailed(tmp_path / "m.onnx", SOFTMAX_TAILS[tail])
    classifier = load_classifier(path, UNIT).check()
    images = images_of((8, 8), 2)
    expected = plain_logits(tmp_path, images)
    np.testing.assert_allclose(classifier.logits(images), expected, rtol=1e-5, atol=1e-5)
    assert (classifier.spec.score_type, classifier.notes) == ("probabilities", [])
    assert classifier.sources["score_type"] == "graph"


def test_a_softmax_over_something_else_stays(tmp_path: Path) -> None:
    """Over an axis of size 1, it gives ones for all classes, whatever the image."""
    path = head(
        tmp_path / "m.onnx", node("Softmax", "z", "scores", axis=3), output=("n", 4, 1, 1)
    )  # fmt: skip
    classifier = load_classifier(path, UNIT).check()
    np.testing.assert_array_equal(classifier.probabilities(images_of((8, 8), 2)), np.ones((2, 4)))
    assert any("gives the same scores for two quite" in note for note in classifier.notes)


def averaged(path: Path) -> Path:
    """A network whose output is the mean of two softmaxes, as in an ensemble."""
    half = {"half": np.array(0.5, np.float32)}
    return head(
        path, node("Flatten", "z", "l"), node("Softmax", "l", "s", axis=1),
        node("Mul", "l", "half", "m"), node("Softmax", "m", "t", axis=1),
        node("Add", "s", "t", "u"), node("Mul", "u", "half", "scores"), constants=half,
    )  # fmt: skip


def test_probabilities_are_told_by_their_behaviour(tmp_path: Path) -> None:
    path = averaged(tmp_path / "m.onnx")
    images = images_of((8, 8), 2)
    logits = plain_logits(tmp_path, images)
    expected = (softmax(logits) + softmax(logits / 2)) / 2
    classifier = load_classifier(path, UNIT).check()
    np.testing.assert_allclose(classifier.probabilities(images), expected, rtol=1e-4)
    np.testing.assert_allclose(classifier.logits(images), np.log(expected), rtol=1e-4)
    assert classifier.spec.score_type == "probabilities"
    assert classifier.sources["score_type"] == "outputs"
    assert classifier.notes == [
        "m.onnx: its outputs are probabilities, though its graph ends in no softmax that could be "
        "left out; the logits are their logarithms"
    ]
    said = load_classifier(path, InputOptions("unit", score_type="logits")).check()
    np.testing.assert_allclose(said.logits(images), expected, rtol=1e-4)


@pytest.mark.parametrize("tail", SIGMOID_TAILS)
def test_one_sigmoid_is_two_classes(tmp_path: Path, tail: str) -> None:
    path = tailed(tmp_path / "m.onnx", SIGMOID_TAILS[tail], classes=1, output=("n", 1))
    images = images_of((8, 8), 3)
    (z,) = single_logit(tmp_path, images).T
    classifier = load_classifier(path, UNIT).check()
    p = sigmoid(z)
    np.testing.assert_allclose(
        classifier.probabilities(images), np.stack([1 - p, p], axis=1), rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(classifier.logits(images), np.stack([0 * z, z], axis=1), rtol=1e-4)
    assert classifier.spec.score_type == "sigmoids"
    assert AttentionProbe(classifier).weights.shape == (2, 5)
    AttentionProbe(classifier).features(images)
    assert [layer.name for layer in layer_activations(classifier, images)[0]] == ["conv", "pool"]


def single_logit(tmp_path: Path, images: list[np.ndarray]) -> np.ndarray:
    path = head(tmp_path / "plain.onnx", FLAT, classes=1, output=("n", 1))
    return load_classifier(path, InputOptions("unit", score_type="logits")).logits(images)[:, 1:]


def test_a_sigmoid_for_each_image_without_a_side(tmp_path: Path) -> None:
    tail = [node("Sigmoid", "z", "s"), node("Squeeze", "s", "sides", "scores")]
    sides = {"sides": np.array([1, 2, 3])}
    path = head(tmp_path / "m.onnx", *tail, classes=1, output=("n",), constants=sides)
    images = images_of((8, 8), 3)
    found = load_classifier(path, UNIT).check().logits(images)[:, 1:]
    np.testing.assert_allclose(found, single_logit(tmp_path, images), rtol=1e-5)


@pytest.mark.parametrize(
    "tail",
    [[FLAT], [FLAT, node("Relu", "scores", "out")], [FLAT, node("Softmax", "scores", "out")]],
    ids=["linear", "relu", "softmax of one"],
)
def test_one_output_that_is_no_sigmoid(tmp_path: Path, tail: list) -> None:
    path = tailed(tmp_path / "m.onnx", tail, classes=1, output=("n", 1))
    with refused(
        f"{path}: has a single output that is no sigmoid; expected a score for each class, or one "
        "sigmoid for two classes; if it is the logit or the probability of the second of two "
        "classes, say so: --score-type logits, or sigmoids"
    ):
        load_classifier(path, UNIT)


def test_several_sigmoids_keep_their_own_numbers(tmp_path: Path) -> None:
    path = tailed(tmp_path / "m.onnx", SIGMOID_TAILS["plain"])
    images = images_of((8, 8), 2)
    logits = plain_logits(tmp_path, images)
    classifier = load_classifier(path, UNIT).check()
    np.testing.assert_allclose(classifier.logits(images), logits, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(classifier.probabilities(images), sigmoid(logits), rtol=1e-5)
    assert classifier.notes == [
        "m.onnx: each output is a sigmoid of its own; their probabilities do not add up to 1, and "
        "the prediction is the largest"
    ]
    with refused(f"{path}: its graph ends in a sigmoid, but its score-type is probabilities"):
        load_classifier(path, InputOptions("unit", score_type="probabilities"))


def test_sigmoids_that_are_said_to_be_some(tmp_path: Path) -> None:
    """Outputs in [0, 1] may come from any operator; logits are computed from them."""
    tail = [FLAT, node("HardSigmoid", "scores", "out")]
    path = tailed(tmp_path / "m.onnx", tail)
    images = images_of((8, 8), 2)
    expected = np.clip(0.2 * plain_logits(tmp_path, images) + 0.5, 0, 1)
    said = load_classifier(path, InputOptions("unit", score_type="sigmoids"))
    np.testing.assert_allclose(said.probabilities(images), expected, rtol=1e-4, atol=1e-6)


def with_features(path: Path) -> Path:
    """A network that outputs an argmax, its scores and features, with extra nodes for them."""
    tail = [
        FLAT, node("ArgMax", "scores", "best", axis=1), node("Det", "image", "features"),
    ]  # fmt: skip
    model = onnx.load(head(path, *tail))
    best = helper.make_tensor_value_info("best", TensorProto.INT64, None)
    features = helper.make_tensor_value_info("features", TensorProto.FLOAT, ("n", 3))
    model.graph.output.insert(0, best)
    model.graph.output.append(features)
    path.write_bytes(model.SerializeToString())
    return path


def test_several_outputs(run_cli: Callable[..., Result], tmp_path: Path) -> None:
    path, tagged = with_features(tmp_path / "m.onnx"), tmp_path / "tagged.onnx"
    outputs = "best (unknown shape), scores (n×4), features (n×3)"
    with refused(
        f"{path}: has 3 outputs: {outputs}; choose the one with the class scores by --scores scores"
    ):
        load_classifier(path, UNIT)
    with refused(
        f"{path}: expected class scores in floats as output, but 'best' is int64; choose the one "
        "with the class scores by --scores scores"
    ):
        load_classifier(path, InputOptions("unit", scores="best"))
    result = run_cli("model", "tag", path, "-o", tagged, "--preset", "unit", "--scores", "scores")
    assert result.exit_code == 0, result.stderr
    classifier = load_classifier(tagged)
    assert [n.op_type for n in classifier.graph.graph.node][-1] == "Flatten", "no Det, no ArgMax"
    images = images_of((8, 8), 2)
    np.testing.assert_array_equal(classifier.logits(images), plain_logits(tmp_path, images))
    shown = json.loads(run_cli("model", "show", tagged, "--json").stdout)
    assert shown["graph"]["output"] == outputs
    assert shown["input"]["scores"] == {"value": "scores", "source": "metadata"}


@pytest.mark.parametrize("edges", [True, False])
@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.BFLOAT16])
def test_half_precision_is_computed_in_float32(tmp_path: Path, kind: int, edges: bool) -> None:
    path = in_half_precision(head(tmp_path / "m.onnx", FLAT), kind, edges=edges)
    images = images_of((8, 8), 2)
    classifier = load_classifier(path, UNIT).check()
    rounding = 1e-2 if kind == TensorProto.FLOAT16 else 1e-1
    expected = plain_logits(tmp_path, images)
    np.testing.assert_allclose(classifier.logits(images), expected, atol=rounding)
    assert classifier.notes == [
        "m.onnx: has numbers of half precision, which are computed in float32"
    ]
    stored = numpy_helper.to_array(onnx.load(path).graph.initializer[0]).astype(np.float32)
    used = {t.name: t for t in classifier.graph.graph.initializer}["w"]
    np.testing.assert_array_equal(numpy_helper.to_array(used), stored)


def test_grey_input_is_the_luma(tmp_path: Path) -> None:
    from PIL import Image

    path = head(tmp_path / "m.onnx", FLAT, dims=("n", 1, 8, 8))
    classifier = load_classifier(path, InputOptions(mean=(0.1,) * 3, std=(0.3,) * 3)).check()
    assert (classifier.spec.channels, classifier.sources["channels"]) == ("grey", "graph")
    (image,) = images_of((8, 8), 1)
    x = classifier.prepare([image])
    grey = np.asarray(Image.fromarray(image).convert("L"), np.float32)
    assert x.shape == (1, 1, 8, 8)
    np.testing.assert_allclose(x[0, 0] * 0.3 + 0.1, grey / 255, atol=1 / 255)
    with refused(f"{path}: takes grey input, but --channels says rgb"):
        load_classifier(path, InputOptions("unit", channels="rgb"))
    message = "mean, std: expected one number each for a grey image, got "
    with refused(f"{message}[0.485, 0.456, 0.406] and [0.229, 0.224, 0.225]"):
        load_classifier(path, InputOptions("imagenet-torch"))
    path = head(tmp_path / "rgb.onnx", FLAT)
    with refused(f"{path}: takes images of 3 channels, but --channels says grey"):
        load_classifier(path, InputOptions("unit", channels="grey"))


def test_grey_networks_are_diagnosed_too(tmp_path: Path) -> None:
    """Preprocessing that only suits colour images is left out."""
    path = head(tmp_path / "m.onnx", FLAT, dims=("n", 1, 8, 8))
    spec = load_classifier(path, UNIT).spec
    names = [name for name, _ in other_specs(spec)]
    assert "preset inception-v3" in names
    assert not any("imagenet-torch" in name or "order" in name for name in names)


def test_commands_say_what_the_scores_are(run_cli: Callable[..., Result], tmp_path: Path) -> None:
    path = tailed(tmp_path / "m.onnx", SIGMOID_TAILS["plain"], classes=1, output=("n", 1))
    (tmp_path / "a.png").write_bytes(encode_png(images_of((8, 8), 1)[0]))
    result = run_cli("classify", tmp_path / "a.png", "--model", path, "--preset", "unit")
    note = "m.onnx: its one output p means two classes with probabilities 1 − p and p"
    assert result.stderr.splitlines()[0] == note


def test_conv_net_of_a_large_fixed_batch(tmp_path: Path) -> None:
    images = images_of((12, 10), 2)
    expected = load_classifier(ConvNet().save(tmp_path / "open.onnx"), UNIT).logits(images)
    for batch in (5, 8193, 10**7):
        path = ConvNet(batch=batch, head="Conv").save(tmp_path / "m.onnx")
        classifier = load_classifier(path, UNIT).check()
        assert classifier.batch is None
        np.testing.assert_allclose(classifier.logits(images), expected, rtol=1e-5, atol=1e-5)
