"""Checks that compare two attacks on the same images, behind one defense.

An attack that ought to be the stronger one must not leave more images right than the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from rsparse.core.paired import Pairs
from rsparse.evaluation.checks.evidence import Evidence
from rsparse.evaluation.checks.outcomes import (
    FAIL,
    NOT_RUN,
    PASS,
    UNDECIDED,
    Finding,
    compared,
    needed,
    percent,
)
from rsparse.evaluation.results import Check, Column, JudgedDefense
from rsparse.evaluation.results import Evaluation as Results
from rsparse.evaluation.statistics import (
    accuracy,
    clean_column,
    one_of_each_attack,
    tried_behind,
)

ONE_STEP = "fgsm"
NOISE = "noise"
GRADIENT_FREE = (
    "square",
    "BoundaryAttack",
    "HopSkipJumpAttack",
    "SpatialAttack",
    "PointwiseAttack",
    "LinearSearchBlendedUniformNoiseAttack",
)

_CHANGES = {"eps": "linf", "d": "d"}  # a limit, and what of an image's change it limits
_ROUNDED = {"eps": 0.5, "d": 0.0}  # what rounding to 8 bits may add

NO_EXTRA = "--no-extra-checks was given"
NOT_TRIED = "not tried behind this defense"
NOTHING_RIGHT = "no image is right under either attack, so there is nothing to compare"

ColumnPair = tuple[Column, Column]  # the attack that should be stronger, and the weaker one


def beats_one_step(results: Results, evidence: Evidence, defense: JudgedDefense) -> Check:
    """Check that iterative attacks are at least as strong as one step with the same eps."""
    name = "iterative attacks beat one-step attacks"
    if not evidence.is_white_box:
        reason = "only expected on the attacked model: one-step attacks often transfer better"
        return Check(name, evidence.scenario, defense.text, NOT_RUN, reason)
    pairs = [
        (iterative, single)
        for single in evidence.attacks
        for iterative in evidence.attacks
        if single.family == ONE_STEP
        and is_iterative(iterative)
        and iterative.target is None
        and (iterative.strength_name, iterative.strength) == ("eps", single.strength)
    ]
    missing = "the plan has no FGSM and iterative attack with the same eps"
    return _check(results, name, evidence.scenario, defense, pairs, missing)


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
    return _check(results, name, evidence.scenario, defense, pairs, missing)


def beats_noise(results: Results, evidence: Evidence, defense: JudgedDefense) -> Check:
    """Check that attacks are at least as strong as random noise of the same norm."""
    name = "random noise of the same norm is weaker"
    pairs = [
        (column, noise)
        for noise in evidence.noise
        for column in evidence.attacks
        if (column.strength_name, column.strength) == (noise.strength_name, noise.strength)
        and column.family != NOISE
        and column.target is None
    ]
    missing = "no attack has a norm to compare with" if evidence.has_extra else NO_EXTRA
    return _check(results, name, evidence.scenario, defense, pairs, missing)


def gains_nothing_by_more_steps(
    results: Results, evidence: Evidence, defense: JudgedDefense
) -> Check:
    """Check that the strongest attack does not get stronger with twice as many steps."""
    name = "doubling the steps gains nothing"
    pairs = [evidence.doubled_steps] if evidence.doubled_steps else []
    missing = "the plan has no iterative attack with a limit" if evidence.has_extra else NO_EXTRA
    return _check(results, name, evidence.scenario, defense, pairs, missing)


def beats_gradient_free(results: Results, evidence: Evidence, defense: JudgedDefense) -> Check:
    """Check that the strongest attack with gradients is at least as strong as those without.

    A search made for this check is one of the latter: without a defense, or through each one. Of an
    attack without a limit, such as a decision-based one, only the images count as fooled that it
    changes by no more than the other may.
    """
    name = "gradient-based attacks beat gradient-free ones"
    has_search = evidence.is_adaptive or defense.kind == "none"
    search = one_of_each_attack(evidence.search) if has_search else []
    free = [c for c in evidence.attacks if c.family in GRADIENT_FREE]
    others = [c for c in evidence.attacks if c.family not in (*GRADIENT_FREE, NOISE)]
    pairs = [
        (strongest, column)
        for column in (*free, *search)
        for strongest in _strongest(results, defense, _as_strong(others, column))
    ]
    missing = "there is no gradient-free attack to compare with"
    return _check(results, name, evidence.scenario, defense, pairs, missing)


def beats_many_steps(results: Results, evidence: Evidence, defense: JudgedDefense) -> Check:
    """Check that the strongest attack is as strong as many steps of BIM with the same eps."""
    name = "many steps of BIM are not stronger"
    if evidence.long is None:
        missing = "no attack in the plan has an eps" if evidence.has_extra else NO_EXTRA
        if evidence.is_adaptive:
            missing = "BIM attacks the bare model, not the defense"
        return Check(name, evidence.scenario, defense.text, NOT_RUN, missing)
    rivals = [column for column in evidence.attacks if column.family != NOISE]
    best = _strongest(results, defense, _as_strong(rivals, evidence.long))
    pairs = [(column, evidence.long) for column in best]
    return _check(results, name, evidence.scenario, defense, pairs, NOT_TRIED)


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
        (strongest, bare)
        for bare in one_of_each_attack(plain)
        for strongest in _strongest(results, defense, _like(evidence.attacks, bare))
    ]
    missing = "the plan has no attack on the bare model with the same strength"
    return _check(results, name, evidence.scenario, defense, pairs, missing)


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
    return _check(results, name, less, defense, pairs, "the plan does not have both scenarios")


def is_iterative(column: Column) -> bool:
    """Whether an attack says that it takes several steps."""
    steps = column.parameters.get("steps", 1)
    return isinstance(steps, int) and steps > 1


def _as_strong(columns: Sequence[Column], other: Column) -> list[Column]:
    """The columns that may change an image as much as ``other``, or more; all if it has no limit.

    Attacks without a limit count as well.
    """
    name, strength = other.strength_name, other.strength
    return [
        column
        for column in columns
        if strength is None
        or column.strength is None
        or (column.strength_name == name and column.strength >= strength)
    ]


def _like(columns: Sequence[Column], bare: Column) -> list[Column]:
    """The columns of the same judged model and strength as an attack on the bare model."""
    return [
        column
        for column in columns
        if column.judged == bare.judged == bare.source
        and (column.strength_name, column.strength) == (bare.strength_name, bare.strength)
    ]


def _strongest(results: Results, defense: JudgedDefense, columns: Sequence[Column]) -> list[Column]:
    """The column under which the fewest images are right, if any was tried behind the defense."""
    tried = tried_behind(results, defense, columns)
    return sorted(tried, key=lambda column: accuracy(results, column, defense).correct)[:1]


def _check(
    results: Results,
    name: str,
    scenario: str,
    defense: JudgedDefense,
    pairs: Sequence[ColumnPair],
    missing: str,
) -> Check:
    """Compare the columns of each pair; ``missing`` is the reason given if there is no pair."""
    tried = [pair for pair in pairs if len(tried_behind(results, defense, pair)) == len(pair)]
    if not tried:
        finding = Finding(NOT_RUN, NOT_TRIED if pairs else missing)
    else:
        finding = _compare(results, defense, tried)
    return Check(name, scenario, defense.text, *finding)


def _compare(results: Results, defense: JudgedDefense, columns: Sequence[ColumnPair]) -> Finding:
    """Fail if a stronger attack leaves significantly more images right than the weaker one.

    The check passes if no difference has the wrong direction and one decides. Pairs under which no
    image is right are left out.
    """
    found: list[tuple[str, Pairs, str]] = []
    for stronger, weaker in columns:
        limit = _limit_beside(stronger, weaker)
        correct = [results.correct(column, defense) for column in (stronger, weaker)]
        if limit:
            correct[1] |= getattr(weaker, _CHANGES[limit[0]]) > limit[1] + _ROUNDED[limit[0]]
        if not (correct[0].any() or correct[1].any()):
            continue
        first, second = (percent(float(flags.mean())) for flags in correct)
        within = f" within {limit[0]} {limit[1]:g}" if limit else ""
        text = f"{_label(stronger)} {first}, {_label(weaker)}{within} {second}"
        pairs = Pairs.of(*correct)
        found.append((compared(pairs, len(columns)), pairs, text))
    if not found:
        return Finding(NOT_RUN, NOTHING_RIGHT)
    failed = [f"{text} (p = {pairs.p:.2g})" for how, pairs, text in found if how == FAIL]
    if failed:
        more = f"; and {len(failed) - 3} more" if len(failed) > 3 else ""
        return Finding(FAIL, "; ".join(failed[:3]) + more)
    _, closest, text = max(found, key=lambda each: each[1].only_first - each[1].only_second)
    text = f"{len(found)} pairs; closest: {text}" if len(found) > 1 else text
    if closest.only_first > closest.only_second or all(how == UNDECIDED for how, *_ in found):
        return Finding(UNDECIDED, f"{text} ({needed(closest, len(columns))})")
    return Finding(PASS, text)


def _limit_beside(stronger: Column, weaker: Column) -> tuple[str, float] | None:
    """The limit of one attack, by name and value, if the other one has none to compare it with."""
    name, strength = stronger.strength_name, stronger.strength
    if weaker.family not in GRADIENT_FREE or weaker.strength is not None or strength is None:
        return None
    return (name, strength) if name in _CHANGES else None


def _label(column: Column) -> str:
    """The name of an attack, with that of the attacked model if they differ."""
    elsewhere = column.source not in ("", column.judged)
    return f"{column.attack} from {column.source}" if elsewhere else column.attack
