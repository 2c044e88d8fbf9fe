"""Count what was done to the images of a folder, from the entries of its manifest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

UNCHANGED = "left unchanged"
KEYS = ("name", "noise", "done", "applied", "unchanged", "psnr", "linf")
"""The keys of an entry that tell what was done to an image."""

_NEEDED = {"done", "unchanged", "psnr"}


class ChangedImage(NamedTuple):
    """The name of a changed image, its PSNR in dB, and what was done to it."""

    name: str
    psnr: float
    done: str

    @property
    def text(self) -> str:
        """``cat/01, 31.2 dB``."""
        return f"{self.name}, {self.psnr:.1f} dB"


@dataclass
class Treatments:
    """How many images were treated how.

    Attributes
    ----------
    counts : dict of str to int
        Images by what was done; those without a changed pixel are ``left unchanged``.
    least, most : ChangedImage or None
        Of the changed images, the one with the largest and the one with the smallest PSNR; of
        several equal ones the first by name.
    """

    counts: dict[str, int] = field(default_factory=dict)
    least: ChangedImage | None = None
    most: ChangedImage | None = None

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        least, most = (each and each._asdict() for each in (self.least, self.most))
        return {"counts": self.counts, "least_changed": least, "most_changed": most}


def treatments_of(entries: Iterable[Mapping[str, Any]]) -> Treatments:
    """Count the treatments in the entries of a manifest; entries without one do not count."""
    counts: dict[str, int] = {}
    least = most = None
    for entry in entries:
        if not entry.keys() >= _NEEDED:
            continue
        done = UNCHANGED if entry["unchanged"] else entry["done"]
        counts[done] = counts.get(done, 0) + 1
        if entry["psnr"] is not None:
            image = ChangedImage(entry["name"], entry["psnr"], entry["done"])
            least = image if least is None else max(least, image, key=_closeness)
            most = image if most is None else min(most, image, key=_closeness)
    return Treatments({done: counts[done] for done in in_order(counts)}, least, most)


def _closeness(image: ChangedImage) -> float:
    return image.psnr


def in_order(dones: Iterable[str]) -> list[str]:
    """Texts of what was done: unchanged images first, then by the numbers of the rules."""
    return sorted(dones, key=_order)


def _order(done: str) -> tuple[bool, int, str]:
    rule = re.match(r"rule (\d+):", done)
    return done != UNCHANGED, int(rule[1]) if rule else 0, done
