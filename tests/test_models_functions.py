"""Models whose operators are inside model-local functions."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from rsparse.models.onnx.classifier import load_classifier
from rsparse.models.onnx.functions import with_functions_written_out
from rsparse.models.onnx.graph import activation_layers
from rsparse.models.spec import InputOptions
from tests.onnx_models import ConvNet, images_of
from tests.refusals import refused

SETS = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]


def calling(op: str, *functions: onnx.FunctionProto) -> onnx.ModelProto:
    """A model that calls a function on its input."""
    graph = helper.make_graph(
        [helper.make_node(op, ["x"], ["y"], domain="own")],
        "calling",
        [helper.make_tensor_value_info("x", 1, [1])],
        [helper.make_tensor_value_info("y", 1, [1])],
    )
    return helper.make_model(graph, opset_imports=SETS, functions=functions)


def function(name: str, *calls: str) -> onnx.FunctionProto:
    """A function that calls others, one after another."""
    tensors = ["x", *(f"t{number}" for number in range(len(calls) - 1)), "y"]
    nodes = [
        helper.make_node(op, [a], [b], domain="" if op == "Relu" else "own")
        for op, a, b in zip(calls, tensors, tensors[1:], strict=False)
    ]
    return helper.make_function("own", name, ["x"], ["y"], nodes, SETS)


def test_a_classifier_with_functions(tmp_path: Path) -> None:
    """The logits and layers are the same as without functions."""
    plain = ConvNet(opset=18).save(tmp_path / "plain.onnx")
    model = onnx.load(plain)
    first = model.graph.node[0]
    inputs = list(first.input)
    body = onnx.NodeProto()
    body.CopyFrom(first)
    made = helper.make_function("own", "Block", inputs, list(first.output), [body], SETS)
    first.CopyFrom(helper.make_node("Block", inputs, list(first.output), domain="own", name="b"))
    model.opset_import.append(SETS[1])
    model.functions.append(made)
    model.ir_version = 9
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    unit = InputOptions(preset="unit")
    found, expected = load_classifier(path, unit), load_classifier(plain, unit)
    images = images_of((12, 10), 2)
    np.testing.assert_array_equal(found.logits(images), expected.logits(images))
    kinds = [[layer.kind for layer in activation_layers(c.graph)] for c in (found, expected)]
    assert kinds[0] == kinds[1]


@pytest.mark.parametrize("names", ["A", "AB"])
def test_functions_in_a_circle(names: str) -> None:
    functions = [function(a, b) for a, b in zip(names, names[1:] + names[0], strict=True)]
    with refused("m.onnx: its functions call each other in a circle"):
        with_functions_written_out(calling("A", *functions), "m.onnx")


def test_functions_that_stand_for_too_much() -> None:
    names = [f"F{number}" for number in range(30)]
    functions = [function(a, b, b) for a, b in itertools.pairwise(names)]
    last = function(names[-1], "Relu")
    with refused("m.onnx: its functions stand for more than 1,000,000 nodes; expected fewer"):
        with_functions_written_out(calling("F0", *functions, last), "m.onnx")
