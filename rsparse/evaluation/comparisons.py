"""Checks that compare two attacks on the same images.

Each compares columns by McNemar's paired test. A difference in the wrong direction fails a check
only if p < 0.05, because a few images may change either way by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from rsparse.evaluation.evidence import FAIL, NOT_RUN, PASS, SIGNIFICANT, Evidence, percent
from rsparse.evaluation.results import Check, Column, JudgedDefense
from rsparse.evaluation.results import Evaluation as Results
from rsparse.evaluation.statistics import (
    accuracy,
    clean_column,
    mcnemar,
    one_of_each_attack,
    share,
    tried_behind,
)

ONE_STEP = "fgsm"
NOISE = "noise"
GRADIENT_FREE = (
    "BoundaryAttack",
    "HopSkipJumpAttack",
    "SpatialAttack",
    "PointwiseAttack",
    "LinearSearchBlendedUniformNoiseAttack",
)

NO_EXTRA = "--no-extra-checks was given"
NO_ITERATIVE = "the plan has no iterative attack"

ColumnPair = tuple[Column, Column]  # the attack that should be stronger, and the weaker one


def beats_one_step(results: Results, evidence: Evidence, defense: JudgedDefense) -> Check:
    """Check that iterative attacks are at least as strong as one step with the same eps."""
    name = "iterative attacks beat one-step attacks"
    if evidence.columns[0].source != evidence.columns[0].judged:
        reason = "only expected on the attacked model: one-step attacks often transfer better"
        return Check(name, evidence.scenario, defense.text, NOT_RUN, reason)
    pairs = [
        (iterative, single)
        for single in evidence.attacks
        for iterative in evidence.attacks
        if single.family == ONE_STEP
        and iterative.parameters.get("steps", 1) > 1
        and (iterative.strength_name, iterative.strength) == ("eps", single.strength)
    ]
    missing = "the plan has no FGSM and iterative attack with the same eps"
    return _compare(results, name, evidence.scenario, defense, pairs, missing)


def falls_with_strength(results: Results, evidence: Evidence, defense: JudgedDefense) -> Check:
    """Check that accuracy falls from the clean images to the weakest attack and so on."""
    name = "accuracy falls with strength"
    series: dict[tuple[object, ...], list[Column]] = {}
    for column in evidence.attacks:
        if column.strength is not None:
            others = {k: v for k, v in column.parameters.items() if k != column.strength_name}
            key = (column.family, column.strength_name, repr(sorted(others.items())))
            series.setdefault(key, []).append(column)
    pairs: list[ColumnPair] = []
    for columns in series.values():
        ordered = sorted(columns, key=lambda column: column.strength or 0.0)
        pairs += [(later, earlier) for earlier, later in pairwise(ordered)]
        pairs.append((ordered[0], clean_column(results, ordered[0].judged)))
    missing = "no attack in the plan has a strength"
    return _compare(results, name, evidence.scenario, defense, pairs, missing)


def beats_noise(results: Results, evidence: Evidence, defense: JudgedDefense) -> Check:
    """Check that attacks are at least as strong as random noise of the same norm."""
    name = "random noise of the same norm is weaker"
    pairs = [
        (column, noise)
        for noise in evidence.noise
        for column in evidence.attacks
        if (column.strength_name, column.strength) == (noise.strength_name, noise.strength)
        and column.family != NOISE
    ]
    missing = "no attack has a norm to compare with" if evidence.huge_eps else NO_EXTRA
    return _compare(results, name, evidence.scenario, defense, pairs, missing)


def gains_nothing_by_more_steps(
    results: Results, evidence: Evidence, defense: JudgedDefense
) -> Check:
    """Check that the strongest attack does not get stronger with twice as many steps."""
    name = "doubling the steps gains nothing"
    pairs = [evidence.doubled_steps] if evidence.doubled_steps else []
    missing = NO_ITERATIVE if evidence.huge_eps else NO_EXTRA
    return _compare(results, name, evidence.scenario, defense, pairs, missing)


def beats_gradient_free(results: Results, evidence: Evidence, defense: JudgedDefense) -> Check:
    """Check that the strongest attack with gradients is at least as strong as those without."""
    name = "gradient-based attacks beat gradient-free ones"
    free = [c for c in evidence.attacks if c.family in GRADIENT_FREE]
    others = [c for c in evidence.attacks if c.family not in (*GRADIENT_FREE, NOISE)]
    others.sort(key=lambda column: accuracy(results, column, defense).correct)
    pairs = [(strongest, column) for strongest in others[:1] for column in free]
    missing = "the plan has no gradient-free attack"
    return _compare(results, name, evidence.scenario, defense, pairs, missing)


def beats_the_bare_model(
    results: Results,
    name: str,
    evidence: Evidence,
    plain: Sequence[Column],
    defense: JudgedDefense,
) -> Check:
    """Check that attacks through the defense are at least as strong as those on the bare model.

    ``plain`` are the columns of the other scenarios. Only those with the same judged model and
    strength are compared.
    """
    pairs = [
        (adaptive, bare)
        for adaptive in evidence.attacks
        for bare in one_of_each_attack(plain)
        if adaptive.judged == bare.judged == bare.source
        and (adaptive.strength_name, adaptive.strength) == (bare.strength_name, bare.strength)
    ]
    missing = "the plan has no attack on the bare model with the same strength"
    return _compare(results, name, evidence.scenario, defense, pairs, missing)


def knows_less(
    results: Results, columns: Sequence[Column], more: str, less: str, defense: JudgedDefense
) -> Check:
    """Check that an attacker who knows less is weaker against the same judged model."""
    name = f"{less} is weaker than {more}"
    attacks = one_of_each_attack(columns)
    pairs = [
        (own, other)
        for own in attacks
        for other in attacks
        if (own.scenario, other.scenario) == (more, less)
        and (own.judged, own.attack) == (other.judged, other.attack)
    ]
    return _compare(results, name, less, defense, pairs, "the plan does not have both scenarios")


def _compare(
    results: Results,
    name: str,
    scenario: str,
    defense: JudgedDefense,
    pairs: Sequence[ColumnPair],
    missing: str,
) -> Check:
    """Fail if accuracy in a pair's first column is significantly higher than in its second.

    ``missing`` is the reason given if there is no pair.
    """
    tried = [pair for pair in pairs if len(tried_behind(results, defense, pair)) == len(pair)]
    if not tried:
        reason = "not tried behind this defense" if pairs else missing
        return Check(name, scenario, defense.text, NOT_RUN, reason)
    violations, differences = [], []
    for stronger, weaker in tried:
        correct = [results.correct(column, defense) for column in (stronger, weaker)]
        first, second = (share(flags).value for flags in correct)
        text = f"{_label(stronger)} {percent(first)}, {_label(weaker)} {percent(second)}"
        p = mcnemar(*correct)
        differences.append((first - second, text))
        if first > second and p < SIGNIFICANT:
            violations.append(f"{text} (p = {p:.2g})")
    if violations:
        more = f"; and {len(violations) - 3} more" if len(violations) > 3 else ""
        return Check(name, scenario, defense.text, FAIL, "; ".join(violations[:3]) + more)
    closest = max(differences)[1]
    detail = f"{len(tried)} pairs; closest: {closest}" if len(tried) > 1 else closest
    return Check(name, scenario, defense.text, PASS, detail)


def _label(column: Column) -> str:
    """The name of an attack, with that of the attacked model if they differ."""
    elsewhere = column.source not in ("", column.judged)
    return f"{column.attack} from {column.source}" if elsewhere else column.attack
