"""RegionSparse (Section IV-C): sparse coding on the object, a bilateral filter around it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from rsparse.core.filters import bilateral
from rsparse.core.localization import locate_object
from rsparse.core.omp import gram_matrix, omp, reconstruct
from rsparse.core.patches import OverlapAverage, patch_statistics, positions, take
from rsparse.errors import InputError
from rsparse.parameters import LocalizeParameters, PurifyParameters

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

_BLOCK = 16384  # patches in memory at a time


@dataclass(frozen=True)
class Dictionary:
    """Ψ and how its patches were made.

    Attributes
    ----------
    atoms : float32 array of shape (n_atoms, b·b·c)
        Atoms as rows, each of norm 1.
    patch_size : int
        b.
    color : bool
        Colour patches (c = 3), or grey ones (c = 1), with which each channel is coded by itself.
    normalize : bool
        Whether patches are z-scored (eq. 17) before coding.
    """

    atoms: Floats
    patch_size: int
    color: bool = True
    normalize: bool = True

    def __post_init__(self) -> None:
        if self.patch_size < 1:
            raise InputError(
                f"dictionary: expected a patch size of 1 or more, got {self.patch_size}"
            )
        expected = self.patch_size**2 * self.channels
        if self.atoms.ndim != 2 or self.atoms.shape[1] != expected or len(self.atoms) < 1:
            kind = "colour" if self.color else "grey"
            raise InputError(
                f"dictionary: expected atoms of {expected} numbers for {kind} patches of "
                f"{self.patch_size}×{self.patch_size}, got an array of shape {self.atoms.shape}"
            )
        if not np.isfinite(self.atoms).all():
            raise InputError("dictionary: holds numbers that are not finite")
        norms = np.linalg.norm(self.atoms, axis=1)
        if not np.allclose(norms, 1, atol=1e-3):
            worst = int(np.abs(norms - 1).argmax())
            raise InputError(
                f"dictionary: expected atoms of norm 1, atom {worst} has {norms[worst]:.3g}"
            )

    @property
    def channels(self) -> int:
        """c, the channels of a patch."""
        return 3 if self.color else 1

    @cached_property
    def gram(self) -> Floats:
        """Inner products of all atoms."""
        return gram_matrix(self.atoms)


def purify(
    image: Pixels,
    dictionary: Dictionary,
    parameters: PurifyParameters | None = None,
    localization: LocalizeParameters | None = None,
    mask: Mask | None = None,
) -> Pixels:
    """Clean one image by RegionSparse: F(x) = θ C(x_o) + (1 − θ) C(x_b), eq. (19).

    Parameters
    ----------
    image : uint8 array of shape (h, w, 3), RGB
        Each side at least the dictionary's patch size.
    dictionary : Dictionary
    parameters : PurifyParameters, optional
    localization : LocalizeParameters, optional
        How the object region is found where no mask is given.
    mask : bool array of shape (h, w), optional
        True on the object region.

    Returns
    -------
    uint8 array of shape (h, w, 3), RGB

    Raises
    ------
    InputError
        If the image is smaller than a patch, or the mask has another size.
    """
    parameters = parameters or PurifyParameters()
    b = dictionary.patch_size
    height, width = image.shape[:2]
    if min(height, width) < b:
        raise InputError(f"is {width}×{height} pixels, smaller than a patch of {b}×{b}")
    mask = _object_region(image, parameters, localization, mask)
    theta = _soft(mask, parameters.feather)
    x_b = image
    if parameters.background and not mask.all():
        x_b = bilateral(
            image,
            parameters.bilateral_diameter,
            parameters.bilateral_sigma_color,
            parameters.bilateral_sigma_space,
        )
    if not mask.any():
        return x_b
    x = image.astype(np.float32) / np.float32(255)
    x_o, covered = sparse_code(x, dictionary, parameters.sparsity, parameters.stride, theta > 0)
    weight = np.where(covered, theta, 0)[:, :, None]
    mixed = weight * np.clip(x_o, 0, 1) * np.float32(255) + (1 - weight) * x_b
    return np.rint(mixed).astype(np.uint8)


def _object_region(
    image: Pixels,
    parameters: PurifyParameters,
    localization: LocalizeParameters | None,
    mask: Mask | None,
) -> Mask:
    height, width = image.shape[:2]
    if not parameters.localize:
        return np.ones((height, width), dtype=bool)
    if mask is None:
        return locate_object(image, localization)[0]
    if mask.shape != (height, width):
        raise InputError(f"is {width}×{height} pixels, its mask {mask.shape[1]}×{mask.shape[0]}")
    return mask.astype(bool)


def _soft(mask: Mask, feather: float) -> Floats:
    """θ for each pixel: 1 inside the region, 0 outside, a ramp across the border."""
    theta = mask.astype(np.float32)
    if feather == 0 or mask.all():
        return theta
    blurred = cv2.GaussianBlur(theta, (0, 0), feather)
    return np.where(blurred < 1e-3, 0, blurred).astype(np.float32)


def sparse_code(
    x: Floats, dictionary: Dictionary, sparsity: int, stride: int, mask: Mask | None = None
) -> tuple[Floats, Mask]:
    """Replace an image by the average of its sparsely coded, overlapping patches.

    Each patch dimension is z-scored by its mean and deviation over this image's grid of patches,
    coded with at most K atoms, and scaled back.

    Parameters
    ----------
    x : float32 array of shape (h, w, 3), in [0, 1]
    dictionary : Dictionary
    sparsity : int
        K.
    stride : int
        Pixels between neighbouring patches.
    mask : bool array of shape (h, w), optional
        Code only patches that touch a true pixel.

    Returns
    -------
    coded : float32 array of shape (h, w, 3)
        Not clipped; 0 where no patch lies.
    covered : bool array of shape (h, w)
    """
    if dictionary.color:
        return _code_layer(x, dictionary, sparsity, stride, mask)
    layers = [
        _code_layer(x[:, :, [channel]], dictionary, sparsity, stride, mask) for channel in range(3)
    ]
    return np.concatenate([coded for coded, _ in layers], axis=2), layers[0][1]


def _code_layer(
    x: Floats, dictionary: Dictionary, sparsity: int, stride: int, mask: Mask | None
) -> tuple[Floats, Mask]:
    b = dictionary.patch_size
    mean = np.zeros(b * b * x.shape[2], dtype=np.float32)
    deviation = np.ones_like(mean)
    if dictionary.normalize:
        mean, deviation = patch_statistics(x, b, stride)
    scale = np.divide(1, deviation, out=np.zeros_like(deviation), where=deviation > 1e-6)
    corners = positions((x.shape[0], x.shape[1]), b, stride, mask)
    average = OverlapAverage((x.shape[0], x.shape[1], x.shape[2]), b)
    for start in range(0, len(corners), _BLOCK):
        block = corners[start : start + _BLOCK]
        signals = (take(x, block, b) - mean) * scale
        codes = omp(signals, dictionary.atoms, sparsity, dictionary.gram)
        average.add(reconstruct(*codes, dictionary.atoms) * deviation + mean, block)
    return average.image()
