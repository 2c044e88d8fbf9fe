"""Default names of outputs, beside the input."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rsparse.errors import InputError


def output_beside(images: Sequence[Path], suffix: str) -> Path:
    """``IMAGES-suffix`` beside the single input: beside the folder itself if it is a link to one.

    Raises
    ------
    InputError
        If there are several inputs, or nothing can lie beside the input.
    """
    if len(images) != 1:
        raise InputError("several inputs have no default output; name the output with -o")
    [path] = images
    if not path.is_dir():
        return path.with_name(f"{path.stem}-{suffix}")
    folder = path.resolve()
    if not folder.name:
        raise InputError(f"{path}: has no folder beside it; name the output with -o")
    name = f"{folder.name}-{suffix}"
    is_direct = path.name == folder.name and path.parent.resolve() == folder.parent
    return path.with_name(name) if is_direct else folder.with_name(name)
