"""Let a graph that is made for a fixed number of images take any number of them, or one."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from rsparse.models.onnx.ports import Dims
from rsparse.models.onnx.shapes import SMALL, Sides, inferred_shapes
from rsparse.models.onnx.wiring import OWN, Wiring, attribute

IMAGES = "images"
"""The name of the open side."""

_TRIED = (1, 3)
_KEPT = frozenset(("Constant", "DequantizeLinear"))
_REPEATING = frozenset(("Concat", "Add", "Sub", "Mul", "Div", "Where", "Expand"))


def open_batch(model: onnx.ModelProto, input_name: str, dims: Dims) -> int | None:
    """Open the batch of a model if possible, or else reduce it to one image if possible.

    Parameters
    ----------
    model : onnx.ModelProto
        With one output.
    input_name : str
        The image.
    dims : tuple
        The sizes of the image, of which the first is the fixed batch.

    Returns
    -------
    int or None
        The batch in which the model now runs: ``None`` for any number, 1, or what it was.

    Notes
    -----
    The shape that a Reshape takes may begin with the number of images or a multiple of it. That
    side becomes 0 or −1, which stands for the same number, so the model computes the same as
    before. A stored tensor may repeat something for each image, such as the class token of a vision
    transformer; one image needs it once. Whether the result is a model for other numbers of images
    is seen from the inferred shapes: that of the output has to follow that of the input.
    """
    n_images = dims[0] or 1
    before = inferred_shapes(model)
    scores = before.get(model.graph.output[0].name, ())[1:]

    def fits(number: int) -> bool:
        shapes = inferred_shapes(model, {input_name: (number, *dims[1:])}, strict=True)
        found = shapes.get(model.graph.output[0].name, ())
        return found[:1] == (number,) and found[1:] == (scores or found[1:])

    _store_constants(model)
    _open_reshapes(model, before, n_images)
    if all(map(fits, _TRIED)):
        _declare(model, input_name, None)
        return None
    original = onnx.GraphProto()
    original.CopyFrom(model.graph)
    _repeat_once(model, n_images)
    if fits(1):
        _declare(model, input_name, 1)
        return 1
    model.graph.CopyFrom(original)
    return n_images


def _declare(model: onnx.ModelProto, input_name: str, n_images: int | None) -> None:
    """Write the new batch into the graph, whose other declared shapes are no longer right."""
    (image,) = (value for value in model.graph.input if value.name == input_name)
    first = image.type.tensor_type.shape.dim[0]
    if n_images is None:
        first.dim_param = IMAGES
    else:
        first.dim_value = n_images
    model.graph.output[0].type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]


def _store_constants(model: onnx.ModelProto) -> None:
    """Store the small constants that nodes compute, since shapes may depend on them."""
    wiring = Wiring(model.graph, model)
    for node in model.graph.node:
        if not wiring.computed_inputs(node):
            continue
        for place, name in enumerate(node.input):
            maker = wiring.producer.get(name)
            if maker is None or maker.op_type in _KEPT or not wiring.is_constant(name):
                continue
            value = wiring.constant(name)
            if value is not None and value.size <= SMALL:
                node.input[place] = _stored(model, f"{node.output[0]}.{place}", value)


def _repeat_once(model: onnx.ModelProto, n_images: int) -> None:
    """Keep one of the equal rows of each stored tensor, and one of each Expand, for each image."""
    wiring = Wiring(model.graph, model)
    for node in model.graph.node:
        if node.op_type in _REPEATING:
            for place, name in enumerate(node.input):
                is_shape = node.op_type == "Expand" and place == 1
                value = wiring.constant(name)
                once = None if value is None else _once(value, n_images, is_shape)
                if once is not None:
                    node.input[place] = _stored(model, f"{node.output[0]}.{place}.once", once)


def _once(value: np.ndarray, n_images: int, is_shape: bool) -> np.ndarray | None:
    """A constant for one image, or ``None`` if it does not repeat anything for each."""
    if is_shape:
        return np.array([1, *value[1:]], np.int64) if value[:1] == n_images else None
    repeats = value.ndim > 1 and len(value) == n_images and bool((value == value[:1]).all())
    return value[:1] if repeats else None


def _open_reshapes(model: onnx.ModelProto, shapes: dict[str, Sides], n_images: int) -> None:
    wiring = Wiring(model.graph, model)
    for node in model.graph.node:
        target = wiring.constant(node.input[1]) if _is_reshape(node) else None
        if target is None or target.ndim != 1 or not target.size:
            continue
        first = _opened(node, target, shapes, n_images)
        if first is not None:
            opened = np.array([first, *target[1:]], np.int64)
            node.input[1] = _stored(model, f"{node.output[0]}.shape", opened)


def _stored(model: onnx.ModelProto, name: str, value: np.ndarray) -> str:
    """Store a tensor, and return its name."""
    name = f"{OWN}{name}"
    model.graph.initializer.append(numpy_helper.from_array(value, name))
    return name


def _opened(
    node: onnx.NodeProto, target: np.ndarray, shapes: dict[str, Sides], n_images: int
) -> int | None:
    """What stands for the first side of a Reshape for any batch; ``None`` leaves it as it is."""
    source = shapes.get(node.input[0]) or (None,)
    made = shapes.get(node.output[0]) or (target[0],)
    keeps_first = source[0] is not None and source[0] == made[0]
    if keeps_first and not attribute(node, "allowzero", 0):
        return 0
    is_multiple = target[0] > 0 and target[0] % n_images == 0
    return -1 if is_multiple and -1 not in target else None


def _is_reshape(node: onnx.NodeProto) -> bool:
    return node.op_type == "Reshape" and len(node.input) > 1  # an attribute in the oldest graphs
