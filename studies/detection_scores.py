"""Compare scores, and ways to combine them, on photographs of ``train/``: what was tried.

    python -m studies.detection_scores --shared ../shared --work bench-work/detection

Three parts of ``train/`` are the reference, the clean photographs and the attacked ones. No
photograph of ``photos/`` is seen. The result is docs/detection/tried.csv. The work folder keeps
all; an interrupted run goes on.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsparse.commands.detect.calibrate import calibrate_images
from rsparse.core.conformal import Reference, Unusualness
from rsparse.core.roc import area_under_roc
from rsparse.detection.registry import default_scores, parse_scores
from rsparse.options.detect import DetectParameters
from rsparse.store.images import decode_image
from rsparse.store.reference_scores import load_reference
from studies.detection import detectors
from studies.tables import Row, read_rows, write_rows
from studies.watched import (
    ATTACKS,
    CLEAN,
    Photograph,
    classifier_of,
    fooling,
    options_of,
    write_images,
)

Floats = NDArray[np.float64]

WEAK = ("fgsm-eps=2", "bim-eps=2", "mi-fgsm-d=0.01", "deepfool-scale=2", "cw-l2-doubled")
SCORES = ("noise", "period", "color", "instability", "lead", "swing", "squeezers")
FORMER = ("noise", "period", "color", "instability", "swing")
_EVERY = 8
_REFERENCE, _CLEAN, _ATTACKED = 0, 2, 4  # first photograph of each part

COMBINED: Mapping[str, Callable[[Unusualness], Floats]] = {
    "mean of 1 / tail": lambda found: found.combined,
    "sum of −log tail": lambda found: -np.log(found.tails).sum(axis=1),
    "smallest tail": lambda found: -found.tails.min(axis=1),
}


def main() -> None:
    options = options_of(__doc__)
    scores = {
        part: scores_of(options, part)
        for part in ("train-reference", f"train-{CLEAN}", *(f"train-{name}" for name in WEAK))
    }
    write_rows(options.output / "tried.csv", list(tried(scores)))


def tried(scores: Mapping[str, Floats]) -> Iterator[Row]:
    """The AUC of each score alone, and of each combination of scores."""
    default = tuple(score.name for score in default_scores(with_model=True))
    for name in SCORES:
        yield areas(scores, (name,), next(iter(COMBINED)))
    for chosen in (FORMER, default, tuple(dict.fromkeys((*default, *FORMER)))):
        for how in COMBINED:
            yield areas(scores, chosen, how)


def areas(scores: Mapping[str, Floats], names: tuple[str, ...], how: str) -> Row:
    """The AUC of scores that are combined in one way, under each attack."""
    places = [SCORES.index(name) for name in names]
    reference = Reference(scores["train-reference"][:, places])

    def combined(part: str) -> Floats:
        found = scores[f"train-{part}"][:, places]
        if len(places) == 1:
            return found[:, 0]
        return COMBINED[how](reference.unusualness(found))

    clean = combined(CLEAN)
    found = {name: area_under_roc(clean, combined(name)).value for name in WEAK}
    text = how if len(names) > 1 else ""
    return {
        "scores": ", ".join(names), "combined": text, **{n: f"{a:.3f}" for n, a in found.items()},
    }  # fmt: skip


def scores_of(options: argparse.Namespace, part: str) -> Floats:
    """The scores of some photographs of ``train/``, which are measured if that was not done."""
    path: Path = options.work / "tried" / f"{part}.h5"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        files = dict(detectors(options))["model"]
        calibrate_images(
            [folder_of(options, part)], path, DetectParameters(false_alarms=0.5),
            parse_scores(SCORES), files,
        )  # fmt: skip
        print(path, flush=True)
    return load_reference(path)[0].scores


def folder_of(options: argparse.Namespace, part: str) -> Path:
    """A folder of photographs of ``train/``: for the reference, clean ones, or attacked ones."""
    folder: Path = options.work / "tried" / part
    if folder.exists():
        return folder
    first = {"train-reference": _REFERENCE, f"train-{CLEAN}": _CLEAN}.get(part, _ATTACKED)
    given = photographs(options.shared, first)
    if first != _ATTACKED:
        write_images(folder, {name: image for name, image, _ in given})
        return folder
    classifier = classifier_of(options.shared)
    right = (one for one in given if int(classifier.logits([one[1]]).argmax()) == one[2])
    attacked = ATTACKS[part.removeprefix("train-")]
    chosen = list(islice(right, attacked.often * options.attacked))
    write_images(folder, fooling(attacked, chosen, classifier))
    return folder


def photographs(shared: Path, first: int) -> Iterator[Photograph]:
    """Every eighth photograph of ``train/``, at the size of the classifier's input."""
    fit = classifier_of(shared).fit_to_input
    for row in read_rows(shared / "train" / "labels.csv")[first::_EVERY]:
        path = shared / "train" / row["file"]
        yield path.stem, fit(decode_image(path.read_bytes(), path)), int(row["label"])


if __name__ == "__main__":
    main()
