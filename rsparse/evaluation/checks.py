"""The checklist of Carlini et al. (2019), which shows how far an evaluation can be trusted.

No check is left out silently: one that cannot be run is ``not run``, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rsparse.evaluation import comparisons
from rsparse.evaluation.evidence import FAIL, NOT_RUN, PASS, SIGNIFICANT, Evidence, percent
from rsparse.evaluation.results import (
    BLACK_BOX,
    CLEAN,
    EXTENDED_GRAY_BOX,
    GRAY_BOX,
    TRANSFER,
    Check,
    Column,
    JudgedDefense,
)
from rsparse.evaluation.results import Evaluation as Results
from rsparse.evaluation.scenarios import SCENARIOS
from rsparse.evaluation.statistics import accuracy, mcnemar, share

NEAR_CHANCE = 0.02  # margin above chance: a few images may stay correct under any change
HUGE_EPS = 128.0
_KNOWLEDGE = (  # (the attacker knows the judged model, the attacker does not know it)
    (GRAY_BOX, TRANSFER),
    (EXTENDED_GRAY_BOX, BLACK_BOX),
)


def all_checks(results: Results, evidence: Iterable[Evidence]) -> tuple[Check, ...]:
    """Run every check for each scenario and defense that it applies to.

    Parameters
    ----------
    results : Evaluation
        It contains the trials of all columns, including those of the evidence.
    evidence : iterable of Evidence
        One for each scenario and attacked model.
    """
    cleans = [column for column in results.columns if column.family == CLEAN]
    checks = [_images(results)]
    checks += [_clean(results, c, defense) for c in cleans for defense in results.defenses]
    everything = list(evidence)
    for each in everything:
        checks += [_threat(each), _distortion(each), _rounding(each)]
        for defense in results.defenses:
            checks += [
                comparisons.beats_one_step(results, each, defense),
                comparisons.falls_with_strength(results, each, defense),
                _huge_eps(results, each, defense),
                comparisons.beats_noise(results, each, defense),
                comparisons.gains_nothing_by_more_steps(results, each, defense),
                comparisons.beats_gradient_free(results, each, defense),
            ]
        checks += _adaptive(results, each, everything)
    columns = [column for each in everything for column in each.columns]
    for more, less in _KNOWLEDGE:
        if less == TRANSFER or any(column.scenario == less for column in columns):
            checks += [
                comparisons.knows_less(results, columns, more, less, d) for d in results.defenses
            ]
    return tuple(checks)


def _images(results: Results) -> Check:
    n = len(results.names)
    chosen = (
        f"only those that the undefended model classifies correctly; {results.left_out} left out"
        if results.only_correct
        else "all, whether or not the undefended model classifies them correctly"
    )
    return Check("images judged", "", "", PASS, f"{n} images: {chosen}")


def _clean(results: Results, column: Column, defense: JudgedDefense) -> Check:
    undefended = next(other for other in results.defenses if other.kind == "none")
    defended, bare = (accuracy(results, column, d) for d in (defense, undefended))
    detail = f"{percent(bare.value)} without a defense, {percent(defended.value)} with this one"
    scenario = CLEAN if column.judged == results.model else f"{CLEAN}: {column.judged}"
    return Check("clean accuracy", scenario, defense.text, PASS, detail)


def _threat(evidence: Evidence) -> Check:
    first = evidence.columns[0]
    knows = SCENARIOS[first.scenario].knows
    detail = f"{knows}; {len(evidence.attacks)} untargeted attacks on {first.source}"
    detail += ", made through each defense" * evidence.is_adaptive
    detail += f", judged by {first.judged}" * (first.source != first.judged)
    return Check("threat model", evidence.scenario, "", PASS, detail)


def _distortion(evidence: Evidence) -> Check:
    """Check that no change exceeds its eps by more than the one grey level that rounding may add.

    L₂ strengths are not checked: they are means, and rounding adds to them.
    """
    over = [
        f"{_attack_of(column)} {column.linf.max(initial=0):.0f}"
        for column in evidence.columns
        if column.strength_name == "eps" and column.linf.max(initial=0) > (column.strength or 0) + 1
    ]
    largest = max(float(column.linf.max(initial=0)) for column in evidence.columns)
    detail = (
        "over the limit: " + ", ".join(over) if over else f"L∞ is at most {largest:.0f} grey levels"
    )
    outcome = FAIL if over else PASS
    return Check("distortion within the limit", evidence.scenario, "", outcome, detail)


def _rounding(evidence: Evidence) -> Check:
    name = "attacks survive rounding to 8 bits"
    losses, failed = [], False
    for column in evidence.columns:
        if column.key not in evidence.rounding:
            continue
        before, after = evidence.rounding[column.key]
        lost = share(before).correct - share(after).correct
        failed |= lost > 0 and mcnemar(before, after) < SIGNIFICANT
        if lost > 0:
            losses.append(
                f"{_attack_of(column)} {percent(share(before).value)}"
                f" → {percent(share(after).value)}"
            )
    detail = (
        "success before → after rounding: " + ", ".join(losses)
        if losses
        else "no attack loses success"
    )
    return Check(name, evidence.scenario, "", FAIL if failed else PASS, detail)


def _huge_eps(results: Results, evidence: Evidence, defense: JudgedDefense) -> Check:
    name = "a huge eps reaches chance"
    if evidence.huge_eps is None:
        return Check(name, evidence.scenario, defense.text, NOT_RUN, comparisons.NO_EXTRA)
    estimate = accuracy(results, evidence.huge_eps, defense)
    if not estimate.n:
        reason = "not tried behind this defense"
        return Check(name, evidence.scenario, defense.text, NOT_RUN, reason)
    chance = 1 / len(results.class_names)
    reached = estimate.low <= chance + NEAR_CHANCE
    detail = (
        f"{evidence.huge_eps.attack}: {percent(estimate.value)} "
        f"({percent(estimate.low)}–{percent(estimate.high)}); chance is {100 * chance:.1f} %"
    )
    return Check(name, evidence.scenario, defense.text, PASS if reached else FAIL, detail)


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


def _attack_of(column: Column) -> str:
    """The name of an attack, with the defense that it was made through."""
    return f"{column.attack} through {column.through}" if column.through else column.attack


def count_outcomes(checks: Iterable[Check]) -> dict[str, int]:
    """The number of checks that passed, failed and were not run."""
    outcomes = [check.outcome for check in checks]
    return {outcome: outcomes.count(outcome) for outcome in (PASS, FAIL, NOT_RUN)}


def failures(checks: Iterable[Check]) -> Iterator[Check]:
    """The checks that failed."""
    return (check for check in checks if check.outcome == FAIL)
