"""Learn a dictionary from images, and find their objects, in any form of images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rsparse.api.images import read_image
from rsparse.options.learn_dict import LearnParameters
from rsparse.options.localize import LocalizeParameters

if TYPE_CHECKING:
    from rsparse.core.dictionary import Dictionary


def learn_dictionary(
    images: Iterable[Any], parameters: LearnParameters | None = None
) -> Dictionary:
    """Learn a global dictionary from benign images.

    Parameters
    ----------
    images : iterable of images, such as an array or tensor (n, h, w, 3) or (n, 3, h, w)
        RGB, uint8 or floating point in [0, 1]; sizes and forms may differ. It is iterated
        ``passes`` times.
    parameters : LearnParameters, optional

    Returns
    -------
    Dictionary

    Raises
    ------
    InputError
        If an image has another form or is smaller than a patch, or there are fewer patches than
        atoms.
    """
    from rsparse.core import learning

    return learning.learn_dictionary(_Pixels(images), parameters)


def locate_object(
    image: Any, parameters: LocalizeParameters | None = None
) -> tuple[NDArray[np.bool_], bool]:
    """Find the object region of an image.

    Parameters
    ----------
    image : array or tensor of shape (h, w, 3) or (3, h, w), RGB
        uint8, or floating point in [0, 1].
    parameters : LocalizeParameters, optional

    Returns
    -------
    mask : bool array of shape (h, w)
        True on the object region.
    found : bool
        False if nothing was found and the mask is the fallback that the parameters name.

    Raises
    ------
    InputError
        If the image has another form.
    """
    from rsparse.core import localization

    return localization.locate_object(read_image(image)[0], parameters)


@dataclass(frozen=True)
class _Pixels:
    """Images as pixels, read whenever they are iterated."""

    images: Iterable[Any]

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        for number, image in enumerate(self.images):
            yield read_image(image, f"image {number}")[0]
