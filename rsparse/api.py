"""The commands as functions on arrays, without touching the disk for images.

Images are uint8 RGB, an array (n, h, w, 3) or a sequence of (h, w, 3) of any sizes; a model is
a loaded ``Classifier`` or the path of an ONNX file that says how it wants its input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
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
    from rsparse.defended.images import DefendedImages
    from rsparse.defenses import Defense, Resources
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


def purify(
    image: Pixels,
    dictionary: Dictionary,
    parameters: PurifyParameters | None = None,
    localization: LocalizeParameters | None = None,
    mask: NDArray[np.bool_] | None = None,
    *,
    policy: str | None = None,
) -> Pixels:
    """Clean one image by RegionSparse, or as a policy says.

    Parameters
    ----------
    image : uint8 array of shape (h, w, 3), RGB
    dictionary : Dictionary
    parameters : PurifyParameters, optional
        For every image alike. Without them a policy chooses by the noise in the image.
    localization : LocalizeParameters, optional
        Beside ``parameters``: how the object region is found where no mask is given.
    mask : bool array of shape (h, w), optional
        True on the object region.
    policy : str, optional
        Its name, or a path that ends in ``.toml``; ``default`` where no parameters are given.

    Returns
    -------
    uint8 array of shape (h, w, 3), RGB

    Raises
    ------
    InputError
        If the image or the mask has an unusable size, there is no such policy, or the arguments
        exclude each other.
    """
    defense = _purifier(parameters, localization, mask, policy)
    return defense.clean(image, _sole_dictionary(defense, dictionary), mask)


def purify_batch(
    images: Images,
    dictionary: Dictionary,
    parameters: PurifyParameters | None = None,
    localization: LocalizeParameters | None = None,
    mask: NDArray[np.bool_] | None = None,
    *,
    policy: str | None = None,
    device: str = "auto",
    batch_size: int = PurifyRunParameters.batch_size,
) -> Any:
    """``purify`` for each of a batch, also on a GPU.

    Parameters
    ----------
    images : uint8 array of shape (n, h, w, 3), or sequence of images
    dictionary, parameters, localization, mask, policy
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
        As for ``purify``, or if the device cannot be used.
    """
    from rsparse.defended.images import DefendedImages
    from rsparse.work.device import choose_device

    defense = _purifier(parameters, localization, mask, policy)
    resources = _sole_dictionary(defense, dictionary)
    behind = DefendedImages(defense, resources, choose_device(device))
    return _cleaned(images, behind, mask, batch_size)


def defend(
    images: Images,
    defense: Defense | str,
    dictionaries: Mapping[str, Dictionary] | Dictionary | None = None,
    seed: int = 0,
    *,
    device: str = "auto",
    batch_size: int = PurifyRunParameters.batch_size,
) -> Any:
    """Clean each of a batch by any defense, also on a GPU.

    Parameters
    ----------
    images : uint8 array of shape (n, h, w, 3), or sequence of images
    defense : Defense or str
        One defense, as on the command line: ``"jpeg:quality=40"``, ``"bilateral+jpeg"``,
        ``"policy:default"``.
    dictionaries : Dictionary, or mapping of str to Dictionary, optional
        What ``regionsparse`` and policies code with; in a mapping "" is the one without a name.
    seed : int
        Of the defenses that draw random numbers.
    device, batch_size
        As for ``purify_batch``. What has no part for a GPU, the cores do.

    Returns
    -------
    An array (n, h, w, 3) for an array, else a list of images.

    Raises
    ------
    InputError
        If there is no such defense or device, the defense lacks a dictionary, or an image has an
        unusable size.

    Examples
    --------
    >>> import numpy as np
    >>> defend(np.full((1, 2, 2, 3), 130, dtype=np.uint8), "bit-depth:bits=1")[0, 0, 0].tolist()
    [255, 255, 255]
    """
    from rsparse.core.dictionary import Dictionary
    from rsparse.defended.images import DefendedImages
    from rsparse.defenses import Resources
    from rsparse.work.device import choose_device

    chosen = _one_defense(defense)
    given = {"": dictionaries} if isinstance(dictionaries, Dictionary) else dictionaries or {}
    behind = DefendedImages(chosen, Resources(given, seed), choose_device(device))
    return _cleaned(images, behind, None, batch_size)


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


def _purifier(
    parameters: PurifyParameters | None,
    localization: LocalizeParameters | None,
    mask: NDArray[np.bool_] | None,
    policy: str | None,
) -> Defense:
    """RegionSparse with the parameters that are given, else a policy."""
    from rsparse.defenses import RegionSparse
    from rsparse.defenses.policy import DEFAULT_POLICY, load_policy

    if parameters is not None:
        if policy is not None:
            raise InputError("policy and parameters exclude each other; give one of them")
        return RegionSparse(**asdict(parameters), **asdict(localization or LocalizeParameters()))
    defense = load_policy(policy or DEFAULT_POLICY).defense
    if localization is not None or (mask is not None and not defense.takes_mask):
        argument = "mask" if localization is None else "localization"
        raise InputError(
            f"{argument}: goes with parameters, such as PurifyParameters(); the policy "
            f"{defense.policy} says by itself which part of an image is coded"
        )
    return defense


def _sole_dictionary(defense: Defense, dictionary: Dictionary) -> Resources:
    """The one dictionary under each name that the defense asks for."""
    from rsparse.defenses import Resources

    return Resources(dict.fromkeys(defense.dictionaries, dictionary))


def _one_defense(defense: Defense | str) -> Defense:
    from rsparse.defenses import parse_defense

    defenses = parse_defense(defense) if isinstance(defense, str) else [defense]
    if len(defenses) != 1:
        raise InputError(f"defense: expected one, got {len(defenses)} from {defense!r}")
    return defenses[0]


def _cleaned(
    images: Images, behind: DefendedImages, mask: NDArray[np.bool_] | None, batch_size: int
) -> Any:
    """Clean images, some at a time; an array for an array, else a list."""
    from rsparse.work.workers import chunked

    cleaned = []
    for batch in chunked(list(images), batch_size):
        cleaned += behind.clean(batch, mask)
    return np.stack(cleaned) if isinstance(images, np.ndarray) else cleaned


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
