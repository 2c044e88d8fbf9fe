"""Trainings of the classifier in ``colours.py``: images, arguments and samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from rsparse.store.files import sha256_of
from rsparse.store.images import ImageFile, encode_png
from rsparse.training.samples import Sample
from tests.colours import MODEL

FAST = ("--epochs", 2, "--learning-rate", 0.02, "--jobs", 1)


def save_colours(folder: Path, n: int = 12) -> Path:
    """Save noise whose strongest channel is the class; ``labels.csv`` is beside the folder."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    rows = ["file,label"]
    for number in range(n):
        pixels = rng.integers(60, 150, (20, 22, 3))
        pixels[..., number % 3] += 40
        (folder / f"{number:02d}.png").write_bytes(encode_png(pixels.astype(np.uint8)))
        rows.append(f"{number:02d}.png,{number % 3}")
    (folder.parent / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    return save_colours(tmp_path / "imgs")


@pytest.fixture
def labelled(colours: Path) -> tuple[object, ...]:
    """The first arguments of every training with labels."""
    return ("train", colours, "-m", MODEL, "--labels", colours.parent / "labels.csv", *FAST)


def weights_of(path: Path) -> dict[str, np.ndarray]:
    graph = onnx.load(path).graph
    return {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}


def sample_of(folder: Path, name: str, **versions: np.ndarray) -> Sample:
    files, digests = {}, {}
    for version, pixels in versions.items():
        path = folder / f"{version}-{name}.png"
        path.write_bytes(encode_png(pixels))
        files[version] = ImageFile(name, path, folder)
        digests[version] = sha256_of(path.read_bytes())
    return Sample(name, files, digests, 1)
