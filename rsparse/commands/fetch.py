"""``rsparse fetch``: write a classifier, given by its name, as an ONNX file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsparse.models.input_sources import METADATA_KEY
from rsparse.models.onnx.provenance import ORIGIN_KEY
from rsparse.models.zoo.checked import export_checked
from rsparse.models.zoo.hub import WEIGHTS_FILE, CachedWeights, weights_of
from rsparse.models.zoo.networks import ZooModel, build_network, find_model
from rsparse.options.fetch import FetchParameters
from rsparse.store.files import refuse_existing, require_suffix
from rsparse.store.journal import IN_ONE_GO, journal_beside
from rsparse.store.records import GENERATOR
from rsparse.store.together import appear_together


@dataclass(frozen=True)
class FetchOutcome:
    """The written model, and how much onnxruntime's logits differ from torch's."""

    output: Path
    model: ZooModel
    weights: CachedWeights | None
    sha256: str
    difference: float
    spread: float


def fetch_model(
    name: str,
    output: Path,
    parameters: FetchParameters | None = None,
    *,
    overwrite: bool = False,
) -> FetchOutcome:
    """Write a timm classifier as an ONNX file that describes its input.

    The file is written only if onnxruntime gives the same logits as torch for a batch of images.
    Its metadata name its origin; the same weights give the same bytes.

    Parameters
    ----------
    name : str
        A timm model name, such as ``inception_v3.tf_in1k``.
    output : Path
    parameters : FetchParameters, optional
    overwrite : bool

    Raises
    ------
    InputError
        If there is no such model, its weights are not available, the network cannot be exported,
        or the output cannot be written. In all these cases, nothing is written.
    """
    parameters = parameters or FetchParameters()
    require_suffix(output, ".onnx")
    model = find_model(name)
    refuse_existing(output, overwrite)
    weights = weights_of(model) if parameters.pretrained else None
    network = build_network(model, weights.path if weights else None, parameters.seed)
    metadata = {
        METADATA_KEY: model.spec.to_json(),
        ORIGIN_KEY: json.dumps(_origin(model, weights, parameters)),
    }
    exported = export_checked(network, model.name, model.spec, metadata, output)
    del network  # large, and no longer needed
    with (
        journal_beside(output, IN_ONE_GO, overwrite) as journal,
        appear_together(output, journal) as members,
    ):
        members.write(output, exported.content)
    file = exported.file
    return FetchOutcome(output, model, weights, file.sha256, exported.difference, exported.spread)


def _origin(
    model: ZooModel, weights: CachedWeights | None, parameters: FetchParameters
) -> dict[str, Any]:
    """The origin of the file, for its metadata."""
    source = weights and {
        "name": f"{model.repository}/{WEIGHTS_FILE}",
        "sha256": weights.sha256,
        "license": model.license,
    }
    return {
        "generator": GENERATOR,
        "stage": "fetch",
        "model": model.name,
        "timm": model.timm,
        "weights": source,
        "seed": None if weights else parameters.seed,
    }
