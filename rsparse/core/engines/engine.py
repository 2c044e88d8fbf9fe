"""What an engine is: the functions of which ``core.regionsparse`` makes the method."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from rsparse.core.dictionary import Dictionary

Array = TypeVar("Array")
Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]


class Engine(ABC, Generic[Array]):
    """Computes the steps of the method for images of one size.

    ``Array`` is what the engine keeps images in: NumPy arrays, torch tensors on a device. What the
    method decides (which images are filtered, where they are coded, θ) it hands over in NumPy.
    A step of the method is one abstract function here, and one function in each engine.

    What has to be equal among engines
        ``covered``, all shapes, and which images a step changes: exactly. Filtered and blended
        grey levels: within 1, and equal in 99 % of the values. Coded values: within 1e-4 in
        99.9 %; the others belong to patches whose two best atoms are equally good up to rounding.
    What has to be equal within an engine
        Every byte, whatever other images are in the batch.

    Attributes
    ----------
    name : str
        ``numpy``, ``numba``, ``torch`` or ``triton``.
    device : str
        Where it computes, as torch names it.
    most_images : int or None
        So many images of one size it takes together; any number if None.
    out_of_memory : tuple of exception types
        What it raises where its memory is too small; fewer images may then fit.
    """

    name: str
    device: str = "cpu"
    most_images: ClassVar[int | None] = None
    out_of_memory: ClassVar[tuple[type[Exception], ...]] = ()

    def session(self) -> AbstractContextManager[object]:
        """What has to hold while the engine computes: every other call is made within one."""
        return nullcontext()

    @abstractmethod
    def upload(self, images: Sequence[Pixels]) -> Array:
        """Images (h, w, 3), uint8 RGB, as the engine keeps them: (n, h, w, 3), grey levels."""

    @abstractmethod
    def download(self, images: Array) -> Pixels:
        """Images (n, h, w, 3) of whole grey levels as uint8 in NumPy."""

    @abstractmethod
    def bilateral(
        self,
        images: Array,
        chosen: Sequence[int],
        diameter: int,
        sigma_color: float,
        sigma_space: float,
    ) -> Array:
        """Filter some of the images as OpenCV's bilateral filter does.

        Parameters
        ----------
        images : Array of shape (n, h, w, 3)
            Whole grey levels; left as they are.
        chosen : sequence of int
            Which ones, one at least; the others are given back unfiltered.
        diameter, sigma_color, sigma_space
            As of ``core.filters.bilateral``.

        Returns
        -------
        Array of shape (n, h, w, 3), whole grey levels
        """

    @abstractmethod
    def sparse_code(
        self,
        images: Array,
        masks: Sequence[Mask],
        dictionary: Dictionary,
        sparsity: int,
        stride: int,
        min_correlation: float,
    ) -> tuple[Array, Array]:
        """Replace images by the average of their sparsely coded, overlapping patches.

        Each patch dimension is z-scored (eq. 17) by its mean and deviation over the image's whole
        grid of patches, coded by OMP, and scaled back.

        Parameters
        ----------
        images : Array of shape (n, h, w, 3)
            Whole grey levels; left as they are.
        masks : sequence of n bool arrays of shape (h, w)
            Patches that touch a true pixel are coded.
        dictionary : Dictionary
        sparsity, stride, min_correlation
            As of ``PurifyParameters``.

        Returns
        -------
        coded : Array of shape (n, h, w, 3), float32
            Colours of which 0 to 1 can be seen, not clipped; 0 where no coded patch lies.
        covered : Array of shape (n, h, w), bool
            Where a coded patch lies.
        """

    @abstractmethod
    def blend(
        self, coded: Array, covered: Array, theta: Sequence[Floats], background: Array
    ) -> Array:
        """θ · coded + (1 − θ) · background, eq. (19), with θ = 0 where no coded patch lies.

        Parameters
        ----------
        coded, covered : Array
            Of ``sparse_code``. May be overwritten; coded colours are clipped to [0, 1].
        theta : sequence of n float32 arrays of shape (h, w), in [0, 1]
        background : Array of shape (n, h, w, 3), whole grey levels

        Returns
        -------
        Array of shape (n, h, w, 3), whole grey levels
            Rounded to the nearest, half to even.
        """
