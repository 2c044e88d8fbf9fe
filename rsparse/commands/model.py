"""``rsparse model``: describe a classifier's file, and tag it with its input."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rsparse.errors import InputError, attempt
from rsparse.models.input_sources import METADATA_KEY, known_of_input
from rsparse.models.onnx.adapted import AdaptedGraph, adapt
from rsparse.models.onnx.cam_head import find_cam_head
from rsparse.models.onnx.classifier import open_classifier
from rsparse.models.onnx.file import OnnxFile, load_onnx
from rsparse.models.onnx.graph import activation_layers
from rsparse.models.spec import INPUT_FIELDS, InputOptions, InputSpec
from rsparse.store.files import require_suffix
from rsparse.store.journal import IN_ONE_GO, journal_beside
from rsparse.store.together import appear_together

SOME_SIZE = (224, 224)
"""The size with which a graph is described that takes images of any size."""


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
    problem = n_classes = None
    try:
        classifier = open_classifier(file, input_options).check()
        values, sources = classifier.spec.as_record(), classifier.sources
        n_classes = classifier.n_classes
        adapted: AdaptedGraph | InputError = classifier.adapted
    except InputError as error:
        problem = str(error)
        adapted = attempt(_adapted, file, values)
    return {
        "file": path.name,
        "sha256": file.sha256,
        "problem": problem,
        "input": {
            name: {"value": values.get(name), "source": sources.get(name, "unknown")}
            for name in INPUT_FIELDS
        },
        "classes": n_classes,
        "graph": _describe_graph(file, adapted),
    }


def _adapted(file: OnnxFile, values: Mapping[str, Any]) -> AdaptedGraph:
    """The graph in its form, as far as its input is known."""
    known = {name: values.get(name) for name in ("scores", "score_type")}
    return adapt(file, values.get("size", SOME_SIZE), values.get("layout", "NCHW"), **known)


def _describe_graph(file: OnnxFile, adapted: AdaptedGraph | InputError) -> dict[str, Any]:
    described = {
        "input": f"{file.input.name}, {file.input.shape}, {file.input.kind}",
        "output": ", ".join(f"{port.name} ({port.shape})" for port in file.outputs),
        "nodes": len(file.model.graph.node),
        "opset": max((entry.version for entry in file.model.opset_import), default=1),
    }
    if isinstance(adapted, InputError):
        return described
    model, where = adapted.model, file.path.name
    layers, head = attempt(_layers_text, model, where), attempt(_attention_text, model, where)
    return {
        **described,
        "logits": adapted.text,
        "layers": f"no: {layers}" if isinstance(layers, InputError) else layers,
        "attention": f"no: {head}" if isinstance(head, InputError) else head,
    }


def _layers_text(model: Any, where: str) -> str:
    kinds = Counter(layer.kind for layer in activation_layers(model, where))
    return ", ".join(f"{number} {kind}" for kind, number in kinds.items())


def _attention_text(model: Any, where: str) -> str:
    return f"{find_cam_head(model, where).weights.shape[1]} feature maps"


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
    require_suffix(output, ".onnx")
    file = load_onnx(path)
    spec = open_classifier(file, input_options).check().spec
    tagged = file.with_metadata({METADATA_KEY: spec.to_json()})
    with (
        journal_beside(output, IN_ONE_GO, overwrite) as journal,
        appear_together(output, journal) as members,
    ):
        members.write(output, tagged)
    return spec
