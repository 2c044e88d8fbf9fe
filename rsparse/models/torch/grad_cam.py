"""Grad-CAM (Selvaraju et al. 2017) on a classifier's torch twin, computed by captum."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import lru_cache
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx, nn

from rsparse.core.engines.torch.precision import float32_in_full
from rsparse.errors import InputError, missing_package
from rsparse.models.onnx.classifier import Classifier
from rsparse.models.torch.conversion import WHERE
from rsparse.models.torch.twin import Twin, load_twin
from rsparse.store.images import to_unit

Floats = NDArray[np.float32]
_FEATURES = "explained_features"


class GradCamProbe:
    """Maps of a class for any network with convolutions, from the gradient of its score.

    The features are the last ones of the size of the last convolution's output. Their weights are
    the mean gradients of the class's logit, or with ``center`` of its difference to the mean logit,
    as a softmax does not depend on that. With global average pooling and a linear layer the map is
    the class activation map, divided by the number of positions. Negative values are kept.

    Parameters
    ----------
    classifier : Classifier

    Raises
    ------
    InputError
        If captum is not installed, the classifier has no torch twin, or it has no convolution.
    """

    def __init__(self, classifier: Classifier) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                from captum.attr import LayerGradCam
        except ImportError as error:
            raise missing_package("Grad-CAM needs", error.name or "captum", "attention") from error
        self.classifier = classifier
        self._lock = Lock()  # captum keeps what a layer gave last, for whichever thread asked
        twin = load_twin(classifier, trainable=True)
        layer = _mark_features(twin, str(classifier.path))
        self._by_center = {
            center: LayerGradCam(_Scores(twin, center), layer) for center in (False, True)
        }

    def __reduce__(self) -> tuple[Any, ...]:
        return grad_cam_probe, (self.classifier,)

    def explain(
        self, image: NDArray[np.uint8], choose: Callable[[Floats], int], center: bool = True
    ) -> tuple[Floats, Floats, int]:
        """See ``AttentionProbe.explain``."""
        logits = self.classifier.logits([image])
        chosen = choose(logits)
        x = torch.from_numpy(to_unit(self.classifier.fit_to_input(image)))
        with self._lock, float32_in_full():
            maps = self._by_center[center].attribute(
                x.permute(2, 0, 1)[None].requires_grad_(), target=chosen
            )
        return logits, maps[0, 0].detach().numpy(), chosen


class _Scores(nn.Module):
    """Logits for one image, optionally minus their mean."""

    def __init__(self, twin: Twin, center: bool) -> None:
        super().__init__()
        self.twin, self.center = twin, center

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.twin(x)
        return logits - logits.mean(1, keepdim=True) if self.center else logits


def _mark_features(twin: Twin, where: str) -> nn.Module:
    """Put a module after the features that are explained, and return it."""
    maps = _FeatureMaps(twin.network)
    x = torch.zeros(1, 3, *twin.spec.size, requires_grad=True)
    with torch.enable_grad():
        output = maps.run(twin.prepare(x).expand(twin.batch or 1, -1, -1, -1))
    used = _with_gradient(maps.found, output)
    convolutions = [n for n in used if str(n.meta.get(WHERE)).startswith(_CONVOLUTION)]
    if not convolutions:
        raise InputError(f"{where}: has no convolution with maps that Grad-CAM could explain")
    size = used[convolutions[-1]].shape[2:]
    chosen = [node for node, features in used.items() if features.shape[2:] == size][-1]
    network = twin.network
    marker = nn.Identity()
    network.add_submodule(_FEATURES, marker)
    with network.graph.inserting_after(chosen):
        marked = network.graph.call_module(_FEATURES, (chosen,))
    chosen.replace_all_uses_with(marked, delete_user_cb=lambda user: user is not marked)
    network.recompile()
    return marker


def _with_gradient(found: dict[fx.Node, torch.Tensor], output: Any) -> dict[fx.Node, torch.Tensor]:
    """Those feature maps on which the output depends; others may lie beside the way to it."""
    score = (output[0] if isinstance(output, tuple | list) else output).sum()
    moved = {node: features for node, features in found.items() if features.requires_grad}
    if not moved:
        return {}
    gradients = torch.autograd.grad(score, list(moved.values()), allow_unused=True)
    return {
        node: features
        for (node, features), gradient in zip(moved.items(), gradients, strict=True)
        if gradient is not None
    }


_CONVOLUTION = "the operator Conv "


class _FeatureMaps(fx.Interpreter):
    """Runs a network; ``found`` has all feature maps, in their order."""

    def __init__(self, network: fx.GraphModule) -> None:
        super().__init__(network)
        self.found: dict[fx.Node, torch.Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        is_map = isinstance(result, torch.Tensor) and result.dim() == 4 and n.op != "output"
        if is_map and n.op not in ("placeholder", "get_attr") and min(result.shape[2:]) > 1:
            self.found[n] = result
        return result


@lru_cache(maxsize=4)
def grad_cam_probe(classifier: Classifier) -> GradCamProbe:
    """The probe of a classifier; a process that unpickles it several times makes it once."""
    return GradCamProbe(classifier)
