"""The commands as functions on arrays, without touching the disk for images.

Images are uint8 RGB, an array (n, h, w, 3) or a sequence of (h, w, 3) of any sizes; a model is
a loaded ``Classifier`` or the path of an ONNX file that says how it wants its input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rsparse.errors import InputError
from rsparse.options.localize import LocalizeParameters
from rsparse.options.purify import PurifyParameters, PurifyRunParameters
from rsparse.store.images import to_pixels, to_unit

if TYPE_CHECKING:
    from rsparse.attacks import Attack
    from rsparse.core.dictionary import Dictionary
    from rsparse.defenses import Defense
    from rsparse.models.onnx.classifier import Classifier

Pixels = NDArray[np.uint8]
Images = NDArray[np.uint8] | Sequence[Pixels]


@dataclass(frozen=True)
class AdversarialImages:
    """What an attack made of a batch.

    Attributes
    ----------
    x_adv : uint8 array of shape (n, h, w, 3)
        The adversarial images, rounded to 8 bits as a file would be.
    x_adv_float : float32 array of shape (n, h, w, 3), in [0, 1]
        The same before rounding.
    success : bool array of shape (n,)
        Whether the model gives the rounded image another class than its label.
    success_float : bool array of shape (n,)
        The same before rounding; weak attacks live from the difference.
    failed : bool array of shape (n,)
        Whether the attack found nothing, and the original was kept.
    """

    x_adv: Pixels
    x_adv_float: NDArray[np.float32]
    success: NDArray[np.bool_]
    success_float: NDArray[np.bool_]
    failed: NDArray[np.bool_]


def attack(
    images: Images,
    labels: Sequence[int] | NDArray[np.integer],
    model: Classifier | Path | str,
    attack: Attack | str = "bim:eps=8",
    *,
    batch_size: int = 16,
    seed: int = 0,
    device: str = "auto",
) -> AdversarialImages:
    """Attack images of one size through the torch twin of an ONNX classifier.

    Parameters
    ----------
    images : uint8 array of shape (n, h, w, 3), RGB
        Attacked at their own size, through the model's resizing where that is another.
    labels : sequence of n ints
        The classes to lead away from.
    model : Classifier or path
    attack : Attack or str
        One attack, as on the command line: ``"fgsm:eps=2"``, ``"cw-l2:d=0.05"``.
    batch_size : int
    seed : int
    device : str
        ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``, or ``"auto"``, a GPU where there is one.

    Returns
    -------
    AdversarialImages

    Raises
    ------
    InputError
        If an argument is unusable, or the graph has an operator without a torch counterpart.
    """
    from rsparse.attacks import run_attack
    from rsparse.attacks.scaling import scale_to_average, scaled
    from rsparse.models.torch.twin import load_twin
    from rsparse.work.device import choose_device

    classifier = as_classifier(model)
    chosen = _one_attack(attack)
    pixels, y = _same_size(images), np.asarray(labels)
    if y.shape != (len(pixels),):
        raise InputError(f"labels: expected {len(pixels)} whole numbers, got shape {y.shape}")
    twin = load_twin(classifier, choose_device(device, for_gradients=True).torch)
    x = to_unit(pixels)
    results = [
        run_attack(twin, x[start : start + batch_size], y[start : start + batch_size], chosen, seed)
        for start in range(0, len(x), batch_size)
    ]
    x_adv = np.concatenate([result.x_adv for result in results])
    if chosen.average_d is not None:
        tau = scale_to_average(lambda: zip(x, x_adv, strict=True), chosen.average_d).tau
        x_adv = scaled(x, x_adv, tau)
    rounded = to_pixels(x_adv)
    return AdversarialImages(
        rounded,
        x_adv,
        classifier.logits(list(rounded)).argmax(1) != y,
        classifier.logits(list(x_adv)).argmax(1) != y,
        np.concatenate([result.failed for result in results]),
    )


def purify_batch(
    images: Images,
    dictionary: Dictionary,
    parameters: PurifyParameters | None = None,
    localization: LocalizeParameters | None = None,
    mask: NDArray[np.bool_] | None = None,
    *,
    device: str = "auto",
    batch_size: int = PurifyRunParameters.batch_size,
) -> Any:
    """``purify`` for each of a batch, also on a GPU.

    Parameters
    ----------
    images : uint8 array of shape (n, h, w, 3), or sequence of images
    dictionary, parameters, localization, mask
        As for ``purify``; a mask is that of all images.
    device : str
        ``"cpu"``, ``"cuda"``, ``"cuda:1"``, or ``"auto"``, a GPU where there is one; without one
        torch is not imported. ``"torch-cpu"`` runs on the CPU what would run on the GPU.
    batch_size : int
        Images that a GPU purifies together; it changes no pixel.

    Returns
    -------
    An array (n, h, w, 3) for an array, else a list of images. From torch they may differ by one
    grey level, and by more in the few patches whose two best atoms are equally good.

    Raises
    ------
    InputError
        If an image or the mask has an unusable size, or the device cannot be used.
    """
    from rsparse.core.regionsparse import object_region, purify
    from rsparse.work.device import choose_device
    from rsparse.work.workers import chunked

    parameters = parameters or PurifyParameters()
    chosen = choose_device(device)
    if not chosen.takes_images:
        cleaned = [purify(image, dictionary, parameters, localization, mask) for image in images]
    else:
        from rsparse.core.engines.torch.regionsparse import purify_together

        cleaned = []
        for batch in chunked(list(images), batch_size):
            regions = [
                object_region(image, dictionary, parameters, localization, mask) for image in batch
            ]
            cleaned += purify_together(batch, regions, dictionary, parameters, chosen.torch)
    return np.stack(cleaned) if isinstance(images, np.ndarray) else cleaned


def defend(
    images: Images,
    defense: Defense | str,
    dictionaries: Mapping[str, Dictionary] | Dictionary | None = None,
    seed: int = 0,
) -> Any:
    """Clean each of a batch by any defense.

    Parameters
    ----------
    images : uint8 array of shape (n, h, w, 3), or sequence of images
    defense : Defense or str
        One defense, as on the command line: ``"jpeg:quality=40"``, ``"bilateral+jpeg"``.
    dictionaries : Dictionary, or mapping of str to Dictionary, optional
        What ``regionsparse`` codes with; in a mapping "" is the one without a name.
    seed : int
        Of the defenses that draw random numbers.

    Returns
    -------
    An array (n, h, w, 3) for an array, else a list of images.

    Raises
    ------
    InputError
        If there is no such defense, it lacks a dictionary, or an image has an unusable size.

    Examples
    --------
    >>> import numpy as np
    >>> defend(np.full((1, 2, 2, 3), 130, dtype=np.uint8), "bit-depth:bits=1")[0, 0, 0].tolist()
    [255, 255, 255]
    """
    from rsparse.core.dictionary import Dictionary
    from rsparse.defenses import Resources

    chosen = _one_defense(defense)
    given = {"": dictionaries} if isinstance(dictionaries, Dictionary) else dictionaries or {}
    resources = Resources(given, seed)
    chosen.check(resources)
    cleaned = [chosen.clean(image, resources) for image in images]
    return np.stack(cleaned) if isinstance(images, np.ndarray) else cleaned


def activations(
    images: Images, model: Classifier | Path | str, gamma: float = 0.0
) -> dict[str, NDArray[np.float64]]:
    """Total activation V_l of every layer for every image, eq. (7).

    Parameters
    ----------
    images : uint8 array of shape (n, h, w, 3), or sequence of images
    model : Classifier or path
    gamma : float
        γ; detectors that stay at or below it do not count.

    Returns
    -------
    dict of str to float64 array of shape (n,)
        By layer, from the input to the output.
    """
    from rsparse.core.activation import total_activation
    from rsparse.models.onnx.graph import activation_layers
    from rsparse.models.onnx.probes import PeakProbe

    classifier = as_classifier(model)
    layers = activation_layers(classifier.graph, str(classifier.path))
    probe = PeakProbe(classifier, layers)
    totals: dict[str, list[NDArray[np.float64]]] = {layer.name: [] for layer in layers}
    for image in images:
        _, peaks = probe.peaks([image])
        for layer, peak in zip(layers, peaks, strict=True):
            totals[layer.name].append(total_activation(peak, gamma))
    return {name: np.concatenate(values) for name, values in totals.items()}


def as_classifier(model: Classifier | Path | str) -> Classifier:
    """A classifier, loaded where a path is given."""
    from rsparse.models.onnx.classifier import load_classifier

    return load_classifier(Path(model)) if isinstance(model, str | Path) else model


def _one_attack(attack: Attack | str) -> Attack:
    from rsparse.attacks import parse_attack

    attacks = parse_attack(attack) if isinstance(attack, str) else [attack]
    if len(attacks) != 1:
        raise InputError(f"attack: expected one, got {len(attacks)} from {attack!r}")
    return attacks[0]


def _one_defense(defense: Defense | str) -> Defense:
    from rsparse.defenses import parse_defense

    defenses = parse_defense(defense) if isinstance(defense, str) else [defense]
    if len(defenses) != 1:
        raise InputError(f"defense: expected one, got {len(defenses)} from {defense!r}")
    return defenses[0]


def _same_size(images: Images) -> Pixels:
    shapes = {np.shape(image) for image in images}
    if len(shapes) != 1:
        raise InputError(f"images: expected one size, got {len(shapes)}")
    pixels = np.stack([np.asarray(image) for image in images])
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[3] != 3:
        raise InputError(
            f"images: expected uint8 of shape (n, h, w, 3), got {pixels.dtype} {pixels.shape}"
        )
    return pixels
