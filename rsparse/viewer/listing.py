"""The list of images of a scene: filtered, searched, and given out piece by piece."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsparse.viewer.filters import Filter, filters_of
from rsparse.viewer.versions import Collection, Scene, Version

MOST_ITEMS = 200
"""The most images in one answer."""


class Listing:
    """What the page asks for, as JSON types.

    Parameters
    ----------
    collection : Collection
    """

    def __init__(self, collection: Collection) -> None:
        self.collection = collection
        self.scene = lru_cache(maxsize=16)(collection.scene)
        self._filters = lru_cache(maxsize=16)(self._filters_of)
        self._kept = lru_cache(maxsize=8)(self._kept_of)

    def described(self, chosen: tuple[int, ...]) -> dict[str, Any]:
        """The versions and filters of a scene."""
        scene = self.scene(*chosen)
        return {
            "total": len(self.collection.names),
            "versions": [
                {"title": v.title, "kind": v.kind, "slow": v.is_slow} for v in scene.versions
            ],
            "filters": [
                {"key": each.key, "text": each.text, "count": int(each.flags.sum())}
                for each in self._filters(chosen)
            ],
        }

    def items(
        self, chosen: tuple[int, ...], filter_key: str, words: str, start: int, end: int
    ) -> dict[str, Any]:
        """The images from ``start`` to ``end`` among those that a filter and the words keep."""
        kept = self._kept(chosen, filter_key, words)
        end = min(end, start + MOST_ITEMS, len(kept))
        scene = self.scene(*chosen)
        numbers = kept[start:end].tolist()
        return {"total": len(kept), "items": [self._item(scene, number) for number in numbers]}

    def place(self, chosen: tuple[int, ...], filter_key: str, words: str, number: int) -> int:
        """The place of an image in the list, or of the next one after it."""
        return int(np.searchsorted(self._kept(chosen, filter_key, words), number))

    def _item(self, scene: Scene, number: int) -> dict[str, Any]:
        marks = [self._mark(scene, version, number) for version in scene.versions]
        item = {"id": number, "name": self.collection.names[number], "versions": marks}
        rejected = [v for v in scene.versions if v.rejected is not None and v.rejected[number]]
        return item | ({"rejected": True} if rejected else {})

    @staticmethod
    def _mark(scene: Scene, version: Version, number: int) -> dict[str, Any] | None:
        """What a card says about a version; None if the image is missing there."""
        if not version.present[number]:
            return None
        verdict = scene.verdict(version, number)
        return {} if verdict is None else {"text": verdict.text, "right": verdict.correct}

    def _filters_of(self, chosen: tuple[int, ...]) -> Sequence[Filter]:
        return filters_of(self.scene(*chosen))

    def _kept_of(self, chosen: tuple[int, ...], filter_key: str, words: str) -> NDArray[np.int64]:
        """The images that a filter and the words keep; an unknown filter keeps all."""
        flags = np.ones(len(self.collection.names), bool)
        for each in self._filters(chosen):
            if each.key == filter_key:
                flags = each.flags
        kept = np.flatnonzero(flags)
        wanted = words.casefold().split()
        if not wanted:
            return kept
        scene = self.scene(*chosen)
        return np.array([n for n in kept.tolist() if self._matches(scene, n, wanted)], np.int64)

    def _matches(self, scene: Scene, number: int, wanted: Sequence[str]) -> bool:
        """Whether all words are in the image's name, its class, or the predicted classes."""
        verdicts = (scene.verdict(version, number) for version in scene.versions)
        texts = [verdict.text for verdict in verdicts if verdict is not None]
        texts += [self.collection.names[number], scene.label(number) or ""]
        text = "\n".join(texts).casefold()
        return all(word in text for word in wanted)
