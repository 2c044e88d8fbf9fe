"""Pictures in a page: as data, of bounded size."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
SIDE = 240  # pixels; larger pictures are shrunk to this


@dataclass(frozen=True)
class Answer:
    """What the classifier says of a picture: the class's name, and whether that is right."""

    text: str
    right: bool


@dataclass(frozen=True)
class Pair:
    """An attacked image and what a defense made of it, as data URLs."""

    name: str
    adversarial: str
    purified: str
    answers: tuple[Answer, Answer]


@dataclass(frozen=True)
class Sheet:
    """Pairs of one attack."""

    key: str
    title: str
    defense: str
    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class Version:
    """A version of an image as it is, with the model's attention laid over it, and what it is
    taken for; both pictures are data URLs.
    """

    heading: str
    picture: str
    overlay: str
    answer: Answer


@dataclass(frozen=True)
class Panel:
    """One image's versions: benign, adversarial, purified."""

    name: str
    about: str
    versions: tuple[Version, ...]


@dataclass(frozen=True)
class Gallery:
    """All pictures of a page, and for what is missing a sentence that says why."""

    sheets: tuple[Sheet, ...] = ()
    panels: tuple[Panel, ...] = ()
    missing_sheets: str = ""
    missing_panels: str = ""
    missing_activations: str = ""


def data_url(pixels: Pixels, side: int = SIDE) -> str:
    """A picture as a WebP data URL, its longer side at most ``side`` pixels."""
    picture = Image.fromarray(pixels)
    scale = side / max(picture.size)
    if scale < 1:
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, format="WEBP", quality=88, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def evenly(names: Sequence[str], n: int) -> list[int]:
    """Places of ``n`` images spread evenly over all, so that nobody has picked them."""
    if n >= len(names):
        return list(range(len(names)))
    return [int((i + 0.5) * len(names) / n) for i in range(n)]
