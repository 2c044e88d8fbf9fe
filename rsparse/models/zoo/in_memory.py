"""Classifiers from torch modules and by name, without files."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from rsparse.errors import InputError
from rsparse.models.fields import CROP, SQUASH
from rsparse.models.input_sources import METADATA_KEY
from rsparse.models.onnx.classifier import Classifier, open_classifier
from rsparse.models.spec import PRESETS, InputOptions, InputSpec
from rsparse.models.zoo.checked import export_checked

_HUBS = ("hf-hub:", "hf_hub:")
_OWNER = "timm/"


def classifier_of_name(name: str, options: InputOptions | None, threads: int) -> Classifier:
    """Load a classifier by its name in timm or on the Hugging Face hub.

    Parameters
    ----------
    name : str
        ``resnet50.a1_in1k``, ``timm/resnet50.a1_in1k`` or ``hf-hub:timm/resnet50.a1_in1k``.
    options : InputOptions, optional
        Take precedence over what timm knows of the input.
    threads : int

    Raises
    ------
    InputError
        If there is no such model, or its weights are not available.
    """
    from rsparse.models.zoo.hub import weights_of
    from rsparse.models.zoo.networks import build_network, find_model

    short = name
    for prefix in (*_HUBS, _OWNER):
        short = short.removeprefix(prefix)
    if "/" in short:
        raise InputError(
            f"{name}: is no file, and not of timm; of the Hugging Face hub, the models of timm "
            "can be loaded by name: timm/resnet50.a1_in1k"
        )
    model = find_model(short)
    network = build_network(model, weights_of(model).path)
    return _classifier(network, model.name, model.spec, options, threads)


def classifier_of_module(
    network: nn.Module, options: InputOptions | None, threads: int
) -> Classifier:
    """Make a classifier from a torch module: (n, 3, h, w) float32 to logits (n, n_classes).

    The module itself is not changed. How to prepare its input is taken from the options, and from
    ``pretrained_cfg`` if it is timm's.

    Raises
    ------
    InputError
        If the input's size or scaling is unknown, or the module cannot be exported.
    """
    name = type(network).__name__
    spec = _spec_of(network, options or InputOptions(), name)
    return _classifier(
        _Logits(copy.deepcopy(network)).cpu().float().eval(), name, spec, None, threads
    )


def _classifier(
    network: nn.Module, name: str, spec: InputSpec, options: InputOptions | None, threads: int
) -> Classifier:
    network.requires_grad_(False)
    path = Path(name)
    exported = export_checked(network, name, spec, {METADATA_KEY: spec.to_json()}, path)
    return open_classifier(replace(exported.file, in_memory=True), options, threads).check()


class _Logits(nn.Module):
    """A network whose output may be an object with logits, as in Hugging Face's transformers."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Any:
        output = self.network(x)
        return getattr(output, "logits", output)


def _spec_of(network: nn.Module, options: InputOptions, name: str) -> InputSpec:
    values = _known_by_timm(network)
    if options.preset is not None:
        values |= PRESETS[options.preset]
    values |= options.given()
    if "size" not in values or not {"mean", "std", "range"} & values.keys():
        raise InputError(
            f"{name}: does not say how to prepare its input; give InputOptions('imagenet-torch'), "
            "or InputOptions(size=(32, 32), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))"
        )
    if values.get("layout", "NCHW") != "NCHW" or values.get("channels") == "grey":
        raise InputError(f"{name}: a torch module takes colour images in NCHW")
    return InputSpec(**values)


def _known_by_timm(network: nn.Module) -> dict[str, Any]:
    settings = getattr(network, "pretrained_cfg", None)
    if not isinstance(settings, dict) or "input_size" not in settings:
        return {}
    share, mode = settings.get("crop_pct"), settings.get("crop_mode", "center")
    return {
        "size": tuple(settings["input_size"][1:]),
        "mean": tuple(settings["mean"]),
        "std": tuple(settings["std"]),
        "resize": f"{CROP}:{share}" if share and mode == "center" else SQUASH,
    }
