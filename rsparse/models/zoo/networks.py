"""The one place that imports timm: its classifiers by name, built and with weights."""

from __future__ import annotations

import difflib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsparse.errors import InputError
from rsparse.models.spec import InputSpec

if TYPE_CHECKING:
    from torch import nn

IMAGENET_CLASSES = 1000


@dataclass(frozen=True)
class ZooModel:
    """What timm says of a classifier before it is built.

    Attributes
    ----------
    name : str
        Architecture and tag, such as ``inception_v3.tf_in1k``; the tag names the weights.
    spec : InputSpec
        How it wants its input; with class names for the 1000 classes of ImageNet.
    n_classes : int
    repository : str or None
        Where the Hugging Face hub keeps its weights, ``None`` where it does not.
    license : str or None
        The licence of its weights, as timm spells it.
    timm : str
        The version of timm that says so.
    """

    name: str
    spec: InputSpec
    n_classes: int
    repository: str | None
    license: str | None
    timm: str


def find_model(name: str) -> ZooModel:
    """Look a classifier up.

    A name without a tag is that of timm's default weights for the architecture.

    Raises
    ------
    InputError
        If timm is not installed, knows no such model, or the model is no classifier of colour
        images.
    """
    timm = _import_timm()
    settings = timm.get_pretrained_cfg(name) if name in _names(timm) else None
    if settings is None:
        raise InputError(f"timm has no model {name!r}{_suggestions(timm, name)}")
    full_name = f"{settings.architecture}.{settings.tag}" if settings.tag else name
    channels, *size = settings.input_size
    if settings.num_classes < 1:
        raise InputError(f"{full_name}: gives features, no classes; choose a classifier")
    if channels != len(settings.mean) or channels != 3:
        raise InputError(f"{full_name}: takes {channels} channels; expected colour images")
    labels = _imagenet_names() if settings.num_classes == IMAGENET_CLASSES else None
    spec = InputSpec(tuple(size), settings.mean, settings.std, labels=labels)
    return ZooModel(
        full_name,
        spec,
        settings.num_classes,
        settings.hf_hub_id,
        settings.license,
        timm.__version__,
    )


def build_network(model: ZooModel, weights: Path | None, seed: int = 0) -> nn.Module:
    """Build a model's network, in evaluation mode.

    Parameters
    ----------
    model : ZooModel
    weights : Path or None
        A safetensors file. Without one weights are random: convolutions by He's rule, which keeps
        activations at one scale through any depth, the rest as timm does.
    seed : int
        Of the random weights.

    Raises
    ------
    InputError
        If the weights are not of this network.
    """
    import torch
    from torch import nn

    timm = _import_timm()
    overlay = {} if weights is None else {"file": str(weights), "custom_load": False}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            network: nn.Module = timm.create_model(
                model.name,
                pretrained=weights is not None,
                pretrained_cfg_overlay=overlay,
                exportable=True,
            )
        except Exception as error:  # of torch, safetensors and timm
            detail = " ".join(str(error).split())[:300] or type(error).__name__
            raise InputError(f"{model.name}: cannot be built: {detail}") from error
        if weights is None:
            for module in network.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    return network.eval()


def _import_timm() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import timm
    except ImportError as error:
        raise InputError(
            f"fetching models needs {error.name or 'timm'}, which is not installed: "
            "pip install 'rsparse[models]'"
        ) from error
    except RuntimeError as error:  # of torchvision, where it was built for another torch
        detail = " ".join(str(error).split())[:300]
        raise InputError(
            f"timm cannot be imported: {detail}; install torch and torchvision of one build"
        ) from error
    return timm


def _names(timm: Any) -> set[str]:
    """All names of models, with tags and without; those that timm has given up are left out."""
    return {*timm.list_models(), *timm.list_models(include_tags=True)}


def _suggestions(timm: Any, name: str) -> str:
    """The nearest names, those with weights first, as the end of a sentence."""
    new_name = timm.models.get_deprecated_models().get(name)
    if new_name:
        return f"; it is called {new_name} now"
    for names in (timm.list_pretrained(), timm.list_models()):
        near = difflib.get_close_matches(name, names, n=3)
        if near:
            return f"; did you mean {', '.join(near)}?"
    return "; timm.list_pretrained() in Python lists all"


def _imagenet_names() -> tuple[str, ...]:
    from timm.data import ImageNetInfo

    info = ImageNetInfo("imagenet-1k")
    return tuple(info.index_to_description(index) for index in range(IMAGENET_CLASSES))
