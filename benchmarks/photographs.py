"""Photographs, patches and learned dictionaries for the benchmarks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from rsparse.core.dictionary import Dictionary
from rsparse.core.learning import learn_dictionary, standardized, take_patches
from rsparse.data import demo_photos
from rsparse.options.learn_dict import LearnParameters
from rsparse.store.finding import find_images
from rsparse.store.images import Pixels, decode_image, encode_png

SIDE = 299


def photographs(shared: Path | None, count: int, folder: str = "photos") -> list[Pixels]:
    """The first photographs of ``shared/folder``, or the embedded ones, as (299, 299, 3) uint8."""
    root = demo_photos("train" if folder == "train" else "test")
    if shared is not None:
        root = shared / folder
    files = find_images([root])
    chosen = files[:: max(1, len(files) // count)][:count]
    return [_fitted(decode_image(file.read(), file.path)) for file in chosen]


def source(shared: Path | None) -> str:
    """The photographs in words."""
    if shared is None:
        return "the embedded photographs, enlarged to 299×299"
    return "photographs of 299×299 (`--shared`)"


def patches(images: Sequence[Pixels], count: int, *, color: bool, seed: int) -> NDArray[np.float32]:
    """Random patches of 8×8, z-scored image by image as for learning: (count, 64·c), shuffled."""
    each = -(-count // len(images))
    parameters = LearnParameters(smoothing=False, color=color, patches_per_image=each)
    rng = np.random.default_rng(seed)
    taken = [standardized(take_patches(image, parameters, rng), parameters) for image in images]
    return np.ascontiguousarray(rng.permutation(np.concatenate(taken))[:count])


def learned(images: Sequence[Pixels], n_atoms: int, *, color: bool = True) -> Dictionary:
    """A dictionary of 8×8 patches from about 100,000 patches of the images, not smoothed."""
    parameters = LearnParameters(
        smoothing=False, color=color, n_atoms=n_atoms,
        patches_per_image=max(300, 100_000 // len(images)),
    )  # fmt: skip
    return learn_dictionary(images, parameters)


def folder_of(images: Sequence[Pixels], count: int, folder: Path, side: int = SIDE) -> Path:
    """A folder of ``count`` PNG files, hard links to as few files as there are images."""
    folder.mkdir(parents=True, exist_ok=True)
    originals = folder.parent / f"{folder.name}-originals"
    originals.mkdir(exist_ok=True)
    files = []
    for number, image in enumerate(images[:count]):
        files.append(originals / f"{number:04d}.png")
        files[-1].write_bytes(encode_png(_fitted(image, side)))
    for number, file in enumerate(islice(cycle(files), count)):
        link = folder / f"{number:05d}.png"
        link.unlink(missing_ok=True)
        os.link(file, link)
    return folder


def _fitted(image: Pixels, side: int = SIDE) -> Pixels:
    if image.shape[:2] == (side, side):
        return image
    shrinks = side < min(image.shape[:2])
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (side, side), interpolation=interpolation), dtype=np.uint8)
