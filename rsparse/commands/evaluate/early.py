"""Find what is wrong with an evaluation before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rsparse.commands.evaluate.assembly import Findings
from rsparse.commands.evaluate.given import given_by_name
from rsparse.commands.evaluate.layout import Matrix
from rsparse.commands.evaluate.select import Selection
from rsparse.evaluation.requirements import Requirement
from rsparse.evaluation.results import Evaluation
from rsparse.report.required import judge_requirements
from rsparse.report.subjects import find_subjects
from rsparse.store.finding import PassedOver
from rsparse.work.progress import SILENT


def refuse_early(matrix: Matrix, requirements: Sequence[Requirement]) -> None:
    """Refuse what only the end of a long run would find.

    Raises
    ------
    InputError
        If a requirement names what the evaluation will not have, or the adversarial images of
        another program cannot be joined with the benign ones.
    """
    if requirements:
        judge_requirements(requirements, find_subjects(_of_no_images(matrix)))
    given_by_name(matrix.plan, SILENT)


def _of_no_images(matrix: Matrix) -> Evaluation:
    """The planned evaluation with all its columns and trials, but without images."""
    nothing = Selection(Path(), [], [], {}, "", 0, [], {}, [], PassedOver(), [])
    findings = Findings(matrix, nothing)
    for column in matrix.columns:
        findings.entries[column] = {}
        findings.trials |= {(column, defense): [] for defense in matrix.defenses_of(column)}
    return findings.evaluation(matrix.columns)
