"""The paper's networks with their published weights, fetched once as ``rsparse fetch`` does."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rsparse.commands.fetch import fetch_model


def not_fetched(place: Path, names: Sequence[str]) -> list[str]:
    """The networks that ``place/models`` lacks."""
    return [name for name in names if not path_of(place, name).exists()]


def fetch_missing(place: Path, names: Sequence[str]) -> None:
    """Fetch them.

    Raises
    ------
    InputError
        If a network cannot be fetched.
    """
    for name in not_fetched(place, names):
        print(f"fetch {name}", file=sys.stderr)
        fetch_model(name, path_of(place, name))


def path_of(place: Path, name: str) -> Path:
    """The file of a network."""
    return place / "models" / f"{name}.onnx"
