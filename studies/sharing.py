"""Attacked images that several evaluations use are made only once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from rsparse.commands.evaluate.layout import Matrix
from rsparse.evaluation.results import CLEAN
from rsparse.store.folders import MANIFEST, is_finished, read_manifest, record_of


def share_images(matrix: Matrix) -> None:
    """Link the images that a matrix needs and evaluations in folders beside it have made.

    Those evaluations have chosen as many photographs, for the same judged classifier. Existing
    images are kept; ``evaluate`` checks whether they are up to date.
    """
    output = matrix.plan.output
    missing = [place for place in dict.fromkeys(_places(matrix)) if not place.exists()]
    beside = sorted(output.parent.iterdir()) if output.parent.exists() else []
    for other in beside:
        if other != output and _has_chosen_alike(matrix, other):
            for place in missing:
                _link(other / place.relative_to(output), place, output)


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
    """Link a finished folder, unless there is one already; a killed run leaves nothing in place."""
    if place.exists() or not (made / MANIFEST).exists():
        return
    begun = output.with_name(f".{output.name}.part")
    shutil.rmtree(begun, ignore_errors=True)
    shutil.copytree(made, begun, copy_function=os.link)
    place.parent.mkdir(parents=True, exist_ok=True)
    begun.rename(place)


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
