"""Measure how well ``rsparse detect`` finds attacks, and how often it takes clean images for them.

    python -m studies.detection --shared ../shared --work bench-work/detection

The reference is measured on photographs of ``train/``, or on those of ``photos/`` that are not
examined. An attacked image counts if it fools the classifier after rounding. The results are
docs/detection/rates.csv and origins.csv. The work folder keeps all; an interrupted run goes on.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from rsparse.commands.detect.calibrate import calibrate_images
from rsparse.commands.detect.measuring import MeasuredFolder
from rsparse.commands.detect.reference import reference_at
from rsparse.commands.detect.results import DetectOutcome, outcome_of
from rsparse.commands.detect.setup import DetectorFiles
from rsparse.core.metrics import Estimate
from rsparse.options.detect import DetectParameters
from rsparse.store.reference_scores import load_reference
from rsparse.work.progress import SILENT
from rsparse.work.runs import Outcome
from rsparse.work.workers import LocalWorkers
from studies.plans import model
from studies.tables import Row, write_rows
from studies.watched import (
    CLEAN,
    SAME_ORIGIN,
    SIDE,
    TURNED,
    VERSIONS,
    attacked_folders,
    changed,
    clean_folder,
    options_of,
    still_fooling,
    train_photographs,
)

TRAIN = "train"
_LOOSEST = 0.5  # false alarms, so that few images are enough for a file of scores
RANKINGS = (  # the reference, and the tolerance
    (TRAIN, DetectParameters().tolerance),
    (TRAIN, 1.0),
    (SAME_ORIGIN, 1.0),
)


def main() -> None:
    options = options_of(__doc__)
    folders = [clean_folder(options, CLEAN), *attacked_folders(options)]
    rows: list[Row] = []
    wrong: dict[Path, int] = {}
    for kind, files in detectors(options):
        for version in versions(files):
            images = [changed(folder, version) for folder in folders]
            wrong |= {f: still_fooling(options, f) for f in images if f not in wrong}
            fooling = {folder.name: str(wrong[folder]) for folder in images}
            found = {
                "" if folder.name == CLEAN else folder.name: measured(options, kind, folder, files)
                for folder in images
            }
            for origin, tolerance in RANKINGS:
                path = reference(options, kind, origin, files)
                ranked = ranking(path, files, found, tolerance)
                made = rates(kind, version, origin, tolerance, ranked)
                rows += [{**row, "wrong": fooling[row["attack"]]} for row in made]
            write_rows(options.output / "rates.csv", rows)
            print(kind, version, flush=True)
    write_rows(options.output / "origins.csv", list(origins(options)))


def detectors(options: argparse.Namespace) -> Iterator[tuple[str, DetectorFiles]]:
    """The detector without a classifier, and the one with MobileNet-v2."""
    yield "image", DetectorFiles()
    chosen = model(options.shared, "mobilenet-v2")
    yield "model", DetectorFiles(chosen.path, chosen.input_options)


def versions(files: DetectorFiles) -> list[str]:
    """The changes after the attack; a turned photograph is none that a classifier has seen."""
    return [name for name in VERSIONS if files.model is None or name != TURNED]


def reference(options: argparse.Namespace, kind: str, origin: str, files: DetectorFiles) -> Path:
    """The file of a reference, which is made if it is missing."""
    paths = (
        train_photographs(options.shared, options.every)
        if origin == TRAIN
        else [clean_folder(options, origin)]
    )
    path: Path = options.work / f"reference-{kind}-{origin}.h5"
    return scores_of(paths, path, files, options.jobs)


def scores_of(paths: Sequence[Path], path: Path, files: DetectorFiles, jobs: int) -> Path:
    """The file of the scores of images, which is made if it is missing."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        size = str(SIDE) if files.model is None else None
        parameters = DetectParameters(_LOOSEST, resize_to=size)
        calibrate_images(paths, path, parameters, files=files, workers=LocalWorkers(jobs))
    return path


def measured(
    options: argparse.Namespace, kind: str, folder: Path, files: DetectorFiles
) -> MeasuredFolder:
    """The scores of a folder's images."""
    place = folder.relative_to(options.work)
    path = options.work / "scores" / kind / place.with_name(f"{place.name}.h5")
    stored, _ = load_reference(scores_of([folder], path, files, options.jobs))
    done = Outcome(path, len(stored.digests), 0, [])
    return MeasuredFolder(done, dict(stored.digests), stored.scores, stored.size, ())


def ranking(
    path: Path, files: DetectorFiles, found: Mapping[str, MeasuredFolder], tolerance: float
) -> DetectOutcome:
    """What is detected by a reference, with a tolerance."""
    parameters = DetectParameters(tolerance=tolerance)
    ready = reference_at(path, (), files, parameters, LocalWorkers(1), SILENT)
    assert ready.scores is not None  # read from a file
    return outcome_of(found, ready.scores, ready.setup, parameters)


def origins(options: argparse.Namespace) -> Iterator[Row]:
    """The median and the 95 % quantile of each score in the references."""
    kind, files = list(detectors(options))[-1]
    for origin in (TRAIN, SAME_ORIGIN):
        stored, _ = load_reference(reference(options, kind, origin, files))
        middle, high = np.quantile(stored.scores, (0.5, 0.95), axis=0)
        for score, *values in zip(stored.columns, middle, high, strict=True):
            numbers = (f"{value:.2f}" for value in values)
            yield {"reference": origin, "score": score} | dict(
                zip(("median", "high"), numbers, strict=True)
            )


def rates(
    kind: str, version: str, origin: str, tolerance: float, found: DetectOutcome
) -> Iterator[Row]:
    """A row of false alarms, and a row for each attack."""
    start = {
        "detector": kind, "images": version, "reference": origin, "tolerance": f"{tolerance:g}",
        "n_reference": str(found.n_reference),
    }  # fmt: skip
    yield {**start, "attack": CLEAN, **_share(found.detected), **_area(None)}
    for folder in found.attacked:
        yield {**start, "attack": folder.folder, **_share(folder.found), **_area(folder.area)}


def _share(share: Estimate) -> Row:
    value, low, high = (f"{100 * number:.1f}" for number in share.numbers)
    return {"n": str(share.n), "found": value, "found_low": low, "found_high": high}


def _area(area: Estimate | None) -> Row:
    words = ("", "", "") if area is None else (f"{number:.3f}" for number in area.numbers)
    return dict(zip(("auc", "auc_low", "auc_high"), words, strict=True))


if __name__ == "__main__":
    main()
