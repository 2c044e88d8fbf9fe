"""What each of our changes to the paper's form is worth, into docs/results/paper/improvements.csv.

    python -m studies.improvements --shared ../shared --work bench-work/improvements

Each row is the paper's form with one change, which a named option switches on; the last ones have
all of them. MobileNet-v2 judges photographs that it gets right, clean and attacked without
knowledge of the defense. The work folder keeps the dictionaries and the attacked photographs.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rsparse import attack, defend
from rsparse.core.metrics import share_of
from rsparse.evaluation.estimates import percent
from rsparse.models.onnx.classifier import Classifier
from rsparse.options.learn_dict import LearnParameters
from rsparse.store.images import Pixels
from studies.attacked_blocks import right_photographs
from studies.pages import DOCS
from studies.paper.figures import LEARNED_FROM, LEARNING
from studies.plans import dictionary
from studies.tables import Row, write_rows
from studies.watched import classifier_of

TABLE = DOCS / "results" / "paper" / "improvements.csv"
PHOTOGRAPHS = 40
ATTACKS = ("fgsm:eps=2", "bim:eps=2", "bim:eps=8", "mi-fgsm:d=0.01", "deepfool")
OURS = LearnParameters()
FORM = "sparsity=2,feather=0,gradient_difference=horizontal,blur_size=1,working_size=0"
"""The paper's form, as in ``policy:paper``."""


class Change(NamedTuple):
    """A change to the paper's form.

    Attributes
    ----------
    name, switch : str
        In words; the options that switch it on.
    learn : mapping
        Parameters of ``learn-dict`` that differ from ``--preset paper``.
    defense : str
        The spec of the defense.
    """

    name: str
    switch: str
    learn: Mapping[str, Any] = {}
    defense: str = f"regionsparse:{FORM}"


def _with(**values: str) -> str:
    """The paper's form with other values."""
    known = dict(item.split("=") for item in FORM.split(",")) | values
    return "regionsparse:" + ",".join(f"{key}={value}" for key, value in known.items())


EVERYTHING = {name: getattr(OURS, name) for name in (
    "color", "coder", "replace_atoms", "smoothing_weights", "smoothing_window", "smoothing_h",
)}  # fmt: skip
CHANGES = (
    Change("the paper's form", "`--preset paper`, `--policy paper`"),
    Change("colour patches", "`--color`", {"color": True}),
    Change("OMP while learning", "`--coder omp`", {"coder": "omp"}),
    Change("atoms replaced", "`--replace-atoms`", {"replace_atoms": True}),
    Change(
        "weights with h², window of 21", "`--smoothing-weights squared --smoothing-window 21`",
        {k: v for k, v in EVERYTHING.items() if k.startswith("smoothing")},
    ),
    Change("signed difference of the gradients", "`--gradient-difference signed`", defense=_with(
        gradient_difference="signed")),
    Change("region found in a blurred image", "`--blur-size 9`", defense=_with(blur_size="9")),
    Change("region found at 299 pixels", "`--working-size 299`", defense=_with(working_size="299")),
    Change("a soft border", "`--feather 2`", defense=_with(feather="2")),
    Change("θ = 0.75", "`--theta 0.75`", defense=_with(theta="0.75")),
    Change("filtered before coding", "`--prefilter`", defense=_with(prefilter="yes")),
    Change("no localization", "`--no-localize`", defense=_with(localize="no")),
    Change("our defaults with K = 2", "`--sparsity 2`", EVERYTHING, "regionsparse:sparsity=2"),
    Change("the default policy", "none", EVERYTHING, "policy:default"),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True, help="photographs and models")
    parser.add_argument("--work", type=Path, required=True, help="folder that keeps what is made")
    parser.add_argument("--photographs", type=int, default=PHOTOGRAPHS)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    classifier = classifier_of(options.shared)
    columns, labels = attacked(options.shared, options.work, options.photographs, classifier)
    write_rows(TABLE, list(rows(options.shared, options.work, classifier, columns, labels)))


def attacked(
    shared: Path, work: Path, wanted: int, classifier: Classifier
) -> tuple[Mapping[str, Sequence[Pixels]], NDArray[np.int64]]:
    """The photographs of each column, clean and attacked, and their classes."""
    photographs = right_photographs(shared, wanted)
    clean = np.stack([image for _, image, _ in photographs])
    labels = np.array([label for _, _, label in photographs])
    columns = {"clean": clean}
    for number, spec in enumerate(ATTACKS):
        path = work / f"attacked-{wanted}-{number}.npy"
        if not path.exists():
            np.save(path, attack(clean, labels, classifier, spec).x_adv)
        columns[spec] = np.load(path)
    return columns, labels


def rows(
    shared: Path,
    work: Path,
    classifier: Classifier,
    columns: Mapping[str, Sequence[Pixels]],
    labels: NDArray[np.int64],
) -> Iterator[Row]:
    """A row for each change."""
    n, of_form = len(labels), 0.0
    for change in CHANGES:
        atoms = _learned(change, shared, work)
        right = {}
        for name, images in columns.items():
            cleaned = list(defend(list(images), change.defense, atoms))
            right[name] = int((classifier.logits(cleaned).argmax(1) == labels).sum())
        under_attack = sum(right[spec] for spec in ATTACKS)
        mean = 100 * under_attack / n / len(ATTACKS)
        of_form = of_form or mean
        estimate = share_of(right["clean"], n)
        row = {"change": change.name, "switch": change.switch, "photographs": str(n)}
        row |= {name: f"{100 * count / n:.1f}" for name, count in right.items()}
        row |= {
            "clean_low": percent(estimate.low, 0), "clean_high": percent(estimate.high, 0),
            "mean": f"{mean:.1f}", "difference": f"{mean - of_form:.1f}",
        }  # fmt: skip
        print(row, flush=True)
        yield row


def _learned(change: Change, shared: Path, work: Path) -> Path:
    parameters = replace(LEARNING, **change.learn)
    declared = {_file_of(change): parameters}
    return dictionary(shared, work, _file_of(change), 1, declared, LEARNED_FROM)


def _file_of(change: Change) -> str:
    """Changes with the same dictionary share its file."""
    return "-".join(["paper", *(f"{key}={value}" for key, value in change.learn.items())])


if __name__ == "__main__":
    main()
