"""Judge the dictionaries that have a name, into docs/results/dictionaries.csv.

    python scripts/dictionaries.py bench-work/dictionaries
    python -m studies.dictionaries --shared ../shared --work bench-work/results \
        --dictionaries bench-work/dictionaries

How well each codes photographs of ``train/``, and how many photographs of ``photos/`` a classifier
gets right behind the default policy with it, clean and attacked (gray-box); for comparison, a
dictionary of 1,024 atoms that was learned from all of ``train/``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from rsparse import attack, classify, defend, load_classifier, load_dictionary
from rsparse.core.dictionary import Dictionary
from rsparse.models.onnx.classifier import Classifier
from rsparse.store.images import Pixels, decode_image
from studies.pages import DOCS
from studies.plans import WITHOUT_JPEG, dictionary, model
from studies.tables import Row, read_rows, write_rows

ATTACKS = ("fgsm:eps=2", "fgsm:eps=10", "bim:eps=2", "bim:eps=10")
SPARSITIES = (1, 2, 5)
LEARNED_FROM_TRAIN = "1,000 photographs"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True, help="photographs and models")
    parser.add_argument("--work", type=Path, required=True, help="folder for the artifacts")
    parser.add_argument("--dictionaries", type=Path, required=True, help="folder of dictionaries")
    parser.add_argument("--every", type=int, default=5, help="judge every nth photograph")
    options = parser.parse_args()
    files = {path.stem: path for path in sorted(options.dictionaries.glob("*.h5"))}
    files[LEARNED_FROM_TRAIN] = dictionary(options.shared, options.work, jobs=1)
    rows = list(judged(options.shared, files, options.every))
    write_rows(DOCS / "results" / "dictionaries.csv", rows)


def judged(shared: Path, files: Mapping[str, Path], every: int) -> Iterator[Row]:
    """One row for each dictionary."""
    choice = model(shared, "mobilenet-v2")
    classifier = load_classifier(choice.path, choice.input_options)
    columns = attacked(shared / "photos", classifier, every)
    coded = [_read(row["file"], shared / "train") for row in _rows(shared / "train")[::25]]
    for name, file in files.items():
        atoms = load_dictionary(file)[0]
        yield {
            "dictionary": name,
            "photographs": str(len(columns["clean"][0])),
            **{f"psnr K={k}": f"{psnr(coded, atoms, k):.2f}" for k in SPARSITIES},
            **{
                column: f"{100 * right(x, y, classifier, atoms):.1f}"
                for column, (x, y) in columns.items()
            },
        }


def attacked(
    folder: Path, classifier: Classifier, every: int
) -> dict[str, tuple[Pixels, np.ndarray]]:
    """The photographs that the classifier gets right, clean and attacked, with their classes."""
    rows = _rows(folder)[::every]
    x = np.stack([classifier.fit_to_input(_read(row["file"], folder)) for row in rows])
    y = np.array([int(row["label"]) for row in rows])
    kept = classifier.logits(list(x)).argmax(1) == y
    x, y = x[kept], y[kept]
    return {"clean": (x, y), **{a: (attack(x, y, classifier, a).x_adv, y) for a in ATTACKS}}


def right(x: Pixels, y: np.ndarray, classifier: Classifier, atoms: Dictionary) -> float:
    """The share of images that are right behind the policy that was the default then."""
    verdicts = classify(x, classifier, WITHOUT_JPEG, atoms)
    return float(np.mean([v.classes[0] == label for v, label in zip(verdicts, y, strict=True)]))


def psnr(images: list[Pixels], atoms: Dictionary, sparsity: int) -> float:
    """The mean PSNR of images that are coded as a whole, in dB."""
    spec = f"regionsparse:sparsity={sparsity},localize=no,stride=4"
    errors = [
        np.square(coded.astype(np.float64) - image).mean()
        for image, coded in zip(images, defend(images, spec, atoms), strict=True)
    ]
    return float(np.mean([10 * np.log10(255**2 / error) for error in errors]))


def _rows(folder: Path) -> list[Row]:
    return list(read_rows(folder / "labels.csv"))


def _read(file: str, folder: Path) -> Pixels:
    return decode_image((folder / file).read_bytes(), folder / file)


if __name__ == "__main__":
    main()
