"""The checklist of Carlini et al. (2019), which shows how far an evaluation can be trusted.

Every check compares something that ought to be smaller with something larger. It is ``pass`` if the
comparison holds, ``fail`` if it is contradicted, and ``undecided`` if there are too few images to
tell. None is left out silently: one that cannot be run is ``not run``, with the reason.

``images``, ``models``, ``attacks``, ``comparisons`` and ``defenses`` have the checks of their
subject, ``huge_eps`` and this module the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from rsparse.evaluation.checks import comparisons
from rsparse.evaluation.checks.attacks import attack_checks
from rsparse.evaluation.checks.defenses import defense_checks, scenario_checks
from rsparse.evaluation.checks.evidence import DefenseEvidence, Evidence, ImageEvidence
from rsparse.evaluation.checks.huge_eps import HUGE_EPS, reaches_chance
from rsparse.evaluation.checks.images import image_checks
from rsparse.evaluation.checks.models import model_checks, unchanged_images
from rsparse.evaluation.checks.outcomes import FAIL, NOT_RUN, OUTCOMES, PASS, UNDECIDED
from rsparse.evaluation.names import BLACK_BOX, EXTENDED_GRAY_BOX, GRAY_BOX, TRANSFER
from rsparse.evaluation.results import Check
from rsparse.evaluation.results import Evaluation as Results

__all__ = [
    "FAIL",
    "HUGE_EPS",
    "NOT_RUN",
    "OUTCOMES",
    "PASS",
    "UNDECIDED",
    "DefenseEvidence",
    "Evidence",
    "ImageEvidence",
    "all_checks",
    "count_outcomes",
    "failures",
    "worst_first",
]

_KNOWLEDGE = (  # (the attacker knows the judged model, the attacker does not know it)
    (GRAY_BOX, TRANSFER),
    (EXTENDED_GRAY_BOX, BLACK_BOX),
)
_BETWEEN_ATTACKS = (
    comparisons.beats_one_step,
    comparisons.falls_with_strength,
    reaches_chance,
    comparisons.beats_noise,
    comparisons.gains_nothing_by_more_steps,
    comparisons.beats_gradient_free,
)


def all_checks(
    results: Results,
    evidence: Iterable[Evidence],
    images: ImageEvidence | None = None,
    defenses: Mapping[str, DefenseEvidence] | None = None,
) -> tuple[Check, ...]:
    """Run every check for each scenario and defense that it applies to.

    Parameters
    ----------
    results : Evaluation
        It contains the trials of all columns, including those of the evidence.
    evidence : iterable of Evidence
        One for each scenario and attacked model.
    images : ImageEvidence, optional
        Without it, the checks that need it are not run.
    defenses : mapping of str to DefenseEvidence, optional
        By the defense's text; as for ``images``.
    """
    everything = list(evidence)
    checks = list(image_checks(results, images))
    for defense in results.defenses:
        checks += defense_checks(results, defense, (defenses or {}).get(defense.text))
    for each in everything:
        checks += model_checks(results, each)
        checks += attack_checks(results, each)
        checks += _of_defenses(results, each)
        checks += scenario_checks(results, each)
        if not each.is_given:
            checks += _adaptive(results, each, everything)
    columns = [column for each in everything for column in each.columns]
    for more, less in _KNOWLEDGE:
        if less == TRANSFER or any(column.scenario == less for column in columns):
            checks += [
                comparisons.knows_less(results, columns, more, less, d) for d in results.defenses
            ]
    return tuple(checks)


def _of_defenses(results: Results, evidence: Evidence) -> Iterator[Check]:
    """The checks of one scenario behind each defense."""
    for defense in results.defenses:
        for check in () if evidence.is_given else _BETWEEN_ATTACKS:
            yield check(results, evidence, defense)
        if defense.kind == "none" and evidence.is_white_box:
            yield comparisons.beats_many_steps(results, evidence, defense)
        yield unchanged_images(results, evidence, defense)


def _adaptive(
    results: Results, evidence: Evidence, everything: Iterable[Evidence]
) -> Iterator[Check]:
    """Compare attacks through the defenses with the others; ``not run`` for any other scenario."""
    name, others = "adaptive attacks are strongest", [e for e in everything if e is not evidence]
    if evidence.is_adaptive:
        plain = [c for other in others if not other.is_adaptive for c in other.columns]
        for defense in results.defenses:
            yield comparisons.beats_the_bare_model(results, name, evidence, plain, defense)
        return
    reason = "the attacker in this scenario does not know the defense, so "
    reason += f"{evidence.columns[0].scenario} accuracy is not robustness"
    if not any(other.is_adaptive for other in others):
        reason = f"no adaptive attack (BPDA, EOT) was run; {reason}"
    yield Check(name, evidence.scenario, "", NOT_RUN, reason)


def count_outcomes(checks: Iterable[Check]) -> dict[str, int]:
    """The number of checks with each outcome."""
    outcomes = [check.outcome for check in checks]
    return {outcome: outcomes.count(outcome) for outcome in (PASS, FAIL, UNDECIDED, NOT_RUN)}


def failures(checks: Iterable[Check]) -> Iterator[Check]:
    """The checks that failed."""
    return (check for check in checks if check.outcome == FAIL)


def worst_first(checks: Iterable[Check]) -> list[Check]:
    """The checks that failed, then the undecided ones, those that were not run, and the others."""
    return sorted(checks, key=lambda check: OUTCOMES.index(check.outcome))
