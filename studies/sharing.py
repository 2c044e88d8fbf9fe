"""Attacked images that several evaluations use are made only once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from rsparse.commands.evaluate.layout import Matrix
from rsparse.evaluation.results import CLEAN
from rsparse.store.folders import MANIFEST, is_finished, read_manifest, record_of


def share_images(matrix: Matrix) -> None:
    """Link the images that a matrix needs and evaluations in folders beside it have made.

    Those evaluations have chosen as many photographs, for the same judged classifier. Existing
    images are kept; ``evaluate`` checks whether they are up to date.
    """
    for made, place in _made_beside(matrix):
        _link(made, place, matrix.plan.output)


def will_share(matrix: Matrix, earlier: Iterable[Matrix]) -> set[Path]:
    """The folders of images that ``share_images`` will link once the earlier matrices have run."""
    output = matrix.plan.output
    found = {place for _, place in _made_beside(matrix)}
    for other in earlier:
        if _chooses_alike(matrix, other):
            folders = (other.folder_of(column) for column in other.columns if not column.given)
            found |= {output / folder.relative_to(other.plan.output) for folder in folders}
    return found


def _made_beside(matrix: Matrix) -> Iterator[tuple[Path, Path]]:
    """Finished folders in evaluations beside a matrix, and where it needs the same images."""
    output = matrix.plan.output
    missing = [place for place in dict.fromkeys(_places(matrix)) if not place.exists()]
    beside = sorted(output.parent.iterdir()) if output.parent.exists() else []
    for other in beside:
        if other != output and _has_chosen_alike(matrix, other):
            for place in missing:
                made = other / place.relative_to(output)
                if (made / MANIFEST).exists():
                    yield made, place


def _places(matrix: Matrix) -> Iterator[Path]:
    """The folders of benign and attacked images that the matrix may need."""
    plan = matrix.plan
    columns = list(matrix.columns)
    for threat in plan.threats if plan.parameters.extra_checks else ():
        columns += matrix.probes(threat).columns
        for attack in matrix.doubled_attacks(threat):
            columns += matrix.columns_of(threat, attack)
    return (matrix.folder_of(column) for column in columns if not column.given)


def _link(made: Path, place: Path, output: Path) -> None:
    """Link a folder, unless there is one already; a killed run leaves nothing in place."""
    if place.exists():
        return
    begun = output.with_name(f".{output.name}.part")
    shutil.rmtree(begun, ignore_errors=True)
    shutil.copytree(made, begun, copy_function=os.link)
    place.parent.mkdir(parents=True, exist_ok=True)
    begun.rename(place)


def _chooses_alike(matrix: Matrix, other: Matrix) -> bool:
    """Whether another matrix will choose as many photographs, for the same judged classifier."""
    limits = (each.plan.parameters.max_images for each in (matrix, other))
    return len({*limits}) == 1 and matrix.classifier.sha256 == other.classifier.sha256


def _has_chosen_alike(matrix: Matrix, folder: Path) -> bool:
    """Whether an evaluation has chosen as many photographs, for the classifier that is judged."""
    chosen = folder / CLEAN
    manifest = read_manifest(chosen) if is_finished(chosen) else None
    if manifest is None:
        return False
    record = record_of(manifest)
    digests = {source["sha256"] for source in record["inputs"]}
    is_as_many = record["parameters"].get("limit") == matrix.plan.parameters.max_images
    return is_as_many and matrix.classifier.sha256 in digests
