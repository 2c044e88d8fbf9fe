"""What a logit is: softmaxes and sigmoids over each other, scaled, normalised, or only alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from rsparse.errors import InputError
from rsparse.models.onnx.classifier import Classifier, load_classifier, sigmoid, softmax
from rsparse.models.spec import InputOptions
from tests.onnx_models import images_of, save_graph
from tests.refusals import refused
from tests.score_graphs import UNIT, node

SIZE = (4, 4)
CONSTANTS = {
    "axis": np.array([1]), "zero": np.float32(0), "one": np.float32(1), "half": np.float32(0.5),
    "three": np.float32(3), "six": np.float32(6), "ten": np.float32(10), "tiny": np.float32(1e-6),
    "hundred": np.float32([100]), "minus": np.float32(-2), "places": np.array([2, 0, 1]),
    "each": np.float32([1, 2, 3]), "minus five": np.float32(-5),
}  # fmt: skip


def network(path: Path, *tail: onnx.NodeProto, classes: int = 3, spread: float = 1.0) -> Path:
    """Logits ``z`` (n, classes), sums of pixels, and nodes that make ``scores`` of them."""
    rng = np.random.default_rng(0)
    weights = (spread * rng.standard_normal((48, classes))).astype(np.float32)
    nodes = [node("Flatten", "image", "flat"), node("MatMul", "flat", "w", "z"), *tail]
    used = {name for each in tail for name in each.input}
    constants = {name: value for name, value in CONSTANTS.items() if name in used}
    return save_graph(path, nodes, {"w": weights, **constants}, ("n", 3, *SIZE), None)


def opened(path: Path) -> tuple[Classifier, NDArray[np.float32]]:
    """A checked classifier, and its logits for two images."""
    classifier = load_classifier(path, UNIT).check()
    return classifier, classifier.logits(images_of(SIZE, 2))


def plain(tmp_path: Path, classes: int = 3) -> NDArray[np.float32]:
    path = network(tmp_path / "plain.onnx", node("Identity", "z", "scores"), classes=classes)
    options = InputOptions("unit", score_type="logits")
    return load_classifier(path, options).logits(images_of(SIZE, 2))[:, -classes:]


SOFTMAX = node("Softmax", "z", "p", axis=1)
SUM = [node("ReduceSum", "p", "axis", "t", keepdims=1), node("Div", "p", "t", "scores")]
NORM = [
    node("ReduceL2", "p", "t", axes=[1], keepdims=1), node("Clip", "t", "tiny", "", "k"),
    node("Shape", "p", "sides"), node("Expand", "k", "sides", "e"), node("Div", "p", "e", "scores"),
]  # fmt: skip
OVER = "its graph has a {} over the probabilities of a {}; both are left out"
CHANGED = "what changes its {} afterwards is left out as well: {}"

UNWRAPPED = {
    "softmax, softmax": ([SOFTMAX, node("Softmax", "p", "scores")], OVER.format(*["softmax"] * 2)),
    "softmax, log-softmax": (
        [SOFTMAX, node("LogSoftmax", "p", "scores")], OVER.format(*["softmax"] * 2)
    ),
    "three softmaxes": (
        [SOFTMAX, node("Softmax", "p", "q"), node("Softmax", "q", "scores")],
        OVER.format(*["softmax"] * 2),
    ),
    "softmax, scaled, softmax": (
        [SOFTMAX, node("Mul", "p", "ten", "s"), node("Softmax", "s", "scores")],
        OVER.format(*["softmax"] * 2),
    ),
    "log-softmax, exp, softmax": (
        [node("LogSoftmax", "z", "l"), node("Exp", "l", "p"), node("Softmax", "p", "scores")],
        OVER.format(*["softmax"] * 2),
    ),
    "log-softmax, softmax": ([node("LogSoftmax", "z", "l"), node("Softmax", "l", "scores")], None),
    "softmax, log, log-softmax": (
        [SOFTMAX, node("Clip", "p", "tiny", "", "c"), node("Log", "c", "l"),
         node("LogSoftmax", "l", "scores")],
        None,
    ),
    "per cent": (
        [SOFTMAX, node("Mul", "p", "hundred", "scores")], CHANGED.format("softmax", "Mul")
    ),
    "from -1 to 1": (
        [SOFTMAX, node("Sub", "p", "half", "s"), node("Div", "s", "half", "scores")],
        CHANGED.format("softmax", "Sub, Div"),
    ),
    "added before a logarithm": (
        [SOFTMAX, node("Add", "p", "tiny", "s"), node("Log", "s", "scores")], None
    ),
    "sharpened": ([SOFTMAX, node("Pow", "p", "half", "scores")], CHANGED.format("softmax", "Pow")),
    "divided by its sum": ([SOFTMAX, *SUM], CHANGED.format("softmax", "Div")),
    "divided by its norm": ([SOFTMAX, *NORM], CHANGED.format("softmax", "Div")),
    "LpNormalization": (
        [SOFTMAX, node("LpNormalization", "p", "scores", axis=1, p=1)],
        CHANGED.format("softmax", "LpNormalization"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", UNWRAPPED)
def test_what_keeps_the_order_of_a_softmax_is_left_out(tmp_path: Path, case: str) -> None:
    tail, note = UNWRAPPED[case]
    classifier, logits = opened(network(tmp_path / "m.onnx", *tail))
    np.testing.assert_allclose(logits, plain(tmp_path), rtol=1e-5, atol=1e-5)
    assert classifier.spec.score_type == "probabilities"
    text = "\n".join(classifier.notes)
    assert text.startswith(f"m.onnx: {note}") if note else text == ""


def test_classes_in_another_order_are_followed(tmp_path: Path) -> None:
    tail = [SOFTMAX, node("Gather", "p", "places", "scores", axis=1)]
    classifier, logits = opened(network(tmp_path / "m.onnx", *tail))
    np.testing.assert_allclose(logits, plain(tmp_path)[:, [2, 0, 1]], rtol=1e-5)
    assert classifier.notes == []


KEPT = {
    "temperature": (
        [node("Div", "z", "ten", "t"), node("Softmax", "t", "scores")], lambda z: softmax(z / 10)
    ),
    "temperature of logarithms": (
        [node("LogSoftmax", "z", "l"), node("Div", "l", "ten", "t"),
         node("Softmax", "t", "scores")],
        lambda z: softmax(z / 10),
    ),
    "normalised sigmoids": (
        [node("Sigmoid", "z", "p"), *SUM],
        lambda z: sigmoid(z) / sigmoid(z).sum(1, keepdims=True),
    ),
    "softmax of log-sigmoids": (
        [node("Sigmoid", "z", "p"), node("Log", "p", "l"), node("Softmax", "l", "scores")],
        lambda z: sigmoid(z) / sigmoid(z).sum(1, keepdims=True),
    ),
    "each by another constant": (
        [SOFTMAX, node("Mul", "p", "each", "m"), node("ReduceSum", "m", "axis", "t", keepdims=1),
         node("Div", "m", "t", "scores")],
        lambda z: softmax(z) * [1, 2, 3] / (softmax(z) * [1, 2, 3]).sum(1, keepdims=True),
    ),
    "a share of a hundred": (
        [node("Sigmoid", "z", "p"), node("ReduceSum", "p", "axis", "t", keepdims=1),
         node("Div", "p", "t", "q"), node("Mul", "q", "hundred", "scores")],
        lambda z: sigmoid(z) / sigmoid(z).sum(1, keepdims=True),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", KEPT)
def test_probabilities_are_those_of_the_file(tmp_path: Path, case: str) -> None:
    tail, expected = KEPT[case]
    classifier, logits = opened(network(tmp_path / "m.onnx", *tail))
    found = classifier.probabilities_of(logits)
    np.testing.assert_allclose(found, expected(plain(tmp_path)), rtol=1e-3, atol=1e-6)
    assert not any("taken for logits" in note for note in classifier.notes)


ALIKE = {
    "hard sigmoid": ([node("HardSigmoid", "z", "scores", alpha=0.1)], lambda z: 0.1 * z + 0.5),
    "clip": (
        [node("Div", "z", "ten", "t"), node("Clip", "t", "zero", "one", "scores")],
        lambda z: z / 10,
    ),
    "hard sigmoid, written out": (
        [node("Add", "z", "three", "a"), node("Clip", "a", "zero", "six", "c"),
         node("Div", "c", "six", "scores")],
        lambda z: (z + 3) / 6,
    ),
    "tanh": (
        [node("Tanh", "z", "t"), node("Add", "t", "one", "a"), node("Mul", "a", "half", "scores")],
        lambda z: (np.tanh(z) + 1) / 2,
    ),
    "mean of two sigmoids": (
        [node("Sigmoid", "z", "p"), node("Div", "z", "ten", "t"), node("Sigmoid", "t", "q"),
         node("Mean", "p", "q", "scores")],
        lambda z: (sigmoid(z) + sigmoid(z / 10)) / 2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ALIKE)
def test_outputs_that_stay_between_0_and_1_are_probabilities_of_each_class(
    tmp_path: Path, case: str
) -> None:
    tail, expected = ALIKE[case]
    classifier, logits = opened(network(tmp_path / "m.onnx", *tail))
    found = classifier.probabilities_of(logits)
    wanted = np.clip(expected(plain(tmp_path)), 0, 1)
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-5)
    assert classifier.spec.score_type == "sigmoids"
    (note,) = classifier.notes
    assert note.startswith("m.onnx: its outputs are probabilities of each class by itself")


def test_one_output_between_0_and_1_is_two_classes(tmp_path: Path) -> None:
    tail = [node("HardSigmoid", "z", "scores", alpha=0.1)]
    classifier, logits = opened(network(tmp_path / "m.onnx", *tail, classes=1))
    p = np.clip(0.1 * plain(tmp_path, classes=1)[:, 0] + 0.5, 0, 1)
    found = classifier.probabilities_of(logits)
    np.testing.assert_allclose(found, np.stack([1 - p, p], 1), rtol=1e-3, atol=1e-5)


def test_a_sigmoid_of_one_sigmoid_keeps_its_threshold(tmp_path: Path) -> None:
    tail = [node("Sigmoid", "z", "p"), node("Sigmoid", "p", "scores")]
    classifier, logits = opened(network(tmp_path / "m.onnx", *tail, classes=1))
    p = sigmoid(plain(tmp_path, classes=1))
    np.testing.assert_allclose(logits[:, 1:], p, rtol=1e-5)
    assert any("what enters its sigmoid is from 0 to 1" in note for note in classifier.notes)


DOUBTFUL = {
    "softmax of averaged softmaxes": (
        [SOFTMAX, node("Mul", "z", "half", "h"), node("Softmax", "h", "q"),
         node("Mean", "p", "q", "m"), node("Softmax", "m", "scores")],
        "what enters its softmax is from 0 to 1 for two quite different images",
    ),
    "small outputs": (
        [node("Abs", "z", "a"), node("Div", "a", "hundred", "scores")],
        "its outputs for two quite different images are from 0 to 1, as probabilities of each",
    ),
    "no image, softmax": (
        [node("Mul", "z", "zero", "n"), node("Softmax", "n", "scores")],
        "gives the same scores for two quite different images",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", DOUBTFUL)
def test_numbers_that_look_like_no_logits_are_told(tmp_path: Path, case: str) -> None:
    tail, note = DOUBTFUL[case]
    classifier, _ = opened(network(tmp_path / "m.onnx", *tail))
    (told,) = classifier.notes
    assert told.startswith(f"m.onnx: {note}")


def test_logits_cause_no_doubt(tmp_path: Path) -> None:
    for tail in ([node("Identity", "z", "scores")], [node("Softmax", "z", "scores")]):
        assert opened(network(tmp_path / "m.onnx", *tail))[0].notes == []


def test_a_constant_below_0_turns_the_order_round(tmp_path: Path) -> None:
    tail = [SOFTMAX, node("Mul", "p", "minus", "scores")]
    _, logits = opened(network(tmp_path / "m.onnx", *tail))
    np.testing.assert_allclose(logits, -2 * softmax(plain(tmp_path)), rtol=1e-5, atol=1e-6)


def test_the_best_class_alone_is_refused(tmp_path: Path) -> None:
    tail = [
        node("ArgMax", "z", "best", axis=1, keepdims=0), node("Cast", "best", "scores", to=1),
    ]  # fmt: skip
    path = network(tmp_path / "m.onnx", *tail)
    with refused(
        f"{path}: its output is the index of the best class (ArgMax), not a score for each class; "
        "export it without ArgMax"
    ):
        load_classifier(path, UNIT)


def test_random_operators_are_told(tmp_path: Path) -> None:
    tail = [node("RandomNormalLike", "z", "noise"), node("Add", "z", "noise", "scores")]
    classifier, _ = opened(network(tmp_path / "m.onnx", *tail))
    assert classifier.notes == [
        "m.onnx: its RandomNormalLike 'noise' draws random numbers, so that its scores, and all "
        "results, differ from call to call; export it in evaluation mode, or without that operator"
    ]


@pytest.mark.parametrize(("mode", "is_told"), [(True, True), (False, False)])
def test_dropout_in_training_mode_is_told(tmp_path: Path, mode: bool, is_told: bool) -> None:
    tail = [node("Dropout", "z", "half", "mode", "d"), node("Softmax", "d", "scores")]
    path = network(tmp_path / "m.onnx", *tail)
    model = onnx.load(path)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(mode), "mode"))
    path.write_bytes(model.SerializeToString())
    notes = opened(path)[0].notes
    assert any(note.startswith("m.onnx: its Dropout 'd' draws random") for note in notes) == is_told


def test_what_the_sum_of_outputs_is_divided_by_is_told(tmp_path: Path) -> None:
    tail, _ = KEPT["a share of a hundred"]
    notes = opened(network(tmp_path / "m.onnx", *tail))[0].notes
    assert notes[1:] == [
        "m.onnx: its outputs add up to 100 for every image, and are divided by that"
    ]


def test_the_largest_probability_alone_is_no_class(tmp_path: Path) -> None:
    tail = [SOFTMAX, node("ReduceMax", "p", "scores", axes=[1], keepdims=0)]
    with pytest.raises(InputError, match="has a single output that is no sigmoid"):
        load_classifier(network(tmp_path / "m.onnx", *tail), UNIT)


def test_one_sigmoid_of_a_small_number_causes_no_doubt(tmp_path: Path) -> None:
    tail = [node("Abs", "z", "a"), node("Div", "a", "hundred", "t"), node("Sigmoid", "t", "scores")]
    (note,) = opened(network(tmp_path / "m.onnx", *tail, classes=1))[0].notes
    assert note == "m.onnx: its one output p means two classes with probabilities 1 − p and p"
