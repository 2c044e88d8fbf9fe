"""Cut the embedded demonstration's photographs from those of scikit-image and scikit-learn.

Each source photograph is a class. It has a *test region*: test crops lie inside it, and training
crops (the shipped ones and the random ones of ``demo_model.py``) never touch it. The shipped
windows are at least as large as their crops, so nothing is enlarged. Some random windows are
smaller, which shows details to the classifier.

    python scripts/demo_photos.py          # writes rsparse/data/photos and its table of crops
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

SIZE = 128
PHOTOS = Path(__file__).resolve().parent.parent / "rsparse" / "data" / "photos"

Window = tuple[int, int, int]  # x, y, side in source pixels


@dataclass(frozen=True)
class Source:
    """A photograph and the windows to cut from it; see ``rsparse/data/LICENSES.md``."""

    label: str
    package: str
    file: str
    test_region: tuple[int, int, int, int]  # left, top, right, bottom
    sides: tuple[int, int]  # of the random training windows
    train: tuple[Window, ...]
    test: tuple[Window, ...]

    def read(self) -> np.ndarray:
        """Return the whole photograph, uint8 RGB (h, w, 3)."""
        with Image.open(str(files(self.package) / self.file)) as photograph:
            return np.asarray(photograph.convert("RGB"))

    def touches_test_region(self, window: Window) -> bool:
        """Whether the window shares a pixel with the test region."""
        x, y, side = window
        left, top, right, bottom = self.test_region
        return x < right and x + side > left and y < bottom and y + side > top

    def leaves_test_region(self, window: Window) -> bool:
        """Whether any pixel of the window is outside the test region."""
        x, y, side = window
        left, top, right, bottom = self.test_region
        return x < left or y < top or x + side > right or y + side > bottom

    def check(self, split: str, window: Window) -> None:
        """Raise ValueError if a shipped window is too small or in the wrong region."""
        wrong = self.touches_test_region if split == "train" else self.leaves_test_region
        if window[2] < SIZE or wrong(window):
            raise ValueError(f"{self.label}: {window} is not a window for the {split} split")


_SKIMAGE, _SKLEARN = "skimage.data", "sklearn.datasets.images"

# Sorted by label, which is the order of the classifier's classes.
SOURCES = (
    Source(
        "astronaut", _SKIMAGE, "astronaut.png", (100, 130, 310, 340), (96, 200),
        train=((145, 0, 130), (320, 10, 190), (60, 342, 170), (262, 342, 170), (0, 345, 160)),
        test=((100, 130, 210), (150, 180, 150), (100, 140, 160), (172, 200, 138), (120, 150, 180)),
    ),
    Source(
        "brick", _SKIMAGE, "brick.png", (300, 0, 512, 512), (96, 260),
        train=((0, 0, 200), (70, 280, 220), (50, 120, 240), (0, 320, 190), (145, 20, 150)),
        test=((300, 0, 200), (310, 300, 200), (330, 150, 180), (372, 372, 140), (302, 190, 150)),
    ),
    Source(
        "cat", _SKIMAGE, "chelsea.png", (230, 0, 451, 300), (96, 230),
        train=((0, 0, 230), (80, 30, 150), (20, 95, 200), (60, 150, 150), (90, 0, 140)),
        test=((230, 60, 200), (236, 80, 150), (270, 0, 170), (231, 140, 160), (235, 20, 210)),
    ),
    Source(
        "coffee", _SKIMAGE, "coffee.png", (285, 0, 600, 400), (96, 280),
        train=((100, 10, 185), (60, 100, 220), (20, 180, 200), (130, 180, 155), (85, 60, 200)),
        test=((285, 20, 180), (290, 190, 200), (286, 100, 240), (330, 60, 200), (300, 215, 170)),
    ),
    Source(
        "flower", _SKLEARN, "flower.jpg", (305, 0, 640, 427), (96, 280),
        train=((105, 90, 200), (140, 200, 165), (130, 70, 160), (45, 100, 260), (165, 150, 140)),
        test=((305, 90, 200), (306, 180, 180), (310, 120, 130), (305, 60, 260), (330, 230, 190)),
    ),
    Source(
        "galaxies", _SKIMAGE, "hubble_deep_field.jpg", (600, 0, 1000, 872), (160, 400),
        train=((200, 20, 260), (30, 290, 256), (310, 600, 256), (300, 280, 250), (330, 30, 250)),
        test=((620, 400, 220), (660, 80, 260), (640, 610, 260), (740, 360, 256), (610, 150, 320)),
    ),
    Source(
        "gravel", _SKIMAGE, "gravel.png", (300, 0, 512, 512), (96, 280),
        train=((0, 0, 200), (70, 280, 220), (50, 120, 240), (0, 320, 190), (145, 20, 150)),
        test=((300, 0, 200), (310, 300, 200), (330, 150, 180), (372, 372, 140), (302, 190, 150)),
    ),
    Source(
        "pagoda", _SKLEARN, "china.jpg", (205, 0, 400, 427), (96, 205),
        train=((55, 20, 150), (30, 90, 175), (60, 170, 145), (20, 215, 185), (5, 10, 200)),
        test=((205, 30, 180), (206, 110, 190), (205, 180, 195), (205, 20, 140), (206, 225, 190)),
    ),
    Source(
        "retina", _SKIMAGE, "retina.jpg", (0, 770, 1411, 1411), (220, 640),
        train=((60, 330, 430), (150, 60, 480), (500, 200, 560), (850, 120, 500), (560, 420, 340)),
        test=((100, 780, 420), (400, 800, 500), (840, 790, 500), (300, 900, 480), (30, 775, 300)),
    ),
    Source(
        "rocket", _SKIMAGE, "rocket.jpg", (190, 90, 450, 270), (96, 220),
        train=((230, 270, 157), (0, 180, 190), (452, 150, 188), (340, 271, 156), (130, 272, 155)),
        test=((230, 92, 178), (245, 100, 150), (190, 100, 170), (270, 110, 150), (260, 91, 179)),
    ),
)  # fmt: skip


def cut(photograph: np.ndarray, window: Window) -> np.ndarray:
    """Return the square window of a photograph, resized to ``SIZE`` pixels."""
    x, y, side = window
    method = cv2.INTER_AREA if side >= SIZE else cv2.INTER_CUBIC
    return cv2.resize(photograph[y : y + side, x : x + side], (SIZE, SIZE), interpolation=method)


def random_window(source: Source, photograph: np.ndarray, rng: np.random.Generator) -> Window:
    """Draw a window of the photograph that does not touch its test region."""
    height, width = photograph.shape[:2]
    while True:
        side = int(rng.integers(source.sides[0], source.sides[1] + 1))
        x, y = int(rng.integers(0, width - side + 1)), int(rng.integers(0, height - side + 1))
        if not source.touches_test_region((x, y, side)):
            return x, y, side


def training_crops(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return ``count`` crops from each training region, uint8 (n, SIZE, SIZE, 3), and classes."""
    crops = []
    for source in SOURCES:
        photograph = source.read()
        crops += [cut(photograph, random_window(source, photograph, rng)) for _ in range(count)]
    return np.stack(crops), np.repeat(np.arange(len(SOURCES)), count)


def test_crops() -> tuple[np.ndarray, np.ndarray]:
    """Return the shipped test crops and their classes."""
    crops = [cut(source.read(), window) for source in SOURCES for window in source.test]
    return np.stack(crops), np.repeat(np.arange(len(SOURCES)), [len(s.test) for s in SOURCES])


def recolour(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirror at random; change saturation, contrast and the brightness of each channel."""
    if rng.random() < 0.5:
        x = x[:, ::-1]
    x = x.astype(np.float32)
    grey = x.mean(axis=2, keepdims=True)
    x = grey + (x - grey) * rng.uniform(0.4, 1.3)
    x = x.mean() + (x - x.mean()) * rng.uniform(0.8, 1.2)
    return np.clip(x * rng.uniform(0.75, 1.25, size=3), 0, 255).astype(np.uint8)


def degrade(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Remove detail in one of four common ways, with random strength."""
    kind = rng.integers(4)
    if kind == 0:
        return cv2.GaussianBlur(x, (0, 0), rng.uniform(0.6, 2.5))
    if kind == 1:
        side = int(SIZE / rng.uniform(1.5, 4))
        small = cv2.resize(x, (side, side), interpolation=cv2.INTER_AREA)
        return cv2.resize(small, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
    if kind == 2:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(5, 50))]
        return cv2.imdecode(cv2.imencode(".jpg", x, quality)[1], cv2.IMREAD_COLOR)
    return cv2.bilateralFilter(x, 9, rng.uniform(30, 100), rng.uniform(30, 100))


def write_photos(folder: Path = PHOTOS) -> None:
    """Write ``<split>/<class>/NN.png``, and ``crops.csv`` with the position of each crop."""
    rows = []
    for source in SOURCES:
        photograph = source.read()
        for split, windows in (("train", source.train), ("test", source.test)):
            (folder / split / source.label).mkdir(parents=True, exist_ok=True)
            for number, window in enumerate(windows):
                source.check(split, window)
                file = f"{split}/{source.label}/{number:02d}.png"
                Image.fromarray(cut(photograph, window)).save(folder / file, optimize=True)
                rows.append((source.label, split, file, source.file, *window))
    with (folder / "crops.csv").open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(("class", "split", "file", "source", "x", "y", "side"))
        table.writerows(rows)


if __name__ == "__main__":
    write_photos()
