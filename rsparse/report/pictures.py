"""The pictures of a page, as data URLs of bounded size."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsparse.pictures.small import encode_webp, shrunk

Pixels = NDArray[np.uint8]
SIDE = 240  # pixels; the longer side of a picture is at most this


@dataclass(frozen=True)
class PredictedLabel:
    """The name of the predicted class, and whether it is correct; None if it was not judged."""

    text: str
    correct: bool | None


@dataclass(frozen=True)
class ImagePair:
    """An attacked image before and after a defense, as data URLs, with the predicted labels."""

    name: str
    adversarial: str
    purified: str
    labels: tuple[PredictedLabel, PredictedLabel]

    @property
    def outcome(self) -> str:
        """What the defense changed; if the attacked image was not judged, whether it is right."""
        attacked, cleaned = (label.correct for label in self.labels)
        if attacked is None:
            return "right" if cleaned else "wrong"
        if attacked:
            return "right anyway" if cleaned else "lost by cleaning"
        return "recovered" if cleaned else "still wrong"


@dataclass(frozen=True)
class Sheet:
    """The pairs of one attack."""

    key: str
    title: str
    defense: str
    pairs: tuple[ImagePair, ...]


@dataclass(frozen=True)
class ImageVersion:
    """A version of an image: the picture, the same with the attention map, and the predicted label.

    Both pictures are data URLs.
    """

    heading: str
    picture: str
    overlay: str
    label: PredictedLabel


@dataclass(frozen=True)
class Panel:
    """The versions of one image: benign, adversarial, purified."""

    name: str
    about: str
    versions: tuple[ImageVersion, ...]


@dataclass(frozen=True)
class Gallery:
    """All pictures of a page; for each missing part, a sentence that explains why."""

    sheets: tuple[Sheet, ...] = ()
    panels: tuple[Panel, ...] = ()
    missing_sheets: str = ""
    missing_panels: str = ""
    missing_activations: str = ""


def data_url(pixels: Pixels, side: int = SIDE) -> str:
    """Encode a picture as a WebP data URL; its longer side is at most ``side`` pixels."""
    content = encode_webp(shrunk(pixels, side))
    return "data:image/webp;base64," + base64.b64encode(content).decode()


def evenly(names: Sequence[str], n: int) -> list[int]:
    """The indices of ``n`` images, spread evenly over the list so that none is hand-picked."""
    if n >= len(names):
        return list(range(len(names)))
    return [int((i + 0.5) * len(names) / n) for i in range(n)]
