"""Operators in torch: same results as onnxruntime in every version; the standard's test cases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, defs, helper, numpy_helper

from tests.refusals import refused

torch = pytest.importorskip("torch")

from rsparse.models.torch.conversion import convert  # noqa: E402
from rsparse.models.torch.operators import OPERATORS  # noqa: E402

NEWEST = defs.onnx_opset_version()
IMAGE = np.random.default_rng(0).normal(size=(2, 4, 6, 5)).astype(np.float32)
FOUR = np.array([1.5, -0.5, 2, 0.25], np.float32)


def model_of(
    op: str, inputs: dict[str, Any], attributes: dict[str, Any], opset: int, outputs: int = 1
) -> onnx.ModelProto:
    """A model with one node on the image ``x``; its other inputs are stored."""
    stored = {name: value for name, value in inputs.items() if isinstance(value, np.ndarray)}
    names = ["x", *("" if value is None else name for name, value in inputs.items())]
    made = [f"y{number}" for number in range(outputs)]
    graph = helper.make_graph(
        [helper.make_node(op, names, made, name="node", **attributes)],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *IMAGE.shape[1:]])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in made],
        [numpy_helper.from_array(value, name) for name, value in stored.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 10
    return model


def by_onnxruntime(model: onnx.ModelProto, x: np.ndarray) -> list[np.ndarray]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return session.run(None, {"x": x})


def integers(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def floats(*numbers: float) -> np.ndarray:
    return np.array(numbers, np.float32)


def one(number: float) -> np.ndarray:
    return np.array(number, np.float32)


FORMS: dict[str, list[tuple[int, int, str, dict[str, Any], dict[str, Any]]]] = {
    # first and last opset of a form: operator, inputs after the image, attributes
    "reduce": [
        (7, 17, "ReduceMean", {}, {"axes": [2, -1], "keepdims": 0}),
        (18, 99, "ReduceMean", {"a": integers(2, -1)}, {"keepdims": 0}),
    ],
    "reduce-all": [(7, 99, "ReduceL2", {}, {})],
    "sum": [
        (7, 12, "ReduceSum", {}, {"axes": [1]}),
        (13, 99, "ReduceSum", {"a": integers(1)}, {}),
    ],
    "reduce-none": [
        (13, 99, "ReduceSum", {"a": integers()}, {"noop_with_empty_axes": 1}),
        (18, 99, "ReduceMax", {}, {"noop_with_empty_axes": 1}),
    ],
    "maximum": [
        (7, 17, "ReduceMax", {}, {"axes": [1, 3]}),
        (18, 99, "ReduceMax", {"a": integers(3, 1)}, {}),
    ],
    "softmax": [(7, 99, "Softmax", {}, {"axis": 2})],
    "softmax-default": [(7, 99, "Softmax", {}, {})],
    "log-softmax": [(7, 99, "LogSoftmax", {}, {"axis": -3})],
    "slice": [
        (7, 9, "Slice", {}, {"starts": [1, -3], "ends": [99, -1], "axes": [1, 2]}),
        (10, 99, "Slice", {"s": integers(1, -3), "e": integers(99, -1), "a": integers(1, 2)}, {}),
    ],
    "slice-back": [
        (10, 99, "Slice",
         {"s": integers(-1, 4), "e": integers(-(2**63), 0), "a": integers(3, 2),
          "t": integers(-1, -2)}, {}),
    ],
    "pad": [
        (7, 10, "Pad", {}, {"pads": [0, 0, 1, 2, 0, 0, 3, 0], "value": 0.5}),
        (11, 99, "Pad", {"p": integers(0, 0, 1, 2, 0, 0, 3, 0), "v": one(0.5)}, {}),
        (18, 99, "Pad", {"p": integers(1, 2, 3, 0), "v": None, "a": integers(-2, 3)}, {}),
    ],
    "pad-reflect": [
        (7, 10, "Pad", {}, {"pads": [0, 1, 2, 3, 0, 2, 1, 0], "mode": "reflect"}),
        (11, 99, "Pad", {"p": integers(0, 1, 2, 3, 0, 2, 1, 0)}, {"mode": "reflect"}),
    ],
    "pad-edge": [(11, 99, "Pad", {"p": integers(0, 1, 2, 3, 0, 2, 1, -1)}, {"mode": "edge"})],
    "pad-wrap": [(19, 99, "Pad", {"p": integers(0, 1, 2, 3, 0, 2, 1, 0)}, {"mode": "wrap"})],
    "split": [
        (7, 12, "Split", {}, {"axis": 1, "split": [1, 3]}),
        (13, 99, "Split", {"s": integers(1, 3)}, {"axis": 1}),
    ],
    "split-equal": [
        (7, 17, "Split", {}, {"axis": 1}),
        (18, 99, "Split", {}, {"axis": 1, "num_outputs": 2}),
    ],
    "split-unequal": [(18, 99, "Split", {}, {"axis": 3, "num_outputs": 2})],
    "unsqueeze": [
        (7, 12, "Unsqueeze", {}, {"axes": [0, 3]}),
        (13, 99, "Unsqueeze", {"a": integers(-3, 0)}, {}),
    ],
    "clip": [
        (7, 10, "Clip", {}, {"min": -0.5, "max": 1.0}),
        (11, 99, "Clip", {"a": one(-0.5), "b": one(1)}, {}),
        (11, 99, "Clip", {"a": None, "b": one(0.25)}, {}),
    ],
    "clip-half": [(7, 10, "Clip", {}, {"min": 0.0}), (11, 99, "Clip", {"a": one(0)}, {})],
    "dropout": [
        (7, 11, "Dropout", {}, {"ratio": 0.25}),
        (12, 99, "Dropout", {"r": one(0.25)}, {"seed": 3}),
    ],
    "batch-norm": [
        (7, 99, "BatchNormalization",
         {"s": FOUR, "b": FOUR + 1, "m": FOUR - 1, "v": np.abs(FOUR)}, {"epsilon": 1e-3}),
    ],
    "batch-norm-training": [
        (14, 99, "BatchNormalization",
         {"s": FOUR, "b": FOUR + 1, "m": FOUR - 1, "v": np.abs(FOUR)}, {"training_mode": 1}),
    ],
    "instance-norm": [(7, 99, "InstanceNormalization", {"s": FOUR, "b": FOUR + 1}, {})],
    "layer-norm": [
        (17, 99, "LayerNormalization",
         {"s": IMAGE[0, 0], "b": IMAGE[1, 1]}, {"axis": 2, "epsilon": 1e-3}),
        (17, 99, "LayerNormalization", {"s": IMAGE[0, 0, 0]}, {}),
    ],
    "group-norm": [
        (18, 20, "GroupNormalization", {"s": FOUR[:2], "b": FOUR[2:]}, {"num_groups": 2}),
        (21, 99, "GroupNormalization", {"s": FOUR, "b": FOUR + 1}, {"num_groups": 2}),
    ],
    "rms-norm": [(23, 99, "RMSNormalization", {"s": IMAGE[0, 0, 0]}, {"axis": -1})],
    "lrn": [
        (7, 99, "LRN", {}, {"size": 3, "alpha": 0.5}),
        (7, 99, "LRN", {}, {"size": 5, "bias": 2.0}),
    ],
    "upsample": [
        (7, 8, "Upsample", {}, {"scales": [1.0, 1.0, 2.0, 2.0]}),
        (9, 9, "Upsample", {"s": floats(1, 1, 2, 2)}, {"mode": "nearest"}),
        (10, 10, "Resize", {"s": floats(1, 1, 2, 2)}, {"mode": "nearest"}),
    ],
    "upsample-linear": [
        (7, 8, "Upsample", {}, {"scales": [1.0, 1.0, 2.0, 3.0], "mode": "linear"}),
        (9, 9, "Upsample", {"s": floats(1, 1, 2, 3)}, {"mode": "linear"}),
        (10, 10, "Resize", {"s": floats(1, 1, 2, 3)}, {"mode": "linear"}),
    ],
    "resize": [
        (11, 12, "Resize", {"r": floats(), "s": floats(1, 1, 1.5, 2)}, {"mode": "linear"}),
        (13, 99, "Resize", {"r": None, "s": floats(1, 1, 1.5, 2)}, {"mode": "linear"}),
        (13, 99, "Resize", {"r": None, "s": None, "z": integers(2, 4, 9, 3)},
         {"mode": "linear", "coordinate_transformation_mode": "align_corners"}),
        (13, 99, "Resize", {"r": None, "s": None, "z": integers(2, 4, 9, 3)},
         {"mode": "cubic", "coordinate_transformation_mode": "pytorch_half_pixel",
          "cubic_coeff_a": -0.5}),
        (13, 99, "Resize", {"r": None, "s": None, "z": integers(2, 4, 9, 3)},
         {"mode": "nearest", "coordinate_transformation_mode": "asymmetric",
          "nearest_mode": "floor"}),
        (18, 99, "Resize", {"r": None, "s": None, "z": integers(3, 2)},
         {"mode": "linear", "axes": [2, 3], "antialias": 1}),
        (18, 99, "Resize", {"r": None, "s": None, "z": integers(3, 2)},
         {"mode": "cubic", "axes": [2, 3], "antialias": 1}),
        (18, 99, "Resize", {"r": None, "s": None, "z": integers(9, 9)},
         {"mode": "nearest", "axes": [2, 3], "keep_aspect_ratio_policy": "not_larger"}),
    ],
    "hard-swish": [(14, 99, "HardSwish", {}, {})],
    "hard-sigmoid": [(7, 99, "HardSigmoid", {}, {"alpha": 1 / 6})],
    "mish": [(18, 99, "Mish", {}, {})],
    "gelu": [(20, 99, "Gelu", {}, {}), (20, 99, "Gelu", {}, {"approximate": "tanh"})],
    "elu": [(7, 99, "Elu", {}, {"alpha": 0.5}), (7, 99, "Selu", {}, {"alpha": 1.5, "gamma": 2.0})],
    "celu": [(12, 99, "Celu", {}, {"alpha": 0.5})],
    "shrink": [(9, 99, "Shrink", {}, {"lambd": 0.5, "bias": 0.25})],
    "thresholded": [(10, 99, "ThresholdedRelu", {}, {"alpha": 0.5})],
    "prelu": [(7, 99, "PRelu", {"s": FOUR[:, None, None]}, {}), (7, 99, "LeakyRelu", {}, {})],
    "conv": [
        (7, 99, "Conv", {"w": IMAGE[:, :, :3, :2]}, {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
        (7, 99, "Conv", {"w": IMAGE[:, :, :3, :2]}, {"auto_pad": "SAME_LOWER", "strides": [1, 2]}),
        (7, 99, "Conv", {"w": IMAGE[:, :2, :2, :2], "b": FOUR[:2]},
         {"group": 2, "pads": [0, 1, 2, 0], "dilations": [2, 1], "kernel_shape": [2, 2]}),
    ],
    "conv-transpose": [
        (7, 99, "ConvTranspose", {"w": IMAGE.transpose(1, 0, 2, 3)[:, :, :3, :3], "b": FOUR[:2]},
         {"strides": [2, 3], "pads": [1, 0, 0, 2], "output_padding": [1, 0]}),
        (7, 99, "ConvTranspose", {"w": IMAGE.transpose(1, 0, 2, 3)[:, :, :3, :3]},
         {"strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    ],
    "average-pool": [
        (7, 99, "AveragePool", {}, {"kernel_shape": [3, 2], "pads": [1, 0, 0, 1]}),
        (7, 99, "AveragePool", {},
         {"kernel_shape": [3, 2], "pads": [1, 0, 2, 1], "count_include_pad": 1}),
        (7, 99, "AveragePool", {}, {"kernel_shape": [3, 3], "auto_pad": "SAME_LOWER"}),
        (10, 99, "AveragePool", {}, {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
        (19, 99, "AveragePool", {}, {"kernel_shape": [2, 2], "dilations": [2, 3]}),
    ],
    "max-pool": [
        (7, 99, "MaxPool", {}, {"kernel_shape": [3, 2], "pads": [1, 0, 2, 1], "strides": [2, 2]}),
        (10, 99, "MaxPool", {},
         {"kernel_shape": [2, 2], "strides": [3, 3], "dilations": [2, 1], "ceil_mode": 1}),
        (8, 99, "MaxPool", {}, {"kernel_shape": [3, 3], "storage_order": 1}),
    ],
    "lp-pool": [(7, 99, "LpPool", {}, {"kernel_shape": [3, 2], "strides": [2, 1], "p": 3})],
    "global": [
        (7, 99, "GlobalAveragePool", {}, {}),
        (7, 99, "GlobalMaxPool", {}, {}),
        (7, 21, "GlobalLpPool", {}, {"p": 2}),
    ],
    "norm": [(7, 99, "LpNormalization", {}, {"axis": 1})],
    "mean-variance": [(9, 99, "MeanVarianceNormalization", {}, {})],
    "flatten": [(7, 99, "Flatten", {}, {"axis": 2}), (11, 99, "Flatten", {}, {"axis": -1})],
    "reshape": [
        (7, 99, "Reshape", {"s": integers(0, -1, 5)}, {}),
        (14, 99, "Reshape", {"s": integers(2, 4, 30)}, {"allowzero": 1}),
    ],
    "expand": [(8, 99, "Expand", {"s": integers(3, 1, 1, 1, 5)}, {})],
    "tile": [(7, 99, "Tile", {"r": integers(1, 2, 1, 3)}, {})],
    "depth": [
        (7, 99, "DepthToSpace", {}, {"blocksize": 2}),
        (11, 99, "DepthToSpace", {}, {"blocksize": 2, "mode": "CRD"}),
    ],
    "space": [(7, 99, "SpaceToDepth", {}, {"blocksize": 1})],
    "cast": [(7, 99, "Cast", {}, {"to": TensorProto.FLOAT})],
    "gather": [
        (7, 99, "Gather", {"i": np.array(1)}, {"axis": 1}),
        (11, 99, "Gather", {"i": np.array([[0, -1], [2, 2]])}, {"axis": -2}),
    ],
    "trilu": [(14, 99, "Trilu", {"k": np.array(1)}, {"upper": 0})],
    "top": [
        (7, 9, "TopK", {}, {"axis": 2, "k": 3}),
        (10, 99, "TopK", {"k": integers(3)}, {"axis": 2}),
        (11, 99, "TopK", {"k": integers(2)}, {"axis": 1, "largest": 0}),
    ],
    "cumulative": [
        (11, 99, "CumSum", {"a": np.array(2)}, {"reverse": 1, "exclusive": 1}),
    ],
    "gemm-like": [(7, 99, "MatMul", {"w": IMAGE[0, 0, :5]}, {})],
    "einsum": [(12, 99, "Einsum", {"w": FOUR}, {"equation": "nchw,c->nhw"})],
}  # fmt: skip


def forms() -> Iterator[Any]:
    """Yield each form in the first and the last opset that has it."""
    for name, versions in FORMS.items():
        for first, last, op, inputs, attributes in versions:
            for opset in sorted({first, min(last, NEWEST)}):
                yield pytest.param(op, inputs, attributes, opset, id=f"{name}-{op}-{opset}")


@pytest.mark.parametrize(("op", "inputs", "attributes", "opset"), list(forms()))
def test_every_version(
    op: str, inputs: dict[str, Any], attributes: dict[str, Any], opset: int
) -> None:
    outputs = 2 if op == "Split" else 1
    model = model_of(op, inputs, attributes, opset, outputs)
    if op == "TopK":
        model.graph.node[0].output.append("indices")
    if "training_mode" in attributes:
        model.graph.node[0].output.extend(["mean", "variance"])
    found = convert(model)(torch.from_numpy(IMAGE))
    found = found if isinstance(found, tuple) else (found,)
    expected = by_onnxruntime(model, IMAGE)
    for one_found, one_expected in zip(found, expected, strict=True):
        np.testing.assert_allclose(one_found.numpy(), one_expected, rtol=1e-4, atol=1e-5)


def test_versions_without_a_form_of_their_own() -> None:
    """All other operators are the same in every version: only types were added."""
    covered = {op for versions in FORMS.values() for _, _, op, _, _ in versions}
    assert covered <= set(OPERATORS)


def test_sizes_are_computed_for_any_batch() -> None:
    """The tracing exporter writes ``x.reshape(len(x), -1)`` like this."""
    nodes = [
        helper.make_node("Shape", ["x"], ["sizes"]),
        helper.make_node("Gather", ["sizes", "zero"], ["n"], axis=0),
        helper.make_node("Unsqueeze", ["n", "axes"], ["row"]),
        helper.make_node("Concat", ["row", "rest"], ["shape"], axis=0),
        helper.make_node("Reshape", ["x", "shape"], ["y0"]),
    ]
    model = model_of("Relu", {}, {}, 18)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    stored = {"zero": np.array(0), "axes": integers(0), "rest": integers(-1)}
    model.graph.initializer.extend(numpy_helper.from_array(x, n) for n, x in stored.items())
    network = convert(model)
    for n in (1, 2):
        assert network(torch.from_numpy(IMAGE[:n])).shape == (n, IMAGE[0].size)


def test_functions_are_written_out() -> None:
    """Test a model function, and an operator that the standard defines in terms of others."""
    model = model_of("Twice", {}, {}, 18)
    model.graph.node[0].domain = "own"
    model.opset_import.append(helper.make_opsetid("own", 1))
    body = [
        helper.make_node("Add", ["a", "a"], ["b"]),
        helper.make_node("CenterCropPad", ["b", "s"], ["c"], axes=[2, 3]),
    ]
    constant = helper.make_node("Constant", [], ["s"], value_ints=[3, 7])
    model.functions.append(
        helper.make_function(
            "own", "Twice", ["a"], ["c"], [constant, *body], [helper.make_opsetid("", 18)]
        )
    )
    found = convert(model)(torch.from_numpy(IMAGE)).numpy()
    np.testing.assert_allclose(found, np.pad(2 * IMAGE[:, :, 1:4], [(0, 0)] * 3 + [(1, 1)]))


def test_definitions_of_the_standard_see_stored_inputs() -> None:
    """The definition of CenterCropPad depends on the types of its inputs."""
    model = model_of("CenterCropPad", {"s": integers(3, 7)}, {"axes": [2, 3]}, 18)
    found = convert(model)(torch.from_numpy(IMAGE)).numpy()
    np.testing.assert_allclose(found, np.pad(IMAGE[:, :, 1:4], [(0, 0)] * 3 + [(1, 1)]))


@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "opset", "message"),
    [
        ("Hardmax", {}, {}, 13, "the operator Hardmax (of ai.onnx 13) cannot be computed in torch"),
        (
            "MaxPool", {}, {"kernel_shape": [2, 2], "colour": 1}, 12,
            "the operator MaxPool 'node' (of ai.onnx 12): its attribute 'colour' is not supported",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said_in_words(op, inputs, attributes, opset, message) -> None:
    with refused(message):
        convert(model_of(op, inputs, attributes, opset))


@pytest.mark.parametrize("stride", [2, 3])
@pytest.mark.parametrize("channels", [1, 3, 4, 7, 8, 15, 20])
def test_the_gradient_of_a_pointwise_convolution_with_strides(channels, stride):
    """In closed form; oneDNN's own crashed for few channels that lie last in memory."""
    generator = torch.Generator().manual_seed(channels)
    x = torch.randn(2, channels, 64, 64, generator=generator)
    x = x.contiguous(memory_format=torch.channels_last)
    weight = torch.randn(48, channels, 1, 1, generator=generator).requires_grad_(True)
    for _ in range(20):
        y = OPERATORS["Conv"].function(x, weight, strides=[stride, stride])
        (found,) = torch.autograd.grad(y.square().sum() / 2, weight)
    seen = x[:, :, ::stride, ::stride].double()
    exact = torch.einsum("nchw,oc->nohw", seen, weight[:, :, 0, 0].detach().double())
    torch.testing.assert_close(y.detach().double(), exact, rtol=1e-5, atol=1e-4)
    expected = torch.einsum("nohw,nchw->oc", exact, seen)[:, :, None, None]
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-2)
