"""Versions of the same images: where their pixels come from, and what is known of each image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

BENIGN, ATTACKED, PURIFIED = "benign", "attacked", "purified"
MASK, ATTENTION, IMAGES = "mask", "attention", "images"
PICTURES = (BENIGN, ATTACKED, PURIFIED, IMAGES)
"""The kinds of versions that show the image itself, so that they can be compared by pixel."""

UNKNOWN = -1

Pixels = NDArray[np.uint8]
Flags = NDArray[np.bool_]
Classes = NDArray[np.int32]


@dataclass(frozen=True)
class Predictions:
    """What a classifier says to the images of a version, in the order of the collection.

    Attributes
    ----------
    classes : int32 array of shape (n,)
        The predicted classes; −1 where it is unknown.
    probability : float32 array of shape (n,)
        NaN where it is unknown.
    """

    classes: Classes
    probability: NDArray[np.float32]

    @classmethod
    def unknown(cls, n: int) -> Predictions:
        """No predictions."""
        return cls(np.full(n, UNKNOWN, np.int32), np.full(n, np.nan, np.float32))


class Verdict(NamedTuple):
    """The predicted class; ``correct`` is None if the right class is not known."""

    text: str
    correct: bool | None
    probability: float | None


class Version(ABC):
    """One version of the images: a folder of files, or what a defense makes of another version.

    Attributes
    ----------
    title : str
    kind : str
        One of ``BENIGN``, ``ATTACKED``, ``PURIFIED``, ``MASK``, ``ATTENTION`` and ``IMAGES``.
    record : mapping or None
        How it was made.
    predictions : Predictions or None
    present : bool array of shape (n,)
        Which images of the collection it has.
    rejected : bool array of shape (n,), or None
        Which images a detector rejects.
    psnr : float array of shape (n,), or None
        How much a defense changed the images, in dB; infinite for unchanged ones, NaN if unknown.
    is_slow : bool
        Whether an image is computed when it is asked for, so that it has no thumbnail.
    source : Version or None
        The version that it was purified from, if it is shown.
    """

    title: str
    kind: str
    record: Mapping[str, Any] | None = None
    predictions: Predictions | None = None
    present: Flags
    rejected: Flags | None = None
    psnr: NDArray[np.float64] | None = None
    is_slow: bool = False
    source: Version | None = None

    @abstractmethod
    def load(self, number: int) -> Pixels:
        """The pixels of an image.

        Raises
        ------
        InputError
            If it is missing, damaged, or not to be shown.
        """

    @abstractmethod
    def facts(self, number: int) -> dict[str, Any]:
        """What is recorded about an image, by words for people."""

    @abstractmethod
    def origin(self, number: int) -> tuple[str | None, str | None]:
        """The SHA-256 of the image's file, and of the image that it was made from, if known."""

    @property
    def is_picture(self) -> bool:
        """Whether it shows the image itself."""
        return self.kind in PICTURES


@dataclass(frozen=True)
class Scene:
    """The versions that are shown together.

    Attributes
    ----------
    versions : tuple of Version
    labels : int32 array of shape (n,)
        The right classes; −1 where they are not known.
    class_names : mapping of int to str
        The names that are known.
    """

    versions: tuple[Version, ...]
    labels: Classes
    class_names: Mapping[int, str] = field(default_factory=dict)

    def class_name(self, index: int) -> str:
        """The name of a class, or its number."""
        return self.class_names.get(index, f"class {index}")

    def label(self, number: int) -> str | None:
        """The right class of an image."""
        index = int(self.labels[number])
        return None if index == UNKNOWN else self.class_name(index)

    def verdict(self, version: Version, number: int) -> Verdict | None:
        """What the classifier says to an image of a version."""
        if version.predictions is None or version.predictions.classes[number] == UNKNOWN:
            return None
        index, label = int(version.predictions.classes[number]), int(self.labels[number])
        share = float(version.predictions.probability[number])
        known = None if label == UNKNOWN else index == label
        return Verdict(self.class_name(index), known, None if np.isnan(share) else share)

    def first(self, *kinds: str) -> Version | None:
        """The first version of one of these kinds, in their order."""
        return next((v for kind in kinds for v in self.versions if v.kind == kind), None)


class Choice(NamedTuple):
    """Something to choose among, such as the attacks of an evaluation."""

    title: str
    options: tuple[str, ...]


class Collection(ABC):
    """Images by name, and the scenes in which they can be seen.

    Attributes
    ----------
    title : str
    names : sequence of str
        Sorted.
    choices : tuple of Choice
        What to choose for a scene: nothing, or an attack and a defense.
    record : mapping or None
        The record of an evaluation.
    """

    title: str
    names: Sequence[str]
    choices: tuple[Choice, ...] = ()
    record: Mapping[str, Any] | None = None

    @abstractmethod
    def scene(self, *chosen: int) -> Scene:
        """The scene of one option of each choice."""
