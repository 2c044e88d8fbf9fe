"""Look up timm's classifiers by name and build them with or without weights."""

from __future__ import annotations

import difflib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsparse.errors import InputError, is_out_of_memory, missing_package
from rsparse.models.fields import CROP, LOGITS, SQUASH
from rsparse.models.spec import InputSpec

if TYPE_CHECKING:
    from torch import nn

IMAGENET_CLASSES = 1000

ADVERSARIAL_TAGS = {"adv": "on adversarial images", "ap": "on adversarial images too (AdvProp)"}
"""Words of timm's tags that tell how a classifier was trained."""


@dataclass(frozen=True)
class ZooModel:
    """What timm knows about a classifier before it is built.

    Attributes
    ----------
    name : str
        Architecture and tag, such as ``inception_v3.tf_in1k``; the tag names the weights.
    spec : InputSpec
        How to prepare its input, with class names if the classes are ImageNet's 1000.
    n_classes : int
    repository : str or None
        The Hugging Face repository of its weights, ``None`` if there is none.
    license : str or None
        The licence of its weights, as timm spells it.
    timm : str
        The version of timm.
    training : str or None
        How it was trained, in words, if on adversarial images.
    """

    name: str
    spec: InputSpec
    n_classes: int
    repository: str | None
    license: str | None
    timm: str
    training: str | None = None


def find_model(name: str) -> ZooModel:
    """Look up a classifier.

    A name without a tag means timm's default weights for the architecture.

    Raises
    ------
    InputError
        If timm is not installed or has no such model, or if the model does not classify colour
        images.
    """
    timm = _import_timm()
    settings = timm.get_pretrained_cfg(name) if name in _names(timm) else None
    if settings is None:
        raise InputError(f"timm has no model {name!r}{_suggestions(timm, name)}")
    full_name = f"{settings.architecture}.{settings.tag}" if settings.tag else name
    channels, *size = settings.input_size
    if settings.num_classes < 1:
        raise InputError(f"{full_name}: outputs features, not classes; choose a classifier")
    if channels != len(settings.mean) or channels != 3:
        raise InputError(f"{full_name}: expected 3 colour channels as input, got {channels}")
    labels = _imagenet_names() if settings.num_classes == IMAGENET_CLASSES else None
    spec = InputSpec(
        tuple(size),
        settings.mean,
        settings.std,
        labels=labels,
        resize=f"{CROP}:{settings.crop_pct}" if settings.crop_mode == "center" else SQUASH,
        score_type=LOGITS,
    )
    return ZooModel(
        full_name,
        spec,
        settings.num_classes,
        settings.hf_hub_id,
        settings.license,
        timm.__version__,
        adversarial_training(settings.tag),
    )


def adversarial_training(tag: str) -> str | None:
    """How the weights of a tag of timm were trained, if on adversarial images."""
    words = tag.split("_")
    return next((text for word, text in ADVERSARIAL_TAGS.items() if word in words), None)


def build_network(model: ZooModel, weights: Path | None, seed: int = 0) -> nn.Module:
    """Build a model's network, in evaluation mode.

    Parameters
    ----------
    model : ZooModel
    weights : Path or None
        A safetensors file. Without one, weights are random: those of convolutions follow He's
        rule, which keeps activations at one scale through any depth, the others follow timm.
    seed : int
        Seed of the random weights.

    Raises
    ------
    InputError
        If the weights do not belong to this network.
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
        except Exception as error:  # from torch, safetensors or timm
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
        if is_out_of_memory(error):
            raise
        raise missing_package("fetching models needs", error.name or "timm", "models") from error
    except RuntimeError as error:  # from torchvision, if it was built for another torch
        detail = " ".join(str(error).split())[:300]
        raise InputError(
            f"timm cannot be imported: {detail}; install matching builds of torch and torchvision"
        ) from error
    return timm


def _names(timm: Any) -> set[str]:
    """All model names, with and without tags, except those that timm has deprecated."""
    return {*timm.list_models(), *timm.list_models(include_tags=True)}


def _suggestions(timm: Any, name: str) -> str:
    """The nearest names, pretrained models first, as the end of a sentence."""
    new_name = timm.models.get_deprecated_models().get(name)
    if new_name:
        return f"; it is now called {new_name}"
    for names in (timm.list_pretrained(), timm.list_models()):
        near = difflib.get_close_matches(name, names, n=3)
        if near:
            return f"; did you mean {', '.join(near)}?"
    return "; timm.list_pretrained() in Python lists all names"


def _imagenet_names() -> tuple[str, ...]:
    from timm.data import ImageNetInfo

    info = ImageNetInfo("imagenet-1k")
    return tuple(info.index_to_description(index) for index in range(IMAGENET_CLASSES))
