"""Differentiate RegionSparse: run it as the product does, and carry a gradient back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsparse.core.backward.bilateral import bilateral_vjp
from rsparse.core.backward.coder import CodeRecorder, coding_vjp
from rsparse.core.dictionary import Dictionary
from rsparse.core.engines.cpu import loops as engine_loops
from rsparse.core.engines.cpu.engine import CpuEngine
from rsparse.core.engines.engine import Engine, Mask
from rsparse.core.regionsparse import Region, covering_stride, object_region, purify_batch
from rsparse.options.localize import LocalizeParameters
from rsparse.options.purify import PurifyParameters

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


class RecordingEngine(CpuEngine):
    """The engine for the CPU, which notes what it codes; for a single image."""

    def __init__(self, share: int) -> None:
        self.recorder = CodeRecorder(share)
        super().__init__(self.recorder.on(engine_loops.fastest))
        self.coding: Coding | None = None

    code_over = Engine.code_over  # not in bands, since the backward pass needs whole layers

    def sparse_code(
        self,
        images: NDArray[np.uint8],
        masks: Sequence[Mask],
        dictionary: Dictionary,
        sparsity: int,
        stride: int,
        min_correlation: float,
    ) -> tuple[Floats, Mask]:
        coded, covered = super().sparse_code(
            images, masks, dictionary, sparsity, stride, min_correlation
        )
        self.coding = Coding(masks[0], coded[0], covered[0])
        return coded, covered


@dataclass(frozen=True)
class Coding:
    """Where an image was coded, and the result as in ``sparse_code``."""

    mask: Mask
    coded: Floats
    covered: Mask


@dataclass(frozen=True)
class PurifiedImage:
    """The result of RegionSparse for one image, and what its backward pass needs."""

    pixels: Pixels
    image: Pixels
    region: Region
    dictionary: Dictionary
    parameters: PurifyParameters
    engine: RecordingEngine

    def vjp(self, upper: Floats) -> Floats:
        """Multiply a gradient by the Jacobian of ``purify``, transposed.

        The object region and the atoms are held, and rounding is passed over. Where a coded colour
        lies outside [0, 1], clipping makes the derivative 0.

        Parameters
        ----------
        upper : float32 array of shape (h, w, 3)
            Gradient with respect to ``pixels``.

        Returns
        -------
        float32 array of shape (h, w, 3)
            Gradient with respect to ``image``, in the same unit.
        """
        upper = np.asarray(upper, dtype=np.float32)
        coding, values = self.engine.coding, self.parameters
        through_code, background = np.zeros_like(upper), upper
        if coding is not None:
            theta = np.where(coding.covered, self.region.theta, 0)[:, :, None].astype(np.float32)
            inside = (coding.coded > 0) & (coding.coded < 1)
            through_code = coding_vjp(
                theta * inside * upper,
                self.dictionary,
                covering_stride(values, self.dictionary),
                coding.mask,
                self.engine.recorder,
            )
            background = (1 - theta) * upper
        is_filtered = values.prefilter or bool((self.region.theta < 1).any())
        filtered, direct = np.zeros_like(upper), np.zeros_like(upper)
        for part, passes_filter in (
            (through_code, values.prefilter),
            (background, values.filter_background and is_filtered),
        ):
            target = filtered if passes_filter else direct
            target += part
        if filtered.any():
            sigmas = values.bilateral_sigma_color, values.bilateral_sigma_space
            direct += bilateral_vjp(self.image, filtered, values.bilateral_diameter, *sigmas)
        return direct


def purify_recorded(
    image: Pixels,
    dictionary: Dictionary,
    parameters: PurifyParameters,
    localization: LocalizeParameters | None = None,
    share: int = 0,
) -> PurifiedImage:
    """Clean one image as ``core.regionsparse.purify`` does, and note what a backward pass needs.

    Parameters
    ----------
    image, dictionary, parameters, localization
        As in ``purify``.
    share : int
        U: the backward pass projects a patch of K atoms onto the U·K atoms that correlate most with
        it. With 0 it holds the K atoms.
    """
    region = object_region(image, dictionary, parameters, localization)
    engine = RecordingEngine(share)
    (pixels,) = purify_batch([image], [region], dictionary, parameters, engine)
    return PurifiedImage(pixels, image, region, dictionary, parameters, engine)
