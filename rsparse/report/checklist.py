"""The checks of an evaluation as the report shows them: what went wrong comes first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rsparse.evaluation.checks import FAIL, NOT_RUN, PASS, UNDECIDED, failures, worst_first
from rsparse.evaluation.results import CLEAN, Check
from rsparse.report.subjects import UNDEFENDED, Subjects

SYMBOLS = {FAIL: "✕", UNDECIDED: "?", NOT_RUN: "–", PASS: "✓"}
MOST_FAILED = 3  # of which the verdict gives the evidence


def checks_of_judged(subjects: Subjects, scenario: str | None = None) -> list[Check]:
    """The checks of the judged defense and of the undefended model, optionally for one scenario."""
    judged = "" if subjects.judged is None else subjects.judged.text
    return [
        check
        for check in subjects.evaluation.checks
        if check.defense in ("", UNDEFENDED, judged)
        and (scenario is None or _belongs_to(check, subjects, scenario))
    ]


def _belongs_to(check: Check, subjects: Subjects, scenario: str) -> bool:
    """Whether a check belongs to a scenario, given by its name and optionally a model."""
    kind, _, model = check.scenario.partition(": ")
    if kind == CLEAN:
        return (model or subjects.evaluation.model) == subjects.judged_model(scenario)
    columns = subjects.columns(scenario)
    models = {name for column in columns for name in (column.source, column.judged)}
    return not kind or (kind == columns[0].scenario and (not model or model in models))


def other_checks(subjects: Subjects) -> list[Check]:
    """The checks of the defenses that the verdict is not about."""
    judged = checks_of_judged(subjects)
    return [check for check in worst_first(subjects.evaluation.checks) if check not in judged]


def failed_in_words(checks: Sequence[Check]) -> Iterator[str]:
    """A sentence on how many checks failed, and one with the evidence of each of the first ones."""
    failed = list(failures(checks))
    if not failed:
        return
    plural = "checks" if len(failed) > 1 else "check"
    yield f"{len(failed)} {plural} failed; read this before the numbers."
    for check in failed[:MOST_FAILED]:
        behind = f" behind {check.defense}" if check.defense not in ("", UNDEFENDED) else ""
        yield f"Failed: {check.name}{behind} ({check.detail})."
    if len(failed) > MOST_FAILED:
        others = dict.fromkeys(check.name for check in failed[MOST_FAILED:])
        yield f"Also failed: {', '.join(others)}."


def outcomes_in_words(checks: Sequence[Check]) -> str:
    """The number of checks with each outcome."""
    if not checks:
        return "no checks were run"
    number = Counter(check.outcome for check in checks)
    words = [f"{number[PASS]} passed", f"{number[FAIL]} failed"]
    if number[UNDECIDED]:
        words.append(f"{number[UNDECIDED]} {'is' if number[UNDECIDED] == 1 else 'are'} undecided")
    not_run = f"{number[NOT_RUN]} {'was' if number[NOT_RUN] == 1 else 'were'} not run"
    return f"of {len(checks)} checks, {', '.join(words)} and {not_run}"
