"""Attacked images that several evaluations show: made once."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from rsparse.store.folders import MANIFEST


def share_images(source: Path, target: Path) -> None:
    """Link the benign and the attacked images of one evaluation's folder into another's.

    What the other holds already stays; ``evaluate`` checks whether that is what it would make.
    """
    for made in (source / "clean", *source.glob("attacks/*/*")):
        place = target / made.relative_to(source)
        if (made / MANIFEST).exists() and not place.exists():
            begun = place.with_name(f"{place.name}.part")
            shutil.rmtree(begun, ignore_errors=True)
            shutil.copytree(made, begun, copy_function=os.link)
            begun.rename(place)
