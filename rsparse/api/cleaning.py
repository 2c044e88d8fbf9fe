"""Clean arrays of images with RegionSparse, a policy or any other defense."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rsparse.api.images import Images, read_image, read_images
from rsparse.errors import InputError
from rsparse.options.localize import LocalizeParameters
from rsparse.options.purify import PurifyParameters, PurifyRunParameters

if TYPE_CHECKING:
    from rsparse.core.dictionary import Dictionary
    from rsparse.defended.images import DefendedImages
    from rsparse.defenses import Defense, Resources

Dictionaries = Any
"""A dictionary or its path, or a mapping of names to them."""


def purify(
    image: Any,
    dictionary: Dictionary | Path | str | None = None,
    parameters: PurifyParameters | None = None,
    localization: LocalizeParameters | None = None,
    mask: NDArray[np.bool_] | None = None,
    *,
    policy: str | None = None,
    return_treatment: bool = False,
) -> Any:
    """Clean one image with RegionSparse or a policy.

    Parameters
    ----------
    image : array or tensor of shape (h, w, 3) or (3, h, w), RGB
        uint8, or floating point in [0, 1], which is first rounded to 8 bits, as in a file.
    dictionary : Dictionary, path or name, optional
        By default the one that comes with rsparse.
    parameters : PurifyParameters, optional
        Used for every image. Without them, a policy chooses a defense by the noise in the image.
    localization : LocalizeParameters, optional
        How to locate the object if no mask is given; only together with ``parameters``.
    mask : bool array of shape (h, w), optional
        True on the object region.
    policy : str, optional
        Its name, or a path that ends in ``.toml``. Without parameters, ``default`` is the default.
    return_treatment : bool
        Return what was done to the image, too.

    Returns
    -------
    array or tensor, or a pair of it and a ``Treatment``
        The clean image, in the form of the given one. A ``Treatment`` has the parts of the defense
        that were applied, with the policy's rule and what it measured, K and the share of the
        object region, and the change of the image.

    Raises
    ------
    InputError
        If the image has another type or shape, the image or the mask has an unusable size, there is
        no such policy, or the arguments cannot be used together.
    """
    from rsparse.work.one_core import one_thread

    pixels, form = read_image(image)
    defense = _purifier(parameters, localization, mask, policy)
    defended = _defended(defense, _sole_dictionary(defense, dictionary), "cpu")
    with one_thread():  # as the command, so that the bytes are the same
        ((clean, treatment),) = defended.treat([pixels], mask)
    return (form.of(clean), treatment) if return_treatment else form.of(clean)


def purify_batch(
    images: Images,
    dictionary: Dictionary | Path | str | None = None,
    parameters: PurifyParameters | None = None,
    localization: LocalizeParameters | None = None,
    mask: NDArray[np.bool_] | None = None,
    *,
    policy: str | None = None,
    device: str = "auto",
    batch_size: int = PurifyRunParameters.batch_size,
    return_treatment: bool = False,
) -> Any:
    """Clean a batch of images as ``purify`` does, on a GPU if there is one.

    Parameters
    ----------
    images : array or tensor of shape (n, h, w, 3) or (n, 3, h, w), or sequence of images
        As for ``purify``.
    dictionary, parameters, localization, mask, policy
        As for ``purify``; a mask applies to all images.
    device : str
        ``"cpu"``, ``"cuda"``, ``"cuda:1"``, or ``"auto"`` for a GPU if there is one. Torch is not
        imported without a GPU. ``"torch-cpu"`` runs the GPU's code on the CPU.
    batch_size : int
        Number of images that a GPU purifies together; it does not change the pixels.
    return_treatment : bool
        Return what was done to the images, too.

    Returns
    -------
    array, tensor or list, or a pair of it and a list of ``Treatment``
        The clean images in the form of the given ones; a list for a sequence. On a GPU they may
        differ from the CPU's by one grey level, and by more in the few patches whose two best atoms
        are equally good.

    Raises
    ------
    InputError
        As for ``purify``, or if the device cannot be used.
    """
    defense = _purifier(parameters, localization, mask, policy)
    defended = _defended(defense, _sole_dictionary(defense, dictionary), device)
    return _cleaned(images, defended, mask, batch_size, return_treatment)


def defend(
    images: Images,
    defense: Defense | str,
    dictionaries: Dictionaries = None,
    seed: int = 0,
    *,
    device: str = "auto",
    batch_size: int = PurifyRunParameters.batch_size,
    return_treatment: bool = False,
) -> Any:
    """Clean a batch of images with any defense, on a GPU if there is one.

    Parameters
    ----------
    images : array or tensor of shape (n, h, w, 3) or (n, 3, h, w), or sequence of images
        RGB, uint8 or floating point in [0, 1].
    defense : Defense or str
        One defense, as on the command line: ``"jpeg:quality=40"``, ``"bilateral+jpeg"``,
        ``"policy:default"``.
    dictionaries : Dictionary or path, or mapping of str to them, optional
        Required by ``regionsparse`` and most policies. In a mapping, "" is the default dictionary.
    seed : int
        Seed of the defenses that draw random numbers.
    device, batch_size, return_treatment
        As for ``purify_batch``. Defenses without a GPU part run on the CPU cores.

    Returns
    -------
    array, tensor or list, or a pair of it and a list of ``Treatment``
        The clean images in the form of the given ones; a list for a sequence.

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
    >>> grey = np.full((1, 8, 8, 3), 130, dtype=np.uint8)
    >>> defend(grey, "bit-depth:bits=1", return_treatment=True)[1][0].change
    Change(psnr=6.19, linf=125)
    """
    chosen = find_defense(defense)
    resources = resources_of(chosen, dictionaries, seed)
    defended = _defended(chosen, resources, device)
    return _cleaned(images, defended, None, batch_size, return_treatment)


def _purifier(
    parameters: PurifyParameters | None,
    localization: LocalizeParameters | None,
    mask: NDArray[np.bool_] | None,
    policy: str | None,
) -> Defense:
    """Return RegionSparse with the given parameters, or a policy if there are none."""
    from rsparse.defenses import RegionSparse
    from rsparse.defenses.policy import DEFAULT_POLICY, load_policy

    if parameters is not None:
        if policy is not None:
            raise InputError("policy and parameters cannot be used together; give one of them")
        return RegionSparse(**asdict(parameters), **asdict(localization or LocalizeParameters()))
    defense = load_policy(policy or DEFAULT_POLICY).defense
    if localization is not None or (mask is not None and not defense.takes_mask):
        argument = "mask" if localization is None else "localization"
        raise InputError(
            f"{argument}: cannot be used without parameters, such as PurifyParameters(), since the "
            f"policy {defense.policy} chooses which part of an image to code"
        )
    return defense


def _sole_dictionary(defense: Defense, dictionary: Dictionary | Path | str | None) -> Resources:
    """Use one dictionary for every dictionary name of the defense."""
    from rsparse.defenses import Resources

    if dictionary is None:
        return resources_of(defense, None, seed=0)
    return Resources(dict.fromkeys(defense.dictionaries, _dictionary(dictionary)))


def resources_of(defense: Defense, dictionaries: Dictionaries, seed: int) -> Resources:
    """Return what a defense needs.

    One dictionary without a name is the default one; if there is none, the default one is the one
    that comes with rsparse.
    """
    from rsparse.data import embedded_dictionary
    from rsparse.defenses import Resources

    named: dict[str, Any] = {}
    if isinstance(dictionaries, Mapping):
        named.update(dictionaries)
    elif dictionaries is not None:
        named[""] = dictionaries
    if "" in defense.dictionaries:
        named.setdefault("", embedded_dictionary())
    return Resources({name: _dictionary(value) for name, value in named.items()}, seed)


def _dictionary(value: Dictionary | Path | str) -> Dictionary:
    """A dictionary, which is loaded if its path is given."""
    from rsparse.core.dictionary import Dictionary
    from rsparse.store.dictionaries import load_dictionary

    if isinstance(value, Dictionary):
        return value
    if not isinstance(value, str | Path):
        raise InputError(f"dictionary: expected a Dictionary or a path, got {value!r:.80}")
    return load_dictionary(value)[0]


def _defended(defense: Defense, resources: Resources, device: str) -> DefendedImages:
    """Put a defense on a device, after a check of what it asks for."""
    from rsparse.defended.images import DefendedImages
    from rsparse.work.device import choose_device

    defense.check(resources)
    defense.check_strength(resources)
    return DefendedImages(defense, resources, choose_device(device))


def find_defense(defense: Defense | str) -> Defense:
    """Return the one defense that a spec names.

    Raises
    ------
    InputError
        If the spec is unusable or names several.
    """
    from rsparse.defenses import parse_defense

    defenses = parse_defense(defense) if isinstance(defense, str) else [defense]
    if len(defenses) != 1:
        raise InputError(f"defense: expected one, got {len(defenses)} from {defense!r}")
    return defenses[0]


def _cleaned(
    images: Images,
    defended: DefendedImages,
    mask: NDArray[np.bool_] | None,
    batch_size: int,
    with_treatments: bool,
) -> Any:
    """Clean images in batches, and return them in the form in which they were given."""
    from rsparse.work.one_core import one_thread
    from rsparse.work.workers import chunked

    batch = read_images(images)
    treated = []
    with one_thread():  # as the command, so that the bytes are the same
        for some in chunked(batch.pixels, batch_size):
            treated += defended.treat(some, mask)
    cleaned = batch.like([clean for clean, _ in treated])
    return (cleaned, [treatment for _, treatment in treated]) if with_treatments else cleaned
