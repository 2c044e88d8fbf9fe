"""Images in the forms in which people hold them: NumPy or torch, channels last or first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsparse.core.tensors import is_tensor
from rsparse.errors import InputError
from rsparse.store.images import to_pixels, to_unit

Pixels = NDArray[np.uint8]
Images = Any
"""An array or tensor of images of one size, or a sequence of images; see ``read_images``."""


@dataclass(frozen=True)
class Form:
    """How an image is held.

    Attributes
    ----------
    channels_first : bool
        (3, h, w) instead of (h, w, 3).
    kind : dtype
        uint8, or floating point in [0, 1].
    device : torch.device or None
        That of a tensor.
    """

    channels_first: bool
    kind: Any
    device: Any = None

    def of(self, pixels: Pixels) -> Any:
        """Hold pixels (h, w, 3) in this form."""
        array: Any = pixels.transpose(2, 0, 1) if self.channels_first else pixels
        array = np.ascontiguousarray(array)
        if self.device is None:
            return array if self.kind == np.uint8 else to_unit(array).astype(self.kind)
        import torch

        if self.kind == torch.uint8:
            return torch.from_numpy(array).to(self.device)
        return torch.from_numpy(to_unit(array)).to(self.device, self.kind)


@dataclass(frozen=True)
class ImageBatch:
    """Images as pixels, and the form in which they were given.

    Attributes
    ----------
    pixels : list of uint8 arrays of shape (h, w, 3), RGB
        Floating-point images are rounded, as in a file.
    forms : list of Form
    stacked : bool
        Whether they were one array or tensor.
    """

    pixels: list[Pixels]
    forms: list[Form]
    stacked: bool

    def like(self, images: Sequence[Pixels]) -> Any:
        """Hold as many other images in the form of these."""
        held = [form.of(image) for form, image in zip(self.forms, images, strict=True)]
        if not self.stacked:
            return held
        if self.forms[0].device is None:
            return np.stack(held)
        import torch

        return torch.stack(held)


def read_images(images: Images) -> ImageBatch:
    """Read images in any form.

    Parameters
    ----------
    images : array or tensor of shape (n, h, w, 3) or (n, 3, h, w), or sequence of images
        RGB, uint8 or floating point in [0, 1]. The images of a sequence have the shape (h, w, 3) or
        (3, h, w); their sizes and forms may differ.

    Raises
    ------
    InputError
        If there is none, or one has another shape or type, values outside [0, 1], or a shape that
        can be read in both ways.
    """
    stacked = isinstance(images, np.ndarray) or is_tensor(images)
    if stacked and images.ndim != 4:
        raise InputError(
            "images: expected an array of shape (n, h, w, 3) or (n, 3, h, w), "
            f"got {tuple(images.shape)}"
        )
    if len(images) == 0:
        raise InputError("images: expected at least one, got none")
    read = [read_image(image, f"image {number}") for number, image in enumerate(images)]
    return ImageBatch([pixels for pixels, _ in read], [form for _, form in read], stacked)


def read_image(image: Any, name: str = "image") -> tuple[Pixels, Form]:
    """Read one image, (h, w, 3) or (3, h, w), in any form; ``name`` starts the errors."""
    device, kind = None, None
    if is_tensor(image):
        device, kind = image.device, image.dtype
        image = image.detach().cpu()
        image = image.float().numpy() if kind.is_floating_point else image.numpy()
    array = np.asarray(image)
    kind = kind or array.dtype
    if array.dtype != np.uint8 and not np.issubdtype(array.dtype, np.floating):
        raise InputError(f"{name}: expected uint8, or floating point in [0, 1], got {array.dtype}")
    form = Form(_channels_first(array.shape, name), kind, device)
    pixels = _rounded(array, name)
    return np.ascontiguousarray(pixels.transpose(1, 2, 0) if form.channels_first else pixels), form


def _channels_first(shape: tuple[int, ...], name: str) -> bool:
    if len(shape) != 3 or 3 not in (shape[0], shape[2]):
        raise InputError(f"{name}: expected shape (h, w, 3) or (3, h, w), got {shape}")
    if shape[0] == shape[2]:
        raise InputError(f"{name}: the shape {shape} can be read as (h, w, 3) and as (3, h, w)")
    return shape[0] == 3


def _rounded(array: NDArray[Any], name: str) -> Pixels:
    if array.dtype == np.uint8:
        return array
    low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
    if not (low >= 0 and high <= 1):
        hint = "; divide by 255, or use uint8" if low >= 0 and 1 < high <= 255 else ""
        hint = "; clean images before they are normalised" if -5 < low < 0 and high < 5 else hint
        raise InputError(f"{name}: expected values in [0, 1], got {low:g} to {high:g}{hint}")
    return to_pixels(array.astype(np.float32))
