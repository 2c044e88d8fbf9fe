"""Export the networks of the ``comdefend`` defense as one ONNX graph, from image to image.

The weights are stored as float16, which halves the file, and computations use float32.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rsparse.models.onnx.session import Session

COMPRESSOR = (3, 16, 32, 64, 128, 256, 128, 64, 32, 12)
RECONSTRUCTOR = (12, 32, 64, 128, 256, 128, 64, 32, 16, 3)


def export(arrays: Mapping[str, np.ndarray]) -> onnx.ModelProto:
    """Return the graph for the weights ``{network}.{2 * layer}.{weight, bias}``."""
    initializers = [
        numpy_helper.from_array(np.float32(0.5), "half"),
        numpy_helper.from_array(np.float32(0), "zero"),
        *(numpy_helper.from_array(array.astype(np.float16), f"{name}.half")
          for name, array in arrays.items()),
    ]  # fmt: skip
    nodes = [
        helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT) for name in arrays
    ]
    nodes += [
        helper.make_node("Sub", ["image", "half"], ["centred"]),
        *_convolutions("compressor", "centred", "linear_code", COMPRESSOR),
        helper.make_node("Greater", ["linear_code", "zero"], ["is_one"]),
        helper.make_node("Cast", ["is_one"], ["code"], to=TensorProto.FLOAT),
        *_convolutions("reconstructor", "code", "linear_image", RECONSTRUCTOR),
        helper.make_node("Sigmoid", ["linear_image"], ["restored"]),
    ]
    shape = ["batch", 3, "height", "width"]
    graph = helper.make_graph(
        nodes,
        "comdefend",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("restored", TensorProto.FLOAT, shape)],
        initializers,
    )
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8, producer_name="rsparse")
    onnx.checker.check_model(model, full_check=True)
    return model


def _convolutions(
    network: str, source: str, target: str, widths: tuple[int, ...]
) -> Iterable[onnx.NodeProto]:
    """3x3 convolutions with ELU between them."""
    n_layers = len(widths) - 1
    for layer in range(n_layers):
        name = f"{network}.{2 * layer}"
        is_last = layer == n_layers - 1
        output = target if is_last else f"{name}/linear"
        yield helper.make_node(
            "Conv", [source, f"{name}.weight", f"{name}.bias"], [output], name=name,
            kernel_shape=[3, 3], pads=[1, 1, 1, 1],
        )  # fmt: skip
        if not is_last:
            source = f"{name}/elu"
            yield helper.make_node("Elu", [output], [source])


def measured_psnr(model: onnx.ModelProto, images: Iterable[np.ndarray]) -> float:
    """Return the mean PSNR, in dB, of restored images against the uint8 (h, w, 3) originals."""
    session = Session(model, Path("comdefend"))
    values = []
    for image in images:
        x = (image.transpose(2, 0, 1)[None] / 255).astype(np.float32)
        (restored,) = session.run(x)
        error = np.rint(restored * 255) / 255 - x
        values.append(-10 * np.log10(np.mean(error**2)))
    return float(np.mean(values))
