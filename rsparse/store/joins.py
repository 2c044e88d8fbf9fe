"""Join versions of the same images from several folders by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rsparse.errors import InputError
from rsparse.store.images import ImageFile
from rsparse.store.inputs import ImageInputs


@dataclass(frozen=True)
class JoinedImage(ImageFile):
    """An image of the first folder, with the images of the same name in the others."""

    others: tuple[ImageFile, ...]


def join_inputs(inputs: Sequence[ImageInputs]) -> tuple[ImageInputs, list[ImageFile]]:
    """Split the images of the first input into those present in all inputs, and the rest.

    Returns
    -------
    joined : ImageInputs
        The first input with ``JoinedImage`` as images, and the paths of all inputs with what could
        not be read there.
    unmatched : list of ImageFile
        Images of the first input that are missing from another input.

    Raises
    ------
    InputError
        If no name occurs in all inputs.
    """
    first, *rest = inputs
    named = [{image.name: image for image in others.images} for others in rest]
    joined: list[ImageFile] = []
    unmatched: list[ImageFile] = []
    for image in first.images:
        if all(image.name in others for others in named):
            partners = tuple(others[image.name] for others in named)
            joined.append(
                JoinedImage(image.name, image.path, image.root, partners, sha256=image.sha256)
            )
        else:
            unmatched.append(image)
    if not joined:
        places = " and ".join(str(path) for item in inputs for path in item.paths)
        example = " and ".join(repr(item.images[0].name) for item in inputs)
        raise InputError(
            f"{places}: have no image names in common; they contain, for example, {example}"
        )
    paths = tuple(path for item in inputs for path in item.paths)
    failed = tuple(entry for item in inputs for entry in item.failed)
    return replace(first, images=joined, paths=paths, failed=failed), unmatched
