"""Let a graph that is made for a fixed number of images take any number of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import numpy_helper

from rsparse.models.onnx.ports import Dims
from rsparse.models.onnx.shapes import Sides, inferred_shapes
from rsparse.models.onnx.wiring import Wiring, attribute

IMAGES = "images"
"""The name of the open side."""

_TRIED = (1, 3)


def open_batch(model: onnx.ModelProto, input_name: str, dims: Dims) -> bool:
    """Open the batch of a model, and return whether this was possible.

    Parameters
    ----------
    model : onnx.ModelProto
        With one output.
    input_name : str
        The image.
    dims : tuple
        The sizes of the image, of which the first is the fixed batch.

    Notes
    -----
    The shape that a Reshape takes may begin with the number of images or a multiple of it. That
    side becomes 0 or −1, which stands for the same number, so the model computes the same as
    before. The batch is open if the inferred shape of the output follows that of the input.
    """
    before = inferred_shapes(model)
    (output,) = model.graph.output
    scores = before.get(output.name)
    _open_reshapes(model, before, dims[0] or 1)
    for n_images in _TRIED:
        after = inferred_shapes(model, {input_name: (n_images, *dims[1:])}).get(output.name)
        if not after or after[0] != n_images or (scores and after[1:] != scores[1:]):
            return False
    (image,) = (value for value in model.graph.input if value.name == input_name)
    image.type.tensor_type.shape.dim[0].dim_param = IMAGES
    output.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    return True


def _open_reshapes(model: onnx.ModelProto, shapes: dict[str, Sides], n_images: int) -> None:
    wiring = Wiring(model.graph, model)
    names = set(_names(model.graph))
    for node in model.graph.node:
        target = wiring.constant(node.input[1]) if _is_reshape(node) else None
        if target is None or target.ndim != 1 or not target.size:
            continue
        first = _opened(node, target, shapes, n_images)
        if first is None:
            continue
        name = f"{node.output[0]}.shape"
        while name in names:
            name += "'"
        names.add(name)
        opened = np.array([first, *target[1:]], np.int64)
        model.graph.initializer.append(numpy_helper.from_array(opened, name))
        node.input[1] = name


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


def _names(graph: onnx.GraphProto) -> Iterator[str]:
    yield from (value.name for value in (*graph.input, *graph.initializer))
    for node in graph.node:
        yield from node.output
