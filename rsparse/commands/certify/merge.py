"""Merge certificates of different images, or of different samples of the same images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rsparse.commands.certify.outcome import (
    CertifyOutcome,
    refuse_existing_certificates,
    write_certificates,
)
from rsparse.denoisers import denoiser_of
from rsparse.errors import InputError
from rsparse.store.certificates import (
    CERTIFICATES_FILE,
    Certificates,
    load_certificates,
    table_of_counts,
)
from rsparse.store.files import sha256_of_file
from rsparse.store.job import Job
from rsparse.store.journal import IN_ONE_GO, journal_beside
from rsparse.store.records import CERTIFICATES, Source

Ranges = tuple[tuple[int, int], ...]


class Part(NamedTuple):
    """One of the artifacts to merge."""

    path: Path
    found: Certificates
    record: dict[str, Any]


class Image(NamedTuple):
    """What the parts say of an image: its file, its label, its samples and its counts."""

    sha256: str
    label: int
    samples: Ranges
    counts: tuple[dict[int, list[int]], ...]


def merge_certificates(
    paths: Sequence[Path], output: Path, *, overwrite: bool = False
) -> CertifyOutcome:
    """Merge certificates with the same classifier, denoiser, noise, selection and α.

    Parameters
    ----------
    paths : sequence of Path
        Folders that ``certify_images`` wrote, or their ``certificates.h5``.
    output : Path
        A folder.
    overwrite : bool

    Raises
    ------
    InputError
        If the certificates do not fit together: other parameters, other files of an image, or
        samples that are counted twice.
    """
    path = refuse_existing_certificates(output, overwrite)
    files = [each / CERTIFICATES_FILE if each.is_dir() else each for each in paths]
    parts = [Part(file, *load_certificates(file)) for file in files]
    first = parts[0]
    for part in parts[1:]:
        _refuse_others(first, part)
    images = _merged_images(parts)
    samples = _common_samples(images, parts)
    names = tuple(sorted(images))
    of_names = [images[name] for name in names]
    counts = {
        (k, number): image.counts[k]
        for number, image in enumerate(of_names)
        for k in range(len(first.found.sigmas))
    }
    found = replace(
        first.found,
        names=names,
        sha256=tuple(image.sha256 for image in of_names),
        labels=np.array([image.label for image in of_names], np.int64),
        counts=table_of_counts(counts),
        samples=samples,
    )
    values = {**first.record["parameters"], "samples": [list(range_) for range_ in samples]}
    origins = {part.record["parameters"].get("labels") for part in parts}
    values["labels"] = origins.pop() if len(origins) == 1 else "merged"
    if len({part.record["parameters"].get("device") for part in parts}) > 1:
        values["device"] = "merged"
    sources = [Source(p.path.name, sha256_of_file(p.path), p.record) for p in parts]
    record = Job("certify", CERTIFICATES, values, first.record["seed"]).record(sources)
    spec = denoiser_of(values["denoiser"]).spec
    with journal_beside(path, IN_ONE_GO, overwrite) as journal:
        write_certificates(path, record, found, spec, journal)
    return CertifyOutcome(
        output, len(names), certificates=found, denoiser=spec, label_origin=values["labels"]
    )


def _refuse_others(first: Part, other: Part) -> None:
    """Refuse certificates that were not made in the same way."""
    one, two = first.record, other.record
    for key in ("sigma", "denoiser", "n0", "alpha", "input", "codecs"):
        if one["parameters"].get(key) != two["parameters"].get(key):
            raise InputError(f"{other.path}: has another {key} than {first.path}")
    if (one["seed"], one.get("method")) != (two["seed"], two.get("method")):
        raise InputError(f"{other.path}: has another seed or method than {first.path}")
    if _models(one) != _models(two):
        raise InputError(f"{other.path}: is of another model or dictionary than {first.path}")
    if first.found.class_names != other.found.class_names:
        raise InputError(f"{other.path}: has other names of classes than {first.path}")


def _models(record: Mapping[str, Any]) -> set[str]:
    """The digests of the models and dictionaries in a record; a merged one has them nested."""
    digests = set()
    for source in record["inputs"]:
        if source["record"] and source["record"]["format"] == CERTIFICATES:
            digests |= _models(source["record"])
        elif Path(source["name"]).suffix.lower() in (".onnx", ".h5", ".hdf5"):
            digests.add(source["sha256"])
    return digests


def _merged_images(parts: Iterable[Part]) -> dict[str, Image]:
    images: dict[str, Image] = {}
    for path, found, _ in parts:
        counts = _counts_by_image(found)
        for number, name in enumerate(found.names):
            new = Image(
                found.sha256[number], int(found.labels[number]), found.samples, counts[number]
            )
            old = images.get(name)
            images[name] = new if old is None else _both(name, old, new, path)
    return images


def _counts_by_image(found: Certificates) -> list[tuple[dict[int, list[int]], ...]]:
    counts: list[tuple[dict[int, list[int]], ...]] = [
        tuple({} for _ in found.sigmas) for _ in found.names
    ]
    for k, number, index, *pair in found.counts.tolist():
        counts[number][k][index] = pair
    return counts


def _both(name: str, old: Image, new: Image, path: Path) -> Image:
    """The counts of different samples of an image.

    The samples of the selection are the same in both, but rounding may have given some of them
    another class on another machine or device. Then that of the earlier samples holds. It has no
    part in the estimate, so the bound stays valid.
    """
    if old.sha256 != new.sha256:
        raise InputError(f"{path}: has another file of the image {name!r}")
    if old.label != new.label and -1 not in (old.label, new.label):
        raise InputError(f"{path}: has another label of the image {name!r}")
    earlier, later = sorted((old, new), key=lambda image: image.samples)
    counts = []
    for one, two in zip(earlier.counts, later.counts, strict=True):
        pairs = {
            index: [
                one.get(index, [0, 0])[0],
                sum(each[index][1] for each in (one, two) if index in each),
            ]
            for index in one.keys() | two.keys()
        }
        counts.append({index: pair for index, pair in pairs.items() if any(pair)})
    samples = _union(old.samples, new.samples)
    if samples is None:
        raise InputError(f"{path}: counts samples of {name!r} that another input counts, too")
    return Image(old.sha256, max(old.label, new.label), samples, tuple(counts))


def _union(one: Ranges, two: Ranges) -> Ranges | None:
    """The union of disjoint ranges, in which neighbours are joined; None if they overlap."""
    joined: list[tuple[int, int]] = []
    for start, stop in sorted((*one, *two)):
        if joined and start < joined[-1][1]:
            return None
        if joined and start == joined[-1][1]:
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((start, stop))
    return tuple(joined)


def _common_samples(images: Mapping[str, Image], parts: Sequence[Part]) -> Ranges:
    """The samples of all images, which have to be the same."""
    name = min(images)
    for other, image in images.items():
        if image.samples != images[name].samples:
            raise InputError(
                f"{parts[0].path}: {_text(images[name].samples)} are counted for {name!r}, but "
                f"{_text(image.samples)} for {other!r}; merge what covers all images alike"
            )
    return images[name].samples


def _text(samples: Ranges) -> str:
    return "the samples " + ", ".join(f"{start}–{stop - 1}" for start, stop in samples)
