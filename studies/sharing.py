"""Attacked images that several evaluations use are made only once."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from rsparse.store.folders import MANIFEST


def share_images(source: Path, target: Path) -> None:
    """Link the benign and attacked images of one evaluation's folder into another's.

    Existing images are kept; ``evaluate`` checks whether they are up to date.
    """
    for made in (source / "clean", *source.glob("attacks/*/*")):
        place = target / made.relative_to(source)
        if (made / MANIFEST).exists() and not place.exists():
            begun = place.with_name(f"{place.name}.part")
            shutil.rmtree(begun, ignore_errors=True)
            shutil.copytree(made, begun, copy_function=os.link)
            begun.rename(place)
