"""Checks that hold an attack against another on the same images.

Each compares columns by McNemar's paired test: a difference in the wrong direction counts against
a check only where p < 0.05, since a few images go either way by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from rsparse.evaluation.evidence import FAIL, NOT_RUN, PASS, SIGNIFICANT, Evidence, percent
from rsparse.evaluation.results import Check, Column, Defended
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

Pair = tuple[Column, Column]  # the attack that should leave fewer right, and the other


def beats_one_step(results: Results, evidence: Evidence, defense: Defended) -> Check:
    """An attack in many steps leaves no more right than one step of the same eps."""
    name = "steps beat one step"
    if evidence.columns[0].source != evidence.columns[0].judged:
        reason = "it holds on the attacked model; one step often transfers better"
        return Check(name, evidence.scenario, defense.text, NOT_RUN, reason)
    pairs = [
        (iterative, single)
        for single in evidence.attacks
        for iterative in evidence.attacks
        if single.family == ONE_STEP
        and iterative.parameters.get("steps", 1) > 1
        and (iterative.strength_name, iterative.strength) == ("eps", single.strength)
    ]
    missing = "the plan has no attack in steps with the eps of an FGSM"
    return _compared(results, name, evidence.scenario, defense, pairs, missing)


def falls_with_strength(results: Results, evidence: Evidence, defense: Defended) -> Check:
    """A stronger attack of the same kind leaves no more right, nor does the weakest than none."""
    name = "accuracy falls with strength"
    series: dict[tuple[object, ...], list[Column]] = {}
    for column in evidence.attacks:
        if column.strength is not None:
            others = {k: v for k, v in column.parameters.items() if k != column.strength_name}
            key = (column.family, column.strength_name, repr(sorted(others.items())))
            series.setdefault(key, []).append(column)
    pairs: list[Pair] = []
    for columns in series.values():
        ordered = sorted(columns, key=lambda column: column.strength or 0.0)
        pairs += [(later, earlier) for earlier, later in pairwise(ordered)]
        pairs.append((ordered[0], clean_column(results, ordered[0].judged)))
    missing = "no attack of the plan has a strength"
    return _compared(results, name, evidence.scenario, defense, pairs, missing)


def beats_noise(results: Results, evidence: Evidence, defense: Defended) -> Check:
    """An attack leaves no more right than random noise of the same norm."""
    name = "noise of the same norm is weaker"
    pairs = [
        (column, noise)
        for noise in evidence.noise
        for column in evidence.attacks
        if (column.strength_name, column.strength) == (noise.strength_name, noise.strength)
        and column.family != NOISE
    ]
    missing = "no attack has a norm to compare with" if evidence.floor else "--no-extra-checks"
    return _compared(results, name, evidence.scenario, defense, pairs, missing)


def gains_nothing_by_more_steps(results: Results, evidence: Evidence, defense: Defended) -> Check:
    """Twice the steps of the strongest attack leave no fewer right."""
    name = "doubled steps gain nothing"
    pairs = [evidence.steps] if evidence.steps else []
    missing = "the plan has no attack in steps" if evidence.floor else "--no-extra-checks was given"
    return _compared(results, name, evidence.scenario, defense, pairs, missing)


def beats_gradient_free(results: Results, evidence: Evidence, defense: Defended) -> Check:
    """The strongest attack by gradients leaves no more right than one without."""
    name = "gradients beat attacks without them"
    free = [c for c in evidence.attacks if c.family in GRADIENT_FREE]
    others = [c for c in evidence.attacks if c.family not in (*GRADIENT_FREE, NOISE)]
    others.sort(key=lambda column: accuracy(results, column, defense).correct)
    pairs = [(strongest, column) for strongest in others[:1] for column in free]
    missing = "no gradient-free attack was run"
    return _compared(results, name, evidence.scenario, defense, pairs, missing)


def beats_the_bare_model(
    results: Results,
    name: str,
    evidence: Evidence,
    plain: Sequence[Column],
    defense: Defended,
) -> Check:
    """An attack through the defense leaves no more right than any on the bare model alone.

    ``plain`` are the columns of the other scenarios; those of the same judge and strength count.
    """
    pairs = [
        (adaptive, bare)
        for adaptive in evidence.attacks
        for bare in one_of_each_attack(plain)
        if adaptive.judged == bare.judged == bare.source
        and (adaptive.strength_name, adaptive.strength) == (bare.strength_name, bare.strength)
    ]
    missing = "the plan has no attack of the same strength on the bare model"
    return _compared(results, name, evidence.scenario, defense, pairs, missing)


def knows_less(
    results: Results, columns: Sequence[Column], more: str, less: str, defense: Defended
) -> Check:
    """An attacker who knows another model is weaker before the same judge."""
    name = f"{less} is weaker than {more}"
    attacks = one_of_each_attack(columns)
    pairs = [
        (own, other)
        for own in attacks
        for other in attacks
        if (own.scenario, other.scenario) == (more, less)
        and (own.judged, own.attack) == (other.judged, other.attack)
    ]
    return _compared(results, name, less, defense, pairs, "needs both scenarios in the plan")


def _compared(
    results: Results,
    name: str,
    scenario: str,
    defense: Defended,
    pairs: Sequence[Pair],
    missing: str,
) -> Check:
    """Passes unless accuracy under a pair's first column is significantly above the second's.

    ``missing`` is why there is no pair, where there is none.
    """
    tried = [pair for pair in pairs if len(tried_behind(results, defense, pair)) == len(pair)]
    if not tried:
        reason = "not tried behind this defense" if pairs else missing
        return Check(name, scenario, defense.text, NOT_RUN, reason)
    against, differences = [], []
    for stronger, weaker in tried:
        right = [results.correct(column, defense) for column in (stronger, weaker)]
        high, low = (share(flags).value for flags in right)
        text = f"{_label(stronger)} {percent(high)}, {_label(weaker)} {percent(low)}"
        p = mcnemar(*right)
        differences.append((high - low, text))
        if high > low and p < SIGNIFICANT:
            against.append(f"{text} (p = {p:.2g})")
    if against:
        more = f"; and {len(against) - 3} more" if len(against) > 3 else ""
        return Check(name, scenario, defense.text, FAIL, "; ".join(against[:3]) + more)
    closest = max(differences)[1]
    detail = f"{len(tried)} pairs; closest: {closest}" if len(tried) > 1 else closest
    return Check(name, scenario, defense.text, PASS, detail)


def _label(column: Column) -> str:
    """An attack's name, with the attacked model's where that is not the judged one."""
    elsewhere = column.source not in ("", column.judged)
    return f"{column.attack} from {column.source}" if elsewhere else column.attack
