"""The torch module that attacks a classifier: its twin, or onnxruntime without gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rsparse.attacks.backend import require_foolbox
from rsparse.errors import InputError

require_foolbox()

import torch  # noqa: E402

if TYPE_CHECKING:
    from rsparse.models.onnx.classifier import Classifier

RUNTIME = "onnxruntime"
"""What stands for the device in the record of an attack that onnxruntime computed."""

WHAT_WORKS = (
    "attacks without gradients work, such as square, noise and HopSkipJumpAttack; or "
    "attack a float model of it, and judge this one: rsparse evaluate --scenario "
    "transfer:model=FILE"
)


class RuntimeModule(torch.nn.Module):
    """A classifier that onnxruntime computes, as a torch module that has no gradients.

    It maps float32 RGB images (n, 3, h, w) in [0, 1] to logits (n, n_classes), on the CPU.
    """

    has_gradients = False

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier
        self.n_classes = classifier.n_classes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (n, n_classes)."""
        images = x.detach().cpu().numpy().astype(np.float32).transpose(0, 2, 3, 1)
        return torch.from_numpy(self.classifier.logits(list(images)))


def attackable(classifier: Classifier, device: str, needs_gradients: bool) -> torch.nn.Module:
    """The module that attacks a classifier, in evaluation mode.

    Parameters
    ----------
    classifier : Classifier
    device : str
        A torch device.
    needs_gradients : bool
        Whether the attacks differentiate. If not, and the classifier has no torch twin, it is
        computed by onnxruntime.

    Raises
    ------
    InputError
        If there is no torch twin, or it has no gradients, but the attacks need them.
    """
    from rsparse.models.torch.twin import load_twin

    try:
        twin = load_twin(classifier, device)
        if _depends_on_images(twin, classifier, device):
            return twin
        raise InputError(
            f"{classifier.path}: cannot be attacked by gradients: its scores do not depend on the "
            "image in a differentiable way"
        )
    except InputError as error:
        if needs_gradients:
            raise InputError(f"{error}; {WHAT_WORKS}") from error
    return RuntimeModule(classifier).eval()


def _depends_on_images(twin: torch.nn.Module, classifier: Classifier, device: str) -> bool:
    """Whether torch can trace the scores back to the image; not behind ArgMax or a comparison."""
    x = torch.zeros(1, 3, *classifier.spec.size, device=device, requires_grad=True)
    return bool(twin(x).requires_grad)
