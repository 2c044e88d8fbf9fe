"""Folders, tables and classes for the tests of labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from rsparse.options.labels import LabelOptions
from rsparse.store.inputs import ImageInputs, load_inputs
from rsparse.store.labels import Labels, find_labels

CLASSES = ("cat", "dog", "crane", "crane", "7")
IMAGENET = ("n01440764 tench, Tinca tinca", "n01443537 goldfish", "n01484850 great white shark",
            "n02012849 crane", "n03126707 crane, hoist")  # fmt: skip


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    def write(*rows: str, header: str = "file,label", encoding: str = "utf-8") -> Path:
        path = tmp_path / "labels.csv"
        path.write_bytes("\n".join([header, *rows, ""]).encode(encoding))
        return path

    return write


def folder(path: Path, *names: str) -> ImageInputs:
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / f"{name}.png").write_bytes(b"x")
    return load_inputs([path])


def find_all(
    inputs: ImageInputs,
    file: Path | None = None,
    first_class: int | None = None,
    n_classes: int = 10,
    classes: Sequence[str] = CLASSES,
) -> Labels:
    return find_labels(inputs, LabelOptions(file, first_class), classes, n_classes)
