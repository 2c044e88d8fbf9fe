"""Attack arrays of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rsparse.api.images import Images, read_images
from rsparse.api.loading import as_classifier
from rsparse.errors import InputError
from rsparse.store.images import to_pixels, to_unit

if TYPE_CHECKING:
    from rsparse.attacks import Attack
    from rsparse.models.onnx.classifier import Classifier

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class AdversarialImages:
    """The results of an attack on a batch.

    Attributes
    ----------
    x_adv : uint8 array of shape (n, h, w, 3)
        The adversarial images, rounded to 8 bits as a file would be.
    x_adv_float : float32 array of shape (n, h, w, 3), in [0, 1]
        The adversarial images before rounding.
    success : bool array of shape (n,)
        Whether the model's prediction for the rounded image differs from the label.
    success_float : bool array of shape (n,)
        The same before rounding, which undoes some weak attacks.
    failed : bool array of shape (n,)
        Whether the attack found nothing, so that the original was kept.
    """

    x_adv: Pixels
    x_adv_float: NDArray[np.float32]
    success: NDArray[np.bool_]
    success_float: NDArray[np.bool_]
    failed: NDArray[np.bool_]


def attack(
    images: Images,
    labels: Sequence[int] | NDArray[np.integer],
    model: Classifier | Any,
    attack: Attack | str = "bim:eps=8",
    *,
    batch_size: int = 16,
    seed: int = 0,
    device: str = "auto",
) -> AdversarialImages:
    """Attack images of one size through the torch twin of an ONNX classifier.

    Parameters
    ----------
    images : array or tensor of shape (n, h, w, 3) or (n, 3, h, w), or sequence of images
        RGB, uint8, or floating point in [0, 1], which is first rounded to 8 bits. Attacked at their
        own size, through the model's resizing if its input has another size.
    labels : sequence of n ints
        The true classes, from which the attack leads away.
    model : Classifier, path, name or torch module
        As for ``load_classifier``.
    attack : Attack or str
        One attack, as on the command line: ``"fgsm:eps=2"``, ``"cw-l2:d=0.05"``.
    batch_size : int
    seed : int
    device : str
        ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``, or ``"auto"`` for a GPU if there is one.

    Returns
    -------
    AdversarialImages

    Raises
    ------
    InputError
        If an argument cannot be used, or the graph has an operator without a torch counterpart.
    """
    from rsparse.attacks import run_attack
    from rsparse.attacks.attackable import attackable
    from rsparse.attacks.scaling import scale_to_average, scaled
    from rsparse.work.device import choose_device

    classifier = as_classifier(model)
    chosen = _one_attack(attack)
    pixels, y = _same_size(images), np.asarray(labels)
    if y.shape != (len(pixels),):
        raise InputError(f"labels: expected {len(pixels)} whole numbers, got shape {y.shape}")
    torch_device = choose_device(device, for_gradients=True).torch
    twin = attackable(classifier, torch_device, chosen.needs_gradients)
    x = to_unit(pixels)
    results = [
        run_attack(twin, x[start : start + batch_size], y[start : start + batch_size], chosen, seed)
        for start in range(0, len(x), batch_size)
    ]
    x_adv = np.concatenate([result.x_adv for result in results])
    if chosen.average_d is not None:
        shrink = not chosen.seeks_minimum
        pairs = partial(zip, x, x_adv, strict=True)
        tau = scale_to_average(pairs, chosen.average_d, shrink=shrink).tau
        x_adv = scaled(x, x_adv, tau)
    rounded = to_pixels(x_adv)
    return AdversarialImages(
        rounded,
        x_adv,
        classifier.logits(list(rounded)).argmax(1) != y,
        classifier.logits(list(x_adv)).argmax(1) != y,
        np.concatenate([result.failed for result in results]),
    )


def _one_attack(attack: Attack | str) -> Attack:
    from rsparse.attacks import parse_attack

    attacks = parse_attack(attack) if isinstance(attack, str) else [attack]
    if len(attacks) != 1:
        raise InputError(f"attack: expected one, got {len(attacks)} from {attack!r}")
    return attacks[0]


def _same_size(images: Images) -> Pixels:
    pixels = read_images(images).pixels
    shapes = {image.shape for image in pixels}
    if len(shapes) != 1:
        raise InputError(f"images: expected one size, got {len(shapes)}")
    return np.stack(pixels)
