"""The checklist: whether an evaluation shows what it seems to (Carlini et al. 2019).

Nothing is left out silently: what cannot be checked is ``not run``, with the reason.
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
    Defended,
)
from rsparse.evaluation.results import Evaluation as Results
from rsparse.evaluation.scenarios import SCENARIOS
from rsparse.evaluation.statistics import accuracy, mcnemar, share

NEAR_CHANCE = 0.02  # above it; a few images may stay right whatever is done to them
HUGE_EPS = 128.0
_KNOWLEDGE = ((GRAY_BOX, TRANSFER), (EXTENDED_GRAY_BOX, BLACK_BOX))  # of the judged model, or not


def all_checks(results: Results, evidence: Iterable[Evidence]) -> tuple[Check, ...]:
    """Every item of the checklist, for each scenario and defense that it applies to.

    Parameters
    ----------
    results : Evaluation
        With the trials of all columns, those of the evidence too.
    evidence : iterable of Evidence
        One for each scenario and attacked model.
    """
    cleans = [column for column in results.columns if column.family == CLEAN]
    found = [_images(results)]
    found += [_clean(results, c, defense) for c in cleans for defense in results.defenses]
    everything = list(evidence)
    for each in everything:
        found += [_threat(each), _distortion(each), _rounding(each)]
        for defense in results.defenses:
            found += [
                comparisons.beats_one_step(results, each, defense),
                comparisons.falls_with_strength(results, each, defense),
                _floor(results, each, defense),
                comparisons.beats_noise(results, each, defense),
                comparisons.gains_nothing_by_more_steps(results, each, defense),
                comparisons.beats_gradient_free(results, each, defense),
            ]
        found += _adaptive(results, each, everything)
    columns = [column for each in everything for column in each.columns]
    for more, less in _KNOWLEDGE:
        if less == TRANSFER or any(column.scenario == less for column in columns):
            found += [
                comparisons.knows_less(results, columns, more, less, d) for d in results.defenses
            ]
    return tuple(found)


def _images(results: Results) -> Check:
    n = len(results.names)
    chosen = (
        f"only images that the undefended model gets right; {results.left_out} left out"
        if results.only_correct
        else "all images, right or wrong before the attack"
    )
    return Check("images judged", "", "", PASS, f"{n} images: {chosen}")


def _clean(results: Results, column: Column, defense: Defended) -> Check:
    undefended = next(other for other in results.defenses if other.kind == "none")
    with_it, without = (accuracy(results, column, d) for d in (defense, undefended))
    detail = f"{percent(without.value)} undefended, {percent(with_it.value)} with it"
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
    """L∞ limits are kept to the grey level; L₂ strengths are means, and rounding adds to them."""
    over = [
        f"{_made(column)} {column.linf.max(initial=0):.0f}"
        for column in evidence.columns
        if column.strength_name == "eps" and column.linf.max(initial=0) > (column.strength or 0) + 1
    ]
    largest = max(float(column.linf.max(initial=0)) for column in evidence.columns)
    detail = "over the limit: " + ", ".join(over) if over else f"L∞ at most {largest:.0f} levels"
    outcome = FAIL if over else PASS
    return Check("distortion within its limit", evidence.scenario, "", outcome, detail)


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
                f"{_made(column)} {percent(share(before).value)} → {percent(share(after).value)}"
            )
    detail = "fooled before → after: " + ", ".join(losses) if losses else "none loses by it"
    return Check(name, evidence.scenario, "", FAIL if failed else PASS, detail)


def _floor(results: Results, evidence: Evidence, defense: Defended) -> Check:
    name = "a huge change reaches chance"
    if evidence.floor is None:
        return Check(name, evidence.scenario, defense.text, NOT_RUN, "--no-extra-checks was given")
    found = accuracy(results, evidence.floor, defense)
    if not found.n:
        reason = "not tried behind this defense"
        return Check(name, evidence.scenario, defense.text, NOT_RUN, reason)
    chance = 1 / len(results.class_names)
    reached = found.low <= chance + NEAR_CHANCE
    detail = (
        f"{evidence.floor.attack}: {percent(found.value)} "
        f"({percent(found.low)}–{percent(found.high)}); chance is {100 * chance:.1f} %"
    )
    return Check(name, evidence.scenario, defense.text, PASS if reached else FAIL, detail)


def _adaptive(
    results: Results, evidence: Evidence, everything: Iterable[Evidence]
) -> Iterator[Check]:
    """Of attacks through the defenses, how they compare; of others, that none was run."""
    name, others = "adaptive attacks are strongest", [e for e in everything if e is not evidence]
    if evidence.is_adaptive:
        plain = [c for other in others if not other.is_adaptive for c in other.columns]
        for defense in results.defenses:
            yield comparisons.beats_the_bare_model(results, name, evidence, plain, defense)
        return
    reason = "the attacker of this scenario does not know the defense, so "
    reason += f"{evidence.columns[0].scenario} accuracy is not robustness"
    if not any(other.is_adaptive for other in others):
        reason = f"no adaptive attack (BPDA, EOT) was run: {reason}"
    yield Check(name, evidence.scenario, "", NOT_RUN, reason)


def _made(column: Column) -> str:
    """An attack's name, with the defense that it was made through."""
    return f"{column.attack} through {column.through}" if column.through else column.attack


def counted(checks: Iterable[Check]) -> dict[str, int]:
    """How many checks passed, failed and were not run."""
    outcomes = [check.outcome for check in checks]
    return {outcome: outcomes.count(outcome) for outcome in (PASS, FAIL, NOT_RUN)}


def failures(checks: Iterable[Check]) -> Iterator[Check]:
    """The checks that failed."""
    return (check for check in checks if check.outcome == FAIL)
