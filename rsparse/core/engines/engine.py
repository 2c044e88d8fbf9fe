"""Define the interface of engines, from whose steps ``core.regionsparse`` builds the method."""

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

    ``Array`` is the type in which the engine keeps images: a NumPy array, or a torch tensor on a
    device. The method passes its decisions (which images to filter, where to code, θ) in NumPy.
    Each step of the method is one abstract method here and one implementation in each engine.

    Agreement between engines
        ``covered``, all shapes, and the choice of changed images agree exactly. Filtered and
        blended grey levels agree within 1, and 99 % of them exactly. Coded values agree within
        1e-4 in 99.9 % of cases; the others belong to patches whose two best atoms are equally good
        up to rounding.
    Agreement within an engine
        Results have the same bytes, whichever other images are in the batch.

    Attributes
    ----------
    name : str
        ``numpy``, ``numba``, ``torch`` or ``triton``.
    device : str
        Torch's name of the device on which it computes.
    most_images : int or None
        Maximum number of images of one size in a batch; None for no limit.
    out_of_memory : tuple of exception types
        Raised when memory runs out; a smaller batch may then fit.
    """

    name: str
    device: str = "cpu"
    most_images: ClassVar[int | None] = None
    out_of_memory: ClassVar[tuple[type[Exception], ...]] = ()

    def session(self) -> AbstractContextManager[object]:
        """Return the context in which all other methods have to be called."""
        return nullcontext()

    @abstractmethod
    def upload(self, images: Sequence[Pixels]) -> Array:
        """Convert uint8 RGB images (h, w, 3) to the engine's array (n, h, w, 3) of grey levels."""

    @abstractmethod
    def download(self, images: Array) -> Pixels:
        """Convert images (n, h, w, 3) of whole grey levels to a uint8 NumPy array."""

    @abstractmethod
    def bilateral(
        self,
        images: Array,
        chosen: Sequence[int],
        diameter: int,
        sigma_color: float,
        sigma_space: float,
    ) -> Array:
        """Apply OpenCV's bilateral filter to some of the images.

        Parameters
        ----------
        images : Array of shape (n, h, w, 3)
            Whole grey levels; not changed.
        chosen : sequence of int
            Indices of at least one image to filter; the others are returned unfiltered.
        diameter, sigma_color, sigma_space
            As in ``core.filters.bilateral``.

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

        Each patch dimension is z-scored (eq. 17) by its mean and deviation over all patches of the
        image's grid. Then the patches are coded by OMP and scaled back.

        Parameters
        ----------
        images : Array of shape (n, h, w, 3)
            Whole grey levels; not changed.
        masks : sequence of n bool arrays of shape (h, w)
            Patches that contain a true pixel are coded.
        dictionary : Dictionary
        sparsity, stride, min_correlation
            As in ``PurifyParameters``.

        Returns
        -------
        coded : Array of shape (n, h, w, 3), float32
            Colours in the scale of [0, 1], not clipped; 0 at pixels without a coded patch.
        covered : Array of shape (n, h, w), bool
            True at pixels in a coded patch.
        """

    def code_over(
        self,
        images: Array,
        masks: Sequence[Mask],
        dictionary: Dictionary,
        stops: tuple[int, int, float],
        theta: Sequence[Floats],
        background: Array,
    ) -> Array:
        """Code the images, and blend the result over the background.

        ``stops`` has the sparsity, the stride and ``min_correlation``. An engine may do without the
        whole result of ``sparse_code``, to save memory.
        """
        coded, covered = self.sparse_code(images, masks, dictionary, *stops)
        return self.blend(coded, covered, theta, background)

    @abstractmethod
    def blend(
        self, coded: Array, covered: Array, theta: Sequence[Floats], background: Array
    ) -> Array:
        """Compute θ · coded + (1 − θ) · background, eq. (19), with θ = 0 outside coded patches.

        Parameters
        ----------
        coded, covered : Array
            Results of ``sparse_code``, which may be overwritten. Colours are clipped to [0, 1].
        theta : sequence of n float32 arrays of shape (h, w), in [0, 1]
        background : Array of shape (n, h, w, 3), whole grey levels

        Returns
        -------
        Array of shape (n, h, w, 3), whole grey levels
            Rounded to the nearest level, halves to even.
        """
