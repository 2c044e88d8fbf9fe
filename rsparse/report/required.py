"""Requirements on the defense of the verdict."""

from __future__ import annotations

from collections.abc import Sequence

from rsparse.evaluation.requirements import Outcome, Requirement, judge_requirement
from rsparse.report.subjects import Subjects


def judge_requirements(
    requirements: Sequence[Requirement], subjects: Subjects
) -> tuple[Outcome, ...]:
    """Measure requirements; those that name no defense are about the judged one.

    Raises
    ------
    InputError
        If the evaluation lacks what a requirement names.
    """
    defense = subjects.judged or subjects.evaluation.defenses[0]
    return tuple(judge_requirement(subjects.evaluation, each, defense) for each in requirements)
