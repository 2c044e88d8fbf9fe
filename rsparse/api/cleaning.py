"""Clean arrays of images with RegionSparse, a policy or any other defense."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rsparse.errors import InputError
from rsparse.options.localize import LocalizeParameters
from rsparse.options.purify import PurifyParameters, PurifyRunParameters

if TYPE_CHECKING:
    from rsparse.core.dictionary import Dictionary
    from rsparse.defended.images import DefendedImages
    from rsparse.defenses import Defense, Resources

Pixels = NDArray[np.uint8]
Images = NDArray[np.uint8] | Sequence[Pixels]


def purify(
    image: Pixels,
    dictionary: Dictionary,
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
    image : uint8 array of shape (h, w, 3), RGB
    dictionary : Dictionary
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
    uint8 array of shape (h, w, 3), RGB; with ``return_treatment`` a pair of this array and a
    ``Treatment``: the parts of the defense that were applied, with the policy's rule and what it
    measured, K and the share of the object region, and the change of the image.

    Raises
    ------
    InputError
        If the image is not uint8 RGB, the image or the mask has an unusable size, there is no such
        policy, or the arguments cannot be used together.
    """
    _require_pixels(image, "image")
    defense = _purifier(parameters, localization, mask, policy)
    from rsparse.defended.images import DefendedImages

    defended = DefendedImages(defense, _sole_dictionary(defense, dictionary))
    ((pixels, treatment),) = defended.treat([image], mask)
    return (pixels, treatment) if return_treatment else pixels


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
    return_treatment: bool = False,
) -> Any:
    """Clean a batch of images as ``purify`` does, on a GPU if there is one.

    Parameters
    ----------
    images : uint8 array of shape (n, h, w, 3), or sequence of images
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
    An array (n, h, w, 3) if ``images`` is an array, else a list of images. On a GPU they may differ
    from the CPU's by one grey level, and by more in the few patches whose two best atoms are
    equally good. With ``return_treatment``, a pair of these and a list of ``Treatment``.

    Raises
    ------
    InputError
        As for ``purify``, or if the device cannot be used.
    """
    from rsparse.defended.images import DefendedImages
    from rsparse.work.device import choose_device

    defense = _purifier(parameters, localization, mask, policy)
    resources = _sole_dictionary(defense, dictionary)
    defended = DefendedImages(defense, resources, choose_device(device))
    return _cleaned(images, defended, mask, batch_size, return_treatment)


def defend(
    images: Images,
    defense: Defense | str,
    dictionaries: Mapping[str, Dictionary] | Dictionary | None = None,
    seed: int = 0,
    *,
    device: str = "auto",
    batch_size: int = PurifyRunParameters.batch_size,
    return_treatment: bool = False,
) -> Any:
    """Clean a batch of images with any defense, on a GPU if there is one.

    Parameters
    ----------
    images : uint8 array of shape (n, h, w, 3), or sequence of images
    defense : Defense or str
        One defense, as on the command line: ``"jpeg:quality=40"``, ``"bilateral+jpeg"``,
        ``"policy:default"``.
    dictionaries : Dictionary, or mapping of str to Dictionary, optional
        Required by ``regionsparse`` and most policies. In a mapping, "" is the default dictionary.
    seed : int
        Seed of the defenses that draw random numbers.
    device, batch_size, return_treatment
        As for ``purify_batch``. Defenses without a GPU part run on the CPU cores.

    Returns
    -------
    An array (n, h, w, 3) if ``images`` is an array, else a list of images; with
    ``return_treatment`` a pair of these and a list of ``Treatment``.

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
    from rsparse.defended.images import DefendedImages
    from rsparse.work.device import choose_device

    resources = resources_of(dictionaries, seed)
    defended = DefendedImages(find_defense(defense), resources, choose_device(device))
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


def _sole_dictionary(defense: Defense, dictionary: Dictionary) -> Resources:
    """Use one dictionary for every dictionary name of the defense."""
    from rsparse.defenses import Resources

    return Resources(dict.fromkeys(defense.dictionaries, dictionary))


def resources_of(
    dictionaries: Mapping[str, Dictionary] | Dictionary | None, seed: int
) -> Resources:
    """Return what defenses need; one dictionary without a name is the default one."""
    from rsparse.core.dictionary import Dictionary
    from rsparse.defenses import Resources

    named = {"": dictionaries} if isinstance(dictionaries, Dictionary) else dictionaries or {}
    return Resources(named, seed)


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


def _require_pixels(image: Any, name: str) -> None:
    """Refuse an image of another type or shape, which a defense could misread."""
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise InputError(
            f"{name}: expected uint8 of shape (h, w, 3), got {pixels.dtype} {pixels.shape}"
        )


def _cleaned(
    images: Images,
    defended: DefendedImages,
    mask: NDArray[np.bool_] | None,
    batch_size: int,
    with_treatments: bool,
) -> Any:
    """Clean images in batches; return an array for an array, else a list."""
    from rsparse.work.workers import chunked

    for number, image in enumerate(images):
        _require_pixels(image, f"image {number}")
    treated = []
    for batch in chunked(list(images), batch_size):
        treated += defended.treat(batch, mask)
    pixels = [clean for clean, _ in treated]
    cleaned = np.stack(pixels) if isinstance(images, np.ndarray) else pixels
    return (cleaned, [treatment for _, treatment in treated]) if with_treatments else cleaned
