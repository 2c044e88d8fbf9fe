"""A classifier with known answers (the brightest colour on average), and images for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rsparse.store.folders import read_manifest
from rsparse.store.images import decode_image, encode_png
from tests.conftest import REPOSITORY

MODEL = REPOSITORY / "fixtures" / "colours.onnx"
CLASSES = ("red", "green", "blue")
MARGINS = {"blue/mid": 30, "green/near": 7, "red/far": 60, "red/near": 7}


def picture(label: int, margin: float, size: tuple[int, int] = (16, 16)) -> np.ndarray:
    """One colour is on average ``margin`` grey levels brighter than the others."""
    rng, n_pixels = np.random.default_rng([label, int(margin)]), size[0] * size[1]
    grey = np.linspace(100, 155, n_pixels).astype(np.uint8)
    channels = [rng.permutation(grey) for _ in CLASSES]
    channels[label] += np.arange(n_pixels) < n_pixels * (margin % 1)
    channels[label] += int(margin)
    return np.stack(channels, axis=-1).reshape(*size, 3)


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_png(pixels))


def read(path: Path) -> np.ndarray:
    return decode_image(path.read_bytes(), path)


def answer(x: np.ndarray) -> int:
    """The network's own prediction for an image (16, 16, 3) in [0, 1]."""
    import onnxruntime

    session = onnxruntime.InferenceSession(MODEL)
    batch = np.ascontiguousarray(x.transpose(2, 0, 1)[None], dtype=np.float32)
    return int(session.run(None, {"input": batch})[0].argmax())


def entries_of(folder: Path) -> dict[str, dict]:
    return {entry["name"]: entry for entry in read_manifest(folder)["images"]}


def true_labels() -> dict[str, int]:
    return {name: CLASSES.index(name.split("/")[0]) for name in MARGINS}


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    """Four 16×16 pictures in class subfolders, classified correctly by known margins."""
    for name, label in true_labels().items():
        save(tmp_path / "imgs" / f"{name}.png", picture(label, MARGINS[name]))
    return tmp_path / "imgs"
