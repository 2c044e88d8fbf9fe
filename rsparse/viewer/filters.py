"""Filters: which images of a scene are worth a look."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from rsparse.store.treatments import LIGHT_DB, LIGHTLY, STRONGLY, UNCHANGED
from rsparse.viewer.versions import (
    ATTACKED,
    BENIGN,
    IMAGES,
    PURIFIED,
    UNKNOWN,
    Flags,
    Scene,
    Version,
)


class Filter(NamedTuple):
    """A filter with the images that it keeps, a bool array of shape (n,)."""

    key: str
    text: str
    flags: Flags


def filters_of(scene: Scene) -> list[Filter]:
    """The filters that keep some image of a scene."""
    return [each for each in _all_filters(scene) if each.flags.any()]


def _all_filters(scene: Scene) -> Iterator[Filter]:
    benign, attacked = scene.first(BENIGN, IMAGES), scene.first(ATTACKED)
    purified = [version for version in scene.versions if version.kind == PURIFIED]
    yield from _lost(scene, benign, attacked)
    for version in purified:
        yield from _cleaned(scene, benign, version)
    first = benign or attacked
    if first is not None:
        yield Filter("wrong", f"wrong: {first.title}", _wrong(scene, first))
    for place, version in enumerate(scene.versions):
        if version.rejected is not None:
            yield Filter(f"rejected-{place}", f"rejected: {version.title}", version.rejected)
    for place, version in enumerate(scene.versions):
        yield from _changed(place, version)
    for place, version in enumerate(scene.versions):
        yield Filter(f"missing-{place}", f"not in {version.title}", ~version.present)
    everywhere = np.logical_and.reduce([version.present for version in scene.versions])
    if not everywhere.all():
        yield Filter("everywhere", "in all folders", everywhere)


def _changed(place: int, version: Version) -> Iterator[Filter]:
    """The filters of how much a defense changed the images, as ``purify`` counts them."""
    if version.psnr is None:
        return
    unchanged, light = np.isposinf(version.psnr), version.psnr >= LIGHT_DB
    degrees = {
        UNCHANGED: unchanged,
        f"changed {LIGHTLY}": light & ~unchanged,
        f"changed {STRONGLY}": version.psnr < LIGHT_DB,
    }
    for number, (text, flags) in enumerate(degrees.items()):
        yield Filter(f"changed-{place}-{number}", f"{text}: {version.title}", flags)


def _lost(scene: Scene, benign: Version | None, attacked: Version | None) -> Iterator[Filter]:
    if benign is None or attacked is None:
        return
    held = _right(scene, benign)
    yield Filter("lost", "lost under attack", held & _wrong(scene, attacked))
    yield Filter("held", "right in spite of the attack", held & _right(scene, attacked))


def _cleaned(scene: Scene, benign: Version | None, purified: Version) -> Iterator[Filter]:
    """The filters of a cleaned version: what it saved, and what it cost."""
    place, title, source = scene.versions.index(purified), purified.title, purified.source
    right, wrong = _right(scene, purified), _wrong(scene, purified)
    if source is None:  # it is unknown what it was made from
        return
    if source.kind == ATTACKED and source.predictions is None:
        if benign is not None:
            yield Filter(f"lost-{place}", f"lost: {title}", _right(scene, benign) & wrong)
        return
    yield Filter(f"harmed-{place}", f"harmed: {title}", _right(scene, source) & wrong)
    if source.kind == ATTACKED:
        yield Filter(f"saved-{place}", f"saved: {title}", _wrong(scene, source) & right)
        yield Filter(f"still-{place}", f"still wrong: {title}", _wrong(scene, source) & wrong)


def _right(scene: Scene, version: Version) -> Flags:
    return _known(scene, version) & (_classes(scene, version) == scene.labels)


def _wrong(scene: Scene, version: Version) -> Flags:
    return _known(scene, version) & (_classes(scene, version) != scene.labels)


def _known(scene: Scene, version: Version) -> Flags:
    known: Flags = (_classes(scene, version) != UNKNOWN) & (scene.labels != UNKNOWN)
    return known


def _classes(scene: Scene, version: Version) -> np.ndarray:
    if version.predictions is None:
        return np.full(len(scene.labels), UNKNOWN, np.int32)
    return version.predictions.classes
