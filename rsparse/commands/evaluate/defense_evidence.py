"""The evidence on the defenses of an evaluation: they clean a few attacked images again."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from rsparse.commands.evaluate.assembly import Findings
from rsparse.commands.evaluate.columns import PlannedColumn
from rsparse.commands.evaluate.judge import judge_images, read_trial
from rsparse.commands.evaluate.layout import Matrix
from rsparse.commands.evaluate.trials import classes_by_name
from rsparse.defenses import Defense, NoDefense, defense_text
from rsparse.errors import InputError
from rsparse.evaluation.checks import DefenseEvidence
from rsparse.evaluation.checks.evidence import Classes
from rsparse.evaluation.results import ColumnKey
from rsparse.store.files import read_bytes, safe_join
from rsparse.store.images import Pixels, decode_image
from rsparse.work.progress import SILENT, Progress
from rsparse.work.workers import LocalWorkers, Workers

CLEANED = 4
"""The number of images that each defense cleans again."""

DRAWS = 2
"""The number of other seeds for a random defense."""

_SAME_PATTERN = 0.9  # correlation of the changes of two images


class DefenseProbe:
    """Cleans images again with each defense, and judges random ones with other seeds.

    Parameters
    ----------
    matrix : Matrix
    findings : Findings
        With the entries and trials of all columns.
    workers : Workers
    progress : Progress
    """

    def __init__(
        self,
        matrix: Matrix,
        findings: Findings,
        workers: Workers = LocalWorkers(),
        progress: Progress = SILENT,
    ) -> None:
        self.matrix, self.findings = matrix, findings
        self.workers, self.progress = workers, progress

    def evidence(self, columns: Sequence[PlannedColumn]) -> dict[str, DefenseEvidence]:
        """The evidence on each defense, by its text.

        Raises
        ------
        InputError
            If an attacked image cannot be read.
        """
        return {
            defense_text(defense): self._of(defense, columns)
            for defense in self.matrix.plan.defenses
            if defense != NoDefense()
        }

    def _of(self, defense: Defense, columns: Sequence[PlannedColumn]) -> DefenseEvidence:
        tried = [c for c in columns if defense in self.matrix.defenses_of(c)]
        attacked = [c for c in tried if c.attack is not None]
        strongest = min(attacked, key=lambda c: self.findings.n_right([c], [defense]), default=None)
        if strongest is None:
            return DefenseEvidence(defense.is_random)
        pictures = self._pictures(strongest)
        try:
            once, twice, other = (self._clean(defense, pictures, draw) for draw in (0, 0, 1))
        except InputError:  # the trials have named it
            return DefenseEvidence(defense.is_random)
        return DefenseEvidence(
            is_random=defense.is_random,
            is_repeatable=_equal(once, twice),
            follows_seed=not _equal(once, other),
            adds_one_pattern=_one_pattern(pictures, once),
            draws=self._redrawn(defense, [c for c in tried if c.attack is None] + [strongest])
            if defense.is_random
            else {},
        )

    def _pictures(self, column: PlannedColumn) -> list[Pixels]:
        """Some images of a column, evenly spaced."""
        entries = list(self.findings.entries[column].values())
        folder = self.matrix.folder_of(column)
        pictures = []
        for entry in entries[:: -(-len(entries) // CLEANED)]:
            path = safe_join(folder, entry["file"])
            pictures.append(decode_image(read_bytes(path), path))
        return pictures

    def _clean(self, defense: Defense, pictures: Sequence[Pixels], draw: int) -> list[Pixels]:
        return self.matrix.judging_by_draw(draw).images(defense).clean(pictures)

    def _redrawn(
        self, defense: Defense, columns: Sequence[PlannedColumn]
    ) -> dict[ColumnKey, list[Classes]]:
        """The classes of these columns behind a random defense with other seeds."""
        return {
            self.findings.column(column).key: [
                self._judged(defense, column, draw) for draw in range(1, DRAWS + 1)
            ]
            for column in columns
        }

    def _judged(self, defense: Defense, column: PlannedColumn, draw: int) -> Classes:
        folder = self.findings.folder(column)
        trial = self.matrix.trial(folder, column, defense, draw)
        rows = read_trial(trial, folder)
        if rows is None:
            task = f"{column.place.name} behind {defense_text(defense)}, draw {draw + 1}"
            _, made = judge_images(
                folder,
                self.matrix.judging_by_draw(draw),
                defense,
                [trial],
                task=task,
                workers=self.workers,
                progress=self.progress,
            )
            rows = made[trial.path]
        return classes_by_name(self.findings.names, rows)


def _equal(first: Sequence[Pixels], second: Sequence[Pixels]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def _one_pattern(pictures: Sequence[Pixels], cleaned: Sequence[Pixels]) -> bool:
    """Whether the changes of all images are the same, but for clipping."""
    changes = [
        after.astype(np.float64).ravel() - before.ravel()
        for before, after in zip(pictures, cleaned, strict=True)
        if before.shape == after.shape
    ]
    if len(changes) < 2 or len({len(change) for change in changes}) > 1:
        return False
    if any(change.std() == 0 for change in changes):
        return False
    return all(np.corrcoef(a, b)[0, 1] > _SAME_PATTERN for a, b in combinations(changes, 2))
