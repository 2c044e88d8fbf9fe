"""``rsparse model``: describe a classifier's file, and tag it with its input."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from rsparse.errors import InputError
from rsparse.models.input_sources import METADATA_KEY, known_of_input, resolve_input_spec
from rsparse.models.onnx.cam_head import find_cam_head
from rsparse.models.onnx.classifier import Classifier
from rsparse.models.onnx.file import OnnxFile, load_onnx
from rsparse.models.onnx.graph import activation_layers, without_softmax
from rsparse.models.spec import INPUT_FIELDS, InputOptions, InputSpec
from rsparse.store.files import refuse_existing, require_suffix, write_atomic


def describe_model(path: Path, input_options: InputOptions | None = None) -> dict[str, Any]:
    """Describe a model as rsparse will use it.

    Returns
    -------
    dict
        ``input``: for each field of the spec, its value and the source of the value. ``problem``:
        why the model cannot be used as it is, or None. ``graph``: the content of the file.

    Raises
    ------
    InputError
        If the file is not an image classifier.
    """
    file = load_onnx(path)
    values, sources = known_of_input(file, input_options)
    problem = None
    n_classes = None
    try:
        spec, sources = resolve_input_spec(file, input_options)
        values = spec.as_record()
        n_classes = Classifier(path, spec, file=file).check().n_classes
    except InputError as error:
        problem = str(error)
    return {
        "file": path.name,
        "sha256": file.sha256,
        "problem": problem,
        "input": {
            name: {"value": values.get(name), "source": sources.get(name, "unknown")}
            for name in INPUT_FIELDS
        },
        "classes": n_classes,
        "graph": _describe_graph(file),
    }


def _describe_graph(file: OnnxFile) -> dict[str, Any]:
    model = without_softmax(file.model)
    try:
        kinds = Counter(layer.kind for layer in activation_layers(model, file.path.name))
        activations = ", ".join(f"{number} {kind}" for kind, number in kinds.items())
    except InputError as error:
        activations = f"no: {error}"
    try:
        attention = f"{find_cam_head(model, file.path.name).weights.shape[1]} feature maps"
    except InputError as error:
        attention = f"no: {error}"
    dims = ("n" if side is None else str(side) for side in file.input_dims)
    return {
        "input": f"{file.input_name}, {'×'.join(dims)}",
        "output": f"{file.output_name}, {file.n_outputs or 'n'} scores",
        "softmax": "left out" if model is not file.model else "none",
        "nodes": len(model.graph.node),
        "opset": max(entry.version for entry in model.opset_import),
        "layers": activations,
        "attention": attention,
    }


def tag_model(
    path: Path, output: Path, input_options: InputOptions | None = None, *, overwrite: bool = False
) -> InputSpec:
    """Write a copy of a model whose metadata describe its input.

    Weights that the model stores in other files are written into the copy.

    Raises
    ------
    InputError
        If the model cannot be used, a field of the input is unknown, or the output exists.
    """
    refuse_existing(output, overwrite)
    require_suffix(output, ".onnx")
    file = load_onnx(path)
    spec, _ = resolve_input_spec(file, input_options)
    Classifier(path, spec, file=file).check()
    write_atomic(output, file.with_metadata({METADATA_KEY: spec.to_json()}))
    return spec
