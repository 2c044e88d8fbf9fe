"""What a run of an evaluation made, and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rsparse.detection.evasion import EVASION
from rsparse.evaluation import statistics
from rsparse.evaluation.requirements import Outcome as RequirementOutcome
from rsparse.evaluation.requirements import Requirement
from rsparse.evaluation.results import Evaluation
from rsparse.report.required import judge_requirements
from rsparse.report.subjects import find_subjects
from rsparse.store.journal import Entry
from rsparse.work.runs import Outcome


@dataclass
class EvaluateOutcome(Outcome):
    """Also holds the evaluation. ``done`` and ``resumed`` count trials.

    ``judged_again`` counts the trials of ``done`` that replaced ones of an outdated method, by that
    method. ``requirements`` holds what the evaluation shows about each requirement.
    """

    evaluation: Evaluation | None = None
    judged_again: dict[str, int] = field(default_factory=dict)
    requirements: tuple[RequirementOutcome, ...] = ()

    def judge(self, requirements: Sequence[Requirement]) -> None:
        """Measure requirements, as ``rsparse report`` does."""
        if requirements and self.evaluation is not None:
            subjects = find_subjects(self.evaluation)
            self.requirements = judge_requirements(requirements, subjects)

    def as_json(self) -> dict[str, Any]:
        """For scripts: also the lines of ``results.csv``, worst cases and checks."""
        content = super().as_json()
        evaluation = self.evaluation
        if evaluation is None:
            return content
        detector = evaluation.detector
        return {
            **content,
            "detector": None if detector is None else {**detector, "caveat": EVASION},
            "images": len(evaluation.names),
            "left_out": evaluation.left_out,
            "only_correct": evaluation.only_correct,
            "results": statistics.rows(evaluation),
            "defenses": statistics.defense_rows(evaluation),
            "checks": [vars(check) for check in evaluation.checks],
            "judged_again": self.judged_again,
            "requirements": [each.as_json() for each in self.requirements],
        }


@dataclass
class RunCounts:
    """The numbers of trials and failures of a run so far."""

    trials: int = 0
    resumed: int = 0
    failed: list[Entry] = field(default_factory=list)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    judged_again: Counter[str] = field(default_factory=Counter)
