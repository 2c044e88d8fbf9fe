"""The engine for the CPU: OpenCV's filter, our inner loops and NumPy, one image at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsparse.core.dictionary import Dictionary
from rsparse.core.engines.cpu.coding import coded_bands, sparse_code
from rsparse.core.engines.cpu.loops import Loops
from rsparse.core.engines.engine import Engine, Floats, Mask, Pixels
from rsparse.core.filters import bilateral

Array = NDArray[Any]


class CpuEngine(Engine[Array]):
    """Runs the inner loops in numba or NumPy; grey levels are uint8.

    It processes one image at a time, which saves memory and stays in the CPU's caches.
    """

    most_images = 1

    def __init__(self, loops: Loops) -> None:
        self.name = loops.name
        self._loops = loops

    def upload(self, images: Sequence[Pixels]) -> Array:
        return stacked(images)

    def download(self, images: Array) -> Pixels:
        return images

    def bilateral(
        self,
        images: Array,
        chosen: Sequence[int],
        diameter: int,
        sigma_color: float,
        sigma_space: float,
    ) -> Array:
        sigmas = sigma_color, sigma_space
        return stacked(
            [
                bilateral(image, diameter, *sigmas) if number in chosen else image
                for number, image in enumerate(images)
            ]
        )

    def sparse_code(
        self,
        images: Array,
        masks: Sequence[Mask],
        dictionary: Dictionary,
        sparsity: int,
        stride: int,
        min_correlation: float,
    ) -> tuple[Array, Array]:
        coded = [
            sparse_code(
                image,
                dictionary,
                sparsity,
                stride,
                mask,
                1,
                min_correlation,
                self._loops,
            )
            for image, mask in zip(images, masks, strict=True)
        ]
        return stacked([x_o for x_o, _ in coded]), stacked([covered for _, covered in coded])

    def code_over(
        self,
        images: Array,
        masks: Sequence[Mask],
        dictionary: Dictionary,
        stops: tuple[int, int, float],
        theta: Sequence[Floats],
        background: Array,
    ) -> Array:
        """Blend each band of rows as soon as it is coded; other rows are background."""
        sparsity, stride, min_correlation = stops
        blended = background.copy()
        for number, (image, mask) in enumerate(zip(images, masks, strict=True)):
            bands = coded_bands(
                image, dictionary, (sparsity, min_correlation), stride, mask, inner=self._loops
            )
            for band in bands:
                place = slice(band.top, band.top + len(band.average)), slice(None), band.channels
                blended[number][place] = _blended(
                    band.average, band.covered, theta[number][place[0]], background[number][place]
                )
        return blended

    def blend(
        self, coded: Array, covered: Array, theta: Sequence[Floats], background: Array
    ) -> Array:
        return _blended(coded, covered, stacked(theta), background)


def _blended(coded: Array, covered: Array, theta: Floats, background: Array) -> Pixels:
    weight = np.where(covered, theta, 0)[..., None]
    mixed = weight * np.clip(coded, 0, 1) * np.float32(255) + (1 - weight) * background
    return np.rint(mixed).astype(np.uint8)


def stacked(images: Sequence[Array]) -> Array:
    """Stack arrays along a new first axis, without copying a single one."""
    return images[0][None] if len(images) == 1 else np.stack(images)
