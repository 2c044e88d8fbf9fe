"""Count what was done to the images of a folder, from the entries of its manifest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

UNCHANGED = "left unchanged"
LIGHTLY, STRONGLY = "lightly", "strongly"
LIGHT_DB = 30.0
"""The least PSNR, in dB, of the written image to its source if it is changed lightly.

At 30 dB, the root of the mean squared change is 8 grey levels: as much as an attack with the usual
``eps=8`` may change each value.
"""

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


def degree_of(psnr: float | None) -> str:
    """How much an image was changed, by its PSNR in dB; None if no pixel was changed."""
    if psnr is None:
        return UNCHANGED
    return LIGHTLY if psnr >= LIGHT_DB else STRONGLY


def told_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What an entry of a manifest tells about what was done, with its degree as ``changed``."""
    told = {key: entry[key] for key in KEYS if key in entry}
    if "psnr" in told:
        told["changed"] = degree_of(told["psnr"])
    return told


@dataclass
class Treatments:
    """How many images were treated how.

    Attributes
    ----------
    counts : dict of str to int
        Images by what was done; those without a changed pixel are ``left unchanged``.
    degrees : dict of str to int
        Images by how much they were changed: ``left unchanged``, ``lightly``, ``strongly``.
    least, most : ChangedImage or None
        Of the changed images, the one with the largest and the one with the smallest PSNR; of
        several equal ones the first by name.
    """

    counts: dict[str, int] = field(default_factory=dict)
    degrees: dict[str, int] = field(default_factory=dict)
    least: ChangedImage | None = None
    most: ChangedImage | None = None

    @property
    def degrees_text(self) -> str:
        """``left unchanged 12, lightly 5, strongly 3``."""
        return ", ".join(f"{degree} {n}" for degree, n in self.degrees.items())

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        least, most = (each and each._asdict() for each in (self.least, self.most))
        return {
            "counts": self.counts,
            "changed": self.degrees,
            "lightly_from_psnr": LIGHT_DB,
            "least_changed": least,
            "most_changed": most,
        }


def treatments_of(entries: Iterable[Mapping[str, Any]]) -> Treatments:
    """Count the treatments in the entries of a manifest; entries without one do not count."""
    counts: dict[str, int] = {}
    degrees = dict.fromkeys((UNCHANGED, LIGHTLY, STRONGLY), 0)
    least = most = None
    for entry in entries:
        if not entry.keys() >= _NEEDED:
            continue
        done = UNCHANGED if entry["unchanged"] else entry["done"]
        counts[done] = counts.get(done, 0) + 1
        degrees[degree_of(entry["psnr"])] += 1
        if entry["psnr"] is not None:
            image = ChangedImage(entry["name"], entry["psnr"], entry["done"])
            least = image if least is None else max(least, image, key=_closeness)
            most = image if most is None else min(most, image, key=_closeness)
    if not counts:
        return Treatments()
    return Treatments({done: counts[done] for done in in_order(counts)}, degrees, least, most)


def _closeness(image: ChangedImage) -> float:
    return image.psnr


def in_order(dones: Iterable[str]) -> list[str]:
    """Texts of what was done: unchanged images first, then by the numbers of the rules."""
    return sorted(dones, key=_order)


def _order(done: str) -> tuple[bool, int, str]:
    rule = re.match(r"rule (\d+):", done)
    return done != UNCHANGED, int(rule[1]) if rule else 0, done
