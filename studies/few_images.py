"""How many images a dictionary needs (Section V-I), into docs/results/few-images.csv.

    python -m studies.few_images --shared ../shared --work bench-work/few-images

For each seed, the photographs of ``train/`` are put in a random order and dictionaries are learned
from the first 5, 10, … of them, with the defaults of ``learn-dict``. The error is that of patches
of other photographs, which are not smoothed. The accuracy is that of photographs of ``photos/``
which the classifier gets right, clean and attacked without knowledge of the defense. A finished row
is kept in the work folder, and an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsparse import attack, defend, load_classifier
from rsparse.core.dictionary import Dictionary
from rsparse.core.learning import DictionaryLearner, patch_rng, standardized, take_patches
from rsparse.core.omp import omp, reconstruct
from rsparse.models.onnx.classifier import Classifier
from rsparse.options.learn_dict import LearnParameters
from rsparse.report.markdown_tables import table_text
from rsparse.store.images import Pixels, decode_image
from studies.pages import DOCS
from studies.plans import model
from studies.tables import Row, read_rows, write_rows

TABLE = DOCS / "results" / "few-images.csv"
COUNTS = (5, 10, 20, 50, 100, 200, 500, 1000)
SPARSITIES = (1, 2, 5)
ATTACKED = "bim:eps=8"
DEFENSE = "regionsparse:sparsity=2,localize=no,stride=4"
_HELD_OUT = 20_000  # patches


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True, help="photographs and models")
    parser.add_argument("--work", type=Path, required=True, help="folder that keeps finished rows")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--every", type=int, default=4, help="judge every nth photograph")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    study = Study(options.shared, options.work, options.every)
    rows = [study.row(count, seed) for seed in range(options.seeds) for count in COUNTS]
    write_rows(TABLE, rows)
    print(table())


class Study:
    """The photographs of a run, what was made of them, and the rows that are finished."""

    def __init__(self, shared: Path, work: Path, every: int) -> None:
        self._shared, self._work, self._every = shared, work, every
        self._taken: dict[int, Pixels] = {}
        self._columns: dict[str, list[Pixels]] = {}
        self._labels = np.zeros(0, np.int64)
        self._classifier: Classifier | None = None

    def row(self, count: int, seed: int) -> Row:
        """The error and the accuracy of a dictionary of so many images."""
        path = self._work / f"{count}-{seed}-{self._every}.json"
        if not path.exists():
            row = self._judged(self._learned(count, seed))
            path.write_text(json.dumps({"images": str(count), "seed": str(seed), **row}))
        kept: Row = json.loads(path.read_text())
        return kept

    def _learned(self, count: int, seed: int) -> Dictionary:
        parameters = LearnParameters(seed=seed)
        folder = self._shared / "train"
        rows = read_rows(folder / "labels.csv")
        learner = DictionaryLearner(parameters)
        for number in np.random.default_rng(seed).permutation(len(rows))[:count]:
            if number not in self._taken:  # the same patches for all seeds, in another order
                image = _read(folder / rows[number]["file"])
                self._taken[number] = take_patches(image, parameters, patch_rng(0, 0, int(number)))
            learner.partial_fit(standardized(self._taken[number], parameters))
        return learner.finish()[0]

    def _judged(self, atoms: Dictionary) -> Row:
        if not self._columns:
            self._prepare()
        assert self._classifier is not None
        energy = np.square(self._held_out).sum()
        row = {"photographs": str(len(self._labels))}
        for k in SPARSITIES:
            left = self._held_out - reconstruct(*omp(self._held_out, atoms.atoms, k), atoms.atoms)
            row[f"error K={k}"] = f"{100 * np.square(left).sum() / energy:.2f}"
        for name, images in self._columns.items():
            logits = self._classifier.logits(list(defend(images, DEFENSE, atoms)))
            row[name] = f"{100 * np.mean(logits.argmax(1) == self._labels):.1f}"
        return row

    def _prepare(self) -> None:
        """Attack the photographs, and take the patches of others for the error."""
        choice = model(self._shared, "mobilenet-v2")
        self._classifier = load_classifier(choice.path, choice.input_options)
        folder = self._shared / "photos"
        rows = read_rows(folder / "labels.csv")
        chosen = rows[:: self._every]
        x = [self._classifier.fit_to_input(_read(folder / row["file"])) for row in chosen]
        y = np.array([int(row["label"]) for row in chosen])
        kept = self._classifier.logits(x).argmax(1) == y
        clean, self._labels = [x[i] for i in np.flatnonzero(kept)], y[kept]
        path = self._work / f"attacked-{self._every}.npy"
        if not path.exists():
            np.save(path, attack(clean, self._labels, self._classifier, ATTACKED).x_adv)
        self._columns = {"clean": clean, ATTACKED: list(np.load(path))}
        others = [_read(folder / row["file"]) for row in rows[1 :: self._every]]
        self._held_out = held_out(others)


def held_out(images: Sequence[Pixels]) -> NDArray[np.float32]:
    """Standardised patches of images that are not smoothed."""
    each = -(-_HELD_OUT // len(images))
    parameters = LearnParameters(smoothing=False, patches_per_image=each)
    return np.concatenate([
        standardized(take_patches(image, parameters, patch_rng(1, 0, number)), parameters)
        for number, image in enumerate(images)
    ])  # fmt: skip


def table(path: Path = TABLE) -> str:
    """The table as Markdown: means over the seeds, and the range of the accuracies."""
    rows = read_rows(path)
    counts = dict.fromkeys(row["images"] for row in rows)
    columns = [name for name in rows[0] if name not in ("images", "seed", "photographs")]
    lines = [
        [count, *(_cell(_values(rows, count, name), name) for name in columns)] for count in counts
    ]
    return table_text(["images", *columns], lines)


def _values(rows: Sequence[Row], count: str, name: str) -> list[float]:
    return [float(row[name]) for row in rows if row["images"] == count]


def _cell(values: Sequence[float], name: str) -> str:
    if name.startswith("error"):
        return f"{np.mean(values):.2f}"
    return f"{np.mean(values):.1f} ({min(values):.1f}–{max(values):.1f})"


def curve(path: Path = TABLE) -> Iterator[tuple[int, float, float]]:
    """Number of images, mean error at K = 2, and mean accuracy under attack, for a chart."""
    rows = read_rows(path)
    for count in dict.fromkeys(row["images"] for row in rows):
        yield (
            int(count),
            float(np.mean(_values(rows, count, "error K=2"))),
            float(np.mean(_values(rows, count, ATTACKED))),
        )


def _read(path: Path) -> Pixels:
    return decode_image(path.read_bytes(), path)


if __name__ == "__main__":
    main()
