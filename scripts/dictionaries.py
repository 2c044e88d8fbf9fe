"""Learn the dictionaries that have a name, from photographs that may be shipped.

They are the ten photographs of the demonstration (``rsparse/data/LICENSES.md``) as scikit-image
and scikit-learn distribute them, each at three sizes, in the eight ways to turn and mirror it.
Processors round differently, so a dictionary's bytes depend on the machine that learned it; its
name stands for the file in the catalogue.

    python scripts/dictionaries.py dictionaries/    # writes six files (10 minutes)

The embedded file and the catalogue go into ``rsparse/data/dictionaries``.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
from demo_photos import SOURCES
from PIL import Image

from rsparse.commands.learn_dict import learn_dict
from rsparse.core.dictionary import Dictionary
from rsparse.data import dictionary_catalogue, embedded_dictionary
from rsparse.options.learn_dict import LearnParameters
from rsparse.store.dictionaries import load_dictionary, save_dictionary
from rsparse.store.files import digest_and_size
from rsparse.store.records import Record, Source

SHORTER_SIDES = (None, 299, 180)  # None keeps a photograph's own size
STEP = 2.0**-12
"""Atoms are rounded to multiples of this, so that their file is small."""

_BASE = LearnParameters(patches_per_image=1500, smoothing=False)
DICTIONARIES = {
    "photos-8x8-1024": replace(_BASE, n_atoms=1024),
    "photos-8x8-256": replace(_BASE, n_atoms=256),
    "photos-6x6-1024": replace(_BASE, patch_size=6, n_atoms=1024),
    "photos-12x12-1024": replace(_BASE, patch_size=12, n_atoms=1024),
    "photos-8x8-1024-grey": replace(_BASE, n_atoms=1024, color=False),
    "photos-8x8-256-grey": replace(_BASE, n_atoms=256, color=False),
}


def views() -> Iterator[tuple[str, np.ndarray]]:
    """The photographs at all sizes, turned and mirrored, with a name for each."""
    for source in SOURCES:
        photograph = source.read()
        for side in SHORTER_SIDES:
            smaller = reduced(photograph, side)
            for quarter_turns in range(4):
                for mirrored in (False, True):
                    view = np.rot90(smaller, quarter_turns)
                    name = f"{source.label}-{side or 'full'}-{90 * quarter_turns}"
                    yield name + mirrored * "-mirrored", view[:, ::-1] if mirrored else view


def reduced(photograph: np.ndarray, shorter_side: int | None) -> np.ndarray:
    """A photograph reduced to a shorter side; one that is smaller stays as it is."""
    height, width = photograph.shape[:2]
    if shorter_side is None or shorter_side >= min(height, width):
        return photograph
    share = shorter_side / min(height, width)
    size = round(width * share), round(height * share)
    return cv2.resize(photograph, size, interpolation=cv2.INTER_AREA)


def learn(photographs: Path, file: Path, parameters: LearnParameters) -> None:
    """Learn a dictionary, round its atoms, and write it compressed."""
    with tempfile.TemporaryDirectory() as folder:
        learned = Path(folder) / file.name
        learn_dict([photographs], learned, parameters)
        dictionary, record = load_dictionary(learned)
        errors, images = _of_learning(learned)
    atoms = np.round(dictionary.atoms / STEP) * STEP
    rounded = Dictionary(
        atoms.astype(np.float32), dictionary.patch_size, dictionary.color, dictionary.normalize
    )
    save_dictionary(file, _with_step(record), rounded, errors, images, packed=True)


def _with_step(record: Mapping[str, Any]) -> Record:
    """The record of learning, with the rounding."""
    return Record(
        record["format"],
        record["stage"],
        {**record["parameters"], "rounded_to": STEP},
        record["seed"],
        tuple(Source(**source) for source in record["inputs"]),
        record["method"],
    )


def _of_learning(file: Path) -> tuple[dict[int, float], dict[str, str]]:
    """The held-out error by K and the images of a dictionary."""
    with h5py.File(file) as content:
        held_out, images = content["held_out"], content["images"]
        errors = dict(zip(held_out["sparsity"][:].tolist(), held_out["error"][:], strict=True))
        names, digests = (images[key].asstr()[:].tolist() for key in ("name", "sha256"))
    return errors, dict(zip(names, digests, strict=True))


def entry(file: Path, parameters: LearnParameters) -> dict[str, object]:
    """What the catalogue says of a dictionary."""
    sha256, size = digest_and_size(file)
    errors, _ = _of_learning(file)
    return {
        "sha256": sha256,
        "bytes": size,
        "patch_size": parameters.patch_size,
        "n_atoms": parameters.n_atoms,
        "color": parameters.color,
        "error": {str(sparsity): round(float(error), 4) for sparsity, error in errors.items()},
    }


def main(folder: Path) -> None:
    """Learn all dictionaries into ``folder``; write the catalogue and the embedded one."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        photographs = Path(temporary) / "photographs"
        photographs.mkdir()
        for name, view in views():
            Image.fromarray(np.ascontiguousarray(view)).save(photographs / f"{name}.png")
        for name, parameters in DICTIONARIES.items():
            file = folder / f"{name}.h5"
            if not file.exists():
                learn(photographs, file, parameters)
                print(name, flush=True)
    catalogue = {name: entry(folder / f"{name}.h5", p) for name, p in DICTIONARIES.items()}
    dictionary_catalogue().write_text(json.dumps(catalogue, indent=1) + "\n", encoding="utf-8")
    shutil.copyfile(folder / embedded_dictionary().name, embedded_dictionary())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
