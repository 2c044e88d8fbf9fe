"""The places of images in an evaluation's folder."""

from __future__ import annotations

from pathlib import Path

from rsparse.evaluation.results import CLEAN, GIVEN, MADE_ELSEWHERE, Column
from rsparse.store.files import sha256_of

_LONGEST_NAME = 200  # bytes; file systems take 255


def attacks_folder(source: str, through: str = "") -> Path:
    """The folder of all attacks on a model: through a defense, or on the bare model."""
    bare = Path("attacks", source)
    return bare / f"through-{file_name(through)}" if through else bare


def given_folder(name: str) -> Path:
    """The folder of adversarial images that another program made."""
    return Path(GIVEN, name)


def detections_file(folder: Path) -> Path:
    """What the detector found in a folder of images."""
    place = Path("detections", folder)
    return place.with_name(f"{place.name}.csv")


def images_folder(column: Column) -> Path:
    """The folder of a column's images."""
    if column.family == CLEAN:
        return Path(CLEAN)
    if column.scenario == MADE_ELSEWHERE:
        return given_folder(column.attack)
    return attacks_folder(column.source, column.through) / column.attack


def file_name(text: str) -> str:
    """A defense's text as a file name; a long one is cut and ends in a digest."""
    content = text.encode()
    if len(content) <= _LONGEST_NAME:
        return text
    return f"{content[: _LONGEST_NAME - 13].decode(errors='ignore')}-{sha256_of(content)[:12]}"
