"""Versions of one image in several folders, joined by their name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rsparse.errors import InputError
from rsparse.store.images import ImageFile
from rsparse.store.inputs import ImageInputs


@dataclass(frozen=True)
class JoinedImage(ImageFile):
    """An image of the first folder, with the images of its name in the others."""

    others: tuple[ImageFile, ...]


def join_inputs(inputs: Sequence[ImageInputs]) -> tuple[ImageInputs, list[ImageFile]]:
    """The images of the first input that all others have too, and those that one has not.

    Returns
    -------
    joined : ImageInputs
        The first input, its images being ``JoinedImage``, its paths those of all inputs.
    alone : list of ImageFile

    Raises
    ------
    InputError
        If no name is in all inputs.
    """
    first, *rest = inputs
    named = [{image.name: image for image in others.images} for others in rest]
    joined: list[ImageFile] = []
    alone: list[ImageFile] = []
    for image in first.images:
        if all(image.name in others for others in named):
            partners = tuple(others[image.name] for others in named)
            joined.append(JoinedImage(image.name, image.path, image.root, partners))
        else:
            alone.append(image)
    if not joined:
        places = " and ".join(str(path) for item in inputs for path in item.paths)
        example = " and ".join(repr(item.images[0].name) for item in inputs)
        raise InputError(f"{places}: have no image name in common; they hold {example}, for one")
    paths = tuple(path for item in inputs for path in item.paths)
    return replace(first, images=joined, paths=paths), alone
