"""How well the measures that leave an image alone hold for photographs of another past.

A weak attack is told from a photograph by its noise and by its noise's period of two. Both were
calibrated on photographs that were JPEG files and were shrunk to the classifier's size. Here the
same photographs, and the same attacks' changes, as they are; shrunk to half (which leaves nothing
of the JPEG's blocks), where a change's middle part is added; and saved as JPEG once more at the
classifier's size. Wants the folder that ``calibrate.py`` has filled.

    python -m studies.periods --shared ../shared --work bench-work/calibrate/mobilenet-v2
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from rsparse.core.compression import jpeg
from rsparse.core.levels import Pixels, noise_level, period_two
from rsparse.store.images import decode_image

ATTACKS = ("fgsm-eps=2", "bim-eps=2", "mi-fgsm-d=0.01", "cw-l2-d=0.01-steps=30")
RULES = (
    (0.5, np.inf),
    (np.inf, 3.0),
    (np.inf, 4.0),
    (np.inf, 5.0),
    (0.5, 3.0),
    (0.5, 4.0),
    (0.5, 5.0),
)
KINDS = ("as they are", "shrunk to half", "JPEG again, quality 85")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True, help="photographs")
    parser.add_argument("--work", type=Path, required=True, help="what calibrate.py has filled")
    options = parser.parse_args()
    measured = {
        (kind, column): np.array([(noise_level(image), period_two(image)) for image in images])
        for kind in KINDS
        for column, images in _columns(options.shared / "train", options.work, kind)
    }
    columns = ("benign", *ATTACKS)
    print("| photographs | noise from | period from |", " | ".join(columns), "|")
    print("|---" * (3 + len(columns)) + "|")
    for kind in KINDS:
        for noise, period in RULES:
            shares = [
                100 * ((found[:, 0] >= noise) | (found[:, 1] >= period)).mean()
                for found in (measured[kind, column] for column in columns)
            ]
            cells = " | ".join(f"{share:.0f}" for share in shares)
            said = (f"{bound:g}" if np.isfinite(bound) else "–" for bound in (noise, period))
            print(f"| {kind} | {' | '.join(said)} | {cells} |")


def _columns(train: Path, work: Path, kind: str) -> Iterator[tuple[str, list[Pixels]]]:
    """The benign images of a kind, then those with each attack's changes."""
    clean = sorted((work / "clean").glob("*.png"))
    benign = [_read(path) for path in clean]
    others = [
        _other(image, train / f"{path.stem}.jpg", kind)
        for image, path in zip(benign, clean, strict=True)
    ]
    yield "benign", others
    for attack in ATTACKS:
        folder = next((work / "attacks").glob(f"*/{attack}"))
        changes = [
            _read(folder / path.name).astype(int) - image
            for image, path in zip(benign, clean, strict=True)
        ]
        yield (
            attack,
            [_changed(image, change) for image, change in zip(others, changes, strict=True)],
        )


def _other(image: Pixels, source: Path, kind: str) -> Pixels:
    """A photograph as ``kind`` says."""
    if kind == KINDS[0]:
        return image
    if kind == KINDS[2]:
        return jpeg(image, 85)
    photograph = _read(source)
    size = (photograph.shape[1] // 2, photograph.shape[0] // 2)
    return np.asarray(cv2.resize(photograph, size, interpolation=cv2.INTER_AREA), np.uint8)


def _changed(image: Pixels, change: NDArray[np.int_]) -> Pixels:
    """The image with the middle of a change that is as large or larger."""
    height, width = image.shape[:2]
    top, left = (change.shape[0] - height) // 4 * 2, (change.shape[1] - width) // 4 * 2
    part = change[top : top + height, left : left + width]
    return np.clip(image + part, 0, 255).astype(np.uint8)


def _read(path: Path) -> Pixels:
    return decode_image(path.read_bytes(), path)


if __name__ == "__main__":
    main()
