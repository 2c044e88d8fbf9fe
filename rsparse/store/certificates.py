"""Read and write ``certificates.h5``: what randomized smoothing certifies for each image.

It covers n images, sorted by name, and s standard deviations of the noise:

==========================  ==============  ==================================================
dataset                     shape, dtype    meaning
==========================  ==============  ==================================================
``name``                    (n,) UTF-8      the image's name, the join key
``sha256``                  (n,) UTF-8      of its file
``label``                   (n,) int64      the true class, −1 if it is not known
``class_name``              (c,) UTF-8      names of the classes
``sigma``                   (s,) float64    standard deviations, for pixels in [0, 1]
``certified/class``         (s, n) int64    the certified class, −1 for ABSTAIN
``certified/p``             (s, n) float64  lower bound of its probability
``certified/radius``        (s, n) float64  L2 radius, for pixels in [0, 1]
``certified/cap``           (s,) float64    the largest radius that so many samples allow
``count/sigma``             (e,) int64      index of the noise of an entry
``count/image``             (e,) int64      index of its image
``count/class``             (e,) int64      a class that the base classifier gave
``count/selection``         (e,) int64      how often, among the samples that select the class
``count/estimate``          (e,) int64      how often, among those that bound its probability
==========================  ==============  ==================================================

What is certified follows from the counts. The record's parameters hold α and the samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsparse.core.metrics import Estimate, share_of
from rsparse.core.smoothing import ABSTAIN, certify, grey_levels, largest_radius, one_grey_level
from rsparse.errors import InputError
from rsparse.store.hdf5 import create_hdf5, utf8
from rsparse.store.hdf5_reading import open_hdf5, read_array, read_texts
from rsparse.store.records import CERTIFICATES, Record
from rsparse.store.together import Members

CERTIFICATES_FILE = "certificates.h5"
RADII = (0.0, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0)
"""The L2 radii of tables; 0 stands for any radius above it."""

Counts = NDArray[np.int64]
_PHASES = ("selection", "estimate")
_ENTRY = ("sigma", "image", "class", *_PHASES)


@dataclass(frozen=True)
class Certificates:
    """The counts of all images and what follows from them.

    Attributes
    ----------
    names, sha256 : tuple of str
        Of the n images.
    labels : int64 array of shape (n,)
        −1 where the true class is not known.
    class_names : tuple of str
    sigmas : tuple of float
    counts : int64 array of shape (e, 5)
        Rows of index of σ, index of the image, class, and how often it was given in the selection
        and in the estimate; in this order, all distinct.
    samples : tuple of (int, int)
        The ranges of samples of the estimate, disjoint and in rising order.
    n0 : int
        Samples of the selection.
    alpha : float
    size : (int, int)
        Height and width at which the images were certified.
    """

    names: tuple[str, ...]
    sha256: tuple[str, ...]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    sigmas: tuple[float, ...]
    counts: Counts
    samples: tuple[tuple[int, int], ...]
    n0: int
    alpha: float
    size: tuple[int, int]

    def only(self, names: Sequence[str]) -> Certificates:
        """The certificates of the images with these names, in this order.

        Raises
        ------
        InputError
            If one is missing.
        """
        places = {name: number for number, name in enumerate(self.names)}
        missing = [name for name in names if name not in places]
        if missing:
            raise InputError(
                f"{len(missing)} of {len(names)} images have no certificate, such as {missing[0]!r}"
            )
        chosen = np.array([places[name] for name in names], np.int64)
        new = np.full(len(self.names), -1, np.int64)
        new[chosen] = np.arange(len(chosen))
        counts = self.counts.copy()
        counts[:, 1] = new[counts[:, 1]]
        counts = counts[counts[:, 1] >= 0]
        return replace(
            self,
            names=tuple(names),
            sha256=tuple(self.sha256[place] for place in chosen),
            labels=self.labels[chosen],
            counts=counts[np.lexsort(counts[:, 2::-1].T)],
        )

    @property
    def n(self) -> int:
        """Samples of the estimate for each image and σ."""
        return sum(stop - start for start, stop in self.samples)

    @property
    def caps(self) -> NDArray[np.float64]:
        """The largest radius that the samples allow at each σ, (s,)."""
        return np.array([largest_radius(self.n, sigma, self.alpha) for sigma in self.sigmas])

    @cached_property
    def certified(self) -> tuple[Counts, NDArray[np.float64], NDArray[np.float64]]:
        """Class, lower bound of its probability and radius, each of shape (s, n)."""
        shape = len(self.sigmas), len(self.names)
        classes = np.full(shape, ABSTAIN, np.int64)
        p, radii = np.zeros(shape), np.zeros(shape)
        counted = np.zeros((2, len(self.class_names)), np.int64)
        places = self.counts[:, 0] * shape[1] + self.counts[:, 1]
        bounds = np.searchsorted(places, np.arange(shape[0] * shape[1] + 1))
        for place, (start, stop) in enumerate(pairwise(bounds)):
            some = self.counts[start:stop]
            counted[:] = 0
            counted[:, some[:, 2]] = some[:, 3:].T
            k, number = divmod(place, shape[1])
            found = certify(counted[0], counted[1], self.sigmas[k], self.alpha)
            classes[k, number], p[k, number] = found.predicted, found.p
            radii[k, number] = found.radius
        return classes, p, radii

    def is_right(self, k: int) -> NDArray[np.bool_]:
        """Which images are certified as their true class at the k-th σ, (n,)."""
        return (self.certified[0][k] == self.labels) & (self.labels >= 0)

    def certified_accuracy(self, k: int, radius: float) -> Estimate:
        """The share of labelled images certified as their true class within ``radius``.

        Without labels, of all images certified as any class. Radius 0 stands for any radius.
        """
        known = self.labels >= 0
        if known.any():
            counted, n = self.is_right(k), int(known.sum())
        else:
            counted, n = self.certified[0][k] != ABSTAIN, len(self.names)
        return share_of(int((counted & (self.certified[2][k] >= radius)).sum()), n)

    def abstained(self, k: int) -> int:
        """The number of images without a certificate at the k-th σ."""
        return int((self.certified[0][k] == ABSTAIN).sum())

    def grey(self, radius: float) -> float:
        """A radius in grey levels of all pixels and channels."""
        return grey_levels(radius, self.size)

    @property
    def sentence(self) -> str:
        """What a radius means for the attacks that are measured in grey levels."""
        norm, largest = one_grey_level(self.size), float(self.caps.max())
        height, width = self.size
        return (
            f"±1 grey level everywhere is L2 {norm:.2f} at {height}×{width}: the largest radius "
            f"that {self.n:,} samples allow, {largest:.3f}, covers ±{self.grey(largest):.2f} grey "
            "levels everywhere"
            + ("" if largest >= norm else ", so no certificate here covers such an attack")
        )


def table_of_counts(
    entries: Mapping[tuple[int, int], Mapping[int, Sequence[int]]],
) -> Counts:
    """The rows of ``Certificates.counts``, from counts by class for each (σ, image)."""
    rows = [
        (k, number, index, *entries[k, number][index])
        for k, number in sorted(entries)
        for index in sorted(entries[k, number])
    ]
    return np.array(rows, np.int64).reshape(len(rows), len(_ENTRY))


def save_certificates(path: Path, record: Record, found: Certificates, members: Members) -> None:
    """Write ``certificates.h5``; it appears together with the other members."""
    classes, p, radii = found.certified
    with create_hdf5(path, record, members.create) as file:
        file["name"] = utf8(list(found.names))
        file["sha256"] = utf8(list(found.sha256))
        file["label"] = found.labels
        file["class_name"] = utf8(list(found.class_names))
        file["sigma"] = np.array(found.sigmas, np.float64)
        group = file.create_group("certified")
        group["class"], group["p"], group["radius"] = classes, p, radii
        group["cap"] = found.caps
        counts = file.create_group("count")
        for column, name in enumerate(_ENTRY):
            counts[name] = np.ascontiguousarray(found.counts[:, column])


def load_certificates(path: Path) -> tuple[Certificates, dict[str, Any]]:
    """Read ``certificates.h5``, or that of a folder, and its record.

    Raises
    ------
    InputError
        If it is missing, damaged or of another format, or what it certifies does not follow from
        its counts.
    """
    path = path / CERTIFICATES_FILE if path.is_dir() else path
    with open_hdf5(path, CERTIFICATES) as (file, record):
        names = tuple(read_texts(file, "name"))
        n = len(names)
        sigmas = tuple(read_array(file, "sigma", "f", (None,)).tolist())
        columns = [read_array(file, f"count/{name}", "i", (None,)) for name in _ENTRY]
        found = Certificates(
            names,
            tuple(read_texts(file, "sha256", n)),
            read_array(file, "label", "i", (n,)),
            tuple(read_texts(file, "class_name")),
            sigmas,
            np.stack(columns, axis=1),
            *_settings(record["parameters"]),
        )
        _refuse_invalid(found)
        shape = len(sigmas), n
        stored = [read_array(file, f"certified/{name}", "if", shape) for name in _CERTIFIED]
        stored.append(read_array(file, "certified/cap", "f", shape[:1]))
        for name, kept, new in zip(
            (*_CERTIFIED, "cap"), stored, (*found.certified, found.caps), strict=True
        ):
            if not np.allclose(kept, new, rtol=0, atol=1e-9):
                raise ValueError(f"certified/{name}: does not follow from the counts")
    return found, record


_CERTIFIED = ("class", "p", "radius")


def _settings(parameters: Mapping[str, Any]) -> tuple[Any, ...]:
    """Samples, n0, α and size in a record; ``ValueError`` if they are missing or invalid."""
    try:
        samples = tuple((int(start), int(stop)) for start, stop in parameters["samples"])
        n0, alpha = int(parameters["n0"]), float(parameters["alpha"])
        height, width = map(int, parameters["input"]["size"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"its record lacks valid samples, n0, alpha and input: {error}") from None
    if not samples or min(stop - start for start, stop in samples) < 1 or not 0 < alpha < 1:
        raise ValueError("its record has invalid samples or alpha")
    return samples, n0, alpha, (height, width)


def _refuse_invalid(found: Certificates) -> None:
    """Check the ranges of what was read; ``ValueError`` if a number is outside."""
    counts, limits = found.counts, (len(found.sigmas), len(found.names), len(found.class_names))
    if found.labels.size and not -1 <= found.labels.min() <= found.labels.max() < limits[2]:
        raise ValueError(f"label: expected numbers from -1 to {limits[2] - 1}")
    if not all(0 < sigma < np.inf for sigma in found.sigmas):
        raise ValueError("sigma: expected numbers above 0")
    if counts.size and not ((counts >= 0).all() and (counts[:, :3] < limits).all()):
        raise ValueError("count: has an index or a count outside its range")
    keys = (counts[:, 0] * limits[1] + counts[:, 1]) * limits[2] + counts[:, 2]
    if (np.diff(keys) <= 0).any():
        raise ValueError("count: its entries are not distinct and sorted")
    places = counts[:, 0] * limits[1] + counts[:, 1]
    for name, column, total in zip(_PHASES, (3, 4), (found.n0, found.n), strict=True):
        sums = np.bincount(places, counts[:, column], limits[0] * limits[1])
        if (sums != total).any():
            raise ValueError(f"count/{name}: expected {total} samples of each image and sigma")


def is_certificates(path: Path) -> bool:
    """Whether a path is ``certificates.h5``, or a folder with one."""
    if path.is_dir():
        return (path / CERTIFICATES_FILE).is_file()
    return path.suffix.lower() in (".h5", ".hdf5")


def refuse_mixed(paths: Sequence[Path]) -> bool:
    """Whether all paths are certificates, to merge; ``InputError`` if only some are."""
    given = [is_certificates(path) for path in paths]
    if any(given) and not all(given):
        first = paths[given.index(False)]
        if not first.exists():
            raise InputError(f"{first}: no such file or folder")
        raise InputError(f"{first}: holds no {CERTIFICATES_FILE}, which the others do")
    return any(given)
