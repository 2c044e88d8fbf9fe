"""RegionSparse on batches, by torch: ``core.regionsparse.purify`` for many images at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsparse.core.dictionary import Dictionary
from rsparse.core.engines.torch.coding import sparse_code
from rsparse.core.engines.torch.filters import bilateral
from rsparse.core.engines.torch.grids import Grid
from rsparse.core.engines.torch.kernels import current
from rsparse.core.engines.torch.precision import float32_in_full
from rsparse.core.engines.torch.sending import sent
from rsparse.core.regionsparse import Region
from rsparse.errors import InputError
from rsparse.options.purify import PurifyParameters

Pixels = NDArray[np.uint8]


def purify_together(
    images: Sequence[Pixels],
    regions: Sequence[Region],
    dictionary: Dictionary,
    parameters: PurifyParameters,
    device: str,
) -> list[Pixels]:
    """Purify images of any sizes, those of one size together.

    Parameters
    ----------
    images : sequence of uint8 arrays of shape (h, w, 3), RGB
    regions : sequence of Region
        What ``core.regionsparse.object_region`` says of each image.
    dictionary : Dictionary
    parameters : PurifyParameters
    device : str
        torch's name of it.

    Returns
    -------
    list of uint8 arrays of shape (h, w, 3)
        An image's pixels do not depend on the others.

    Raises
    ------
    InputError
        If the device's memory is too small for even one image.
    """
    alike: dict[tuple[int, ...], list[int]] = {}
    for number, image in enumerate(images):
        alike.setdefault(image.shape, []).append(number)
    clean: dict[int, Pixels] = {}
    for numbers in alike.values():
        own = [regions[number] for number in numbers]
        pixels = np.stack([images[number] for number in numbers])
        results = purify_same_size(pixels, own, dictionary, parameters, device)
        clean.update(zip(numbers, results, strict=True))
    return [clean[number] for number in range(len(images))]


def purify_same_size(
    images: Pixels,
    regions: Sequence[Region],
    dictionary: Dictionary,
    parameters: PurifyParameters,
    device: str,
) -> Pixels:
    """Purify images (n, h, w, 3) of one size; fewer at a time if memory is short."""
    try:
        with torch.inference_mode(), float32_in_full(), current(torch.device(device)):
            clean = purified(images, regions, dictionary, parameters, torch.device(device))
            return np.asarray(clean.cpu().numpy(), dtype=np.uint8)
    except torch.OutOfMemoryError:
        pass  # outside of this block, so that nothing holds on to the failed attempt's memory
    half = len(images) // 2
    if half == 0:
        height, width = images.shape[1:3]
        raise InputError(
            f"is {width}×{height} pixels, too large for the memory of device {device!r}; "
            "use a larger --stride, or --device cpu"
        )
    parts = (slice(half), slice(half, None))
    return np.concatenate(
        [
            purify_same_size(images[part], regions[part], dictionary, parameters, device)
            for part in parts
        ]
    )


def purified(
    images: Pixels,
    regions: Sequence[Region],
    dictionary: Dictionary,
    parameters: PurifyParameters,
    device: torch.device,
) -> Tensor:
    """Eq. (19) for images (n, h, w, 3) of one size: on the device, perhaps not yet."""
    height, width = images.shape[1:3]
    where = Grid.over((height, width), dictionary.patch_size, parameters.stride)
    places = [where.touching(own.theta > 0, dictionary.patch_size) for own in regions]
    pixels = sent(images, device).float()
    filtered = _filtered(pixels, regions, parameters)
    theta = _theta(regions, device)
    x = filtered if parameters.prefilter else pixels
    x_o, covered = sparse_code(
        x / 255, dictionary, parameters.sparsity, where, places, parameters.min_correlation
    )
    weight = (theta * covered)[..., None]
    mixed = weight * x_o.clamp_(0, 1) * 255
    mixed += (1 - weight) * (filtered if parameters.filter_background else pixels)
    return mixed.round_().to(torch.uint8)


def _theta(regions: Sequence[Region], device: torch.device) -> Tensor:
    """θ of each image, (n, h, w); nothing is sent where it is 1 all over."""
    if all(own.mask.all() for own in regions):
        return torch.ones((len(regions), *regions[0].mask.shape), device=device)
    return sent(np.stack([own.theta for own in regions]), device)


def _filtered(pixels: Tensor, regions: Sequence[Region], parameters: PurifyParameters) -> Tensor:
    """Images (n, h, w, 3), those behind the bilateral filter of which it is used for anything."""
    before = parameters.prefilter
    outside = [parameters.filter_background and not own.mask.all() for own in regions]
    numbers = [number for number, used in enumerate(outside) if before or used]
    if not numbers:
        return pixels
    some = sent(np.array(numbers), pixels.device)
    smooth = bilateral(
        pixels[some].permute(0, 3, 1, 2).contiguous(),
        parameters.bilateral_diameter,
        parameters.bilateral_sigma_color,
        parameters.bilateral_sigma_space,
    )
    return pixels.index_copy(0, some, smooth.permute(0, 2, 3, 1))
