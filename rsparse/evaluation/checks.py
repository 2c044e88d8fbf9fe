"""The checklist: whether an evaluation shows what it seems to (Carlini et al. 2019).

Each check compares columns of the same images by McNemar's paired test: a difference in the wrong
direction counts against it only where p < 0.05, since a few images go either way by chance.
Nothing is left out silently: what cannot be checked is ``not run``, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from rsparse.evaluation.results import (
    BLACK_BOX,
    CLEAN,
    EXTENDED_GRAY_BOX,
    GRAY_BOX,
    TRANSFER,
    Check,
    Column,
    ColumnKey,
    Defended,
)
from rsparse.evaluation.results import Evaluation as Results
from rsparse.evaluation.scenarios import SCENARIOS
from rsparse.evaluation.statistics import Flags, accuracy, clean_column, mcnemar, share

PASS, FAIL, NOT_RUN = "pass", "fail", "not run"
SIGNIFICANT = 0.05
NEAR_CHANCE = 0.02  # above it; a few images may stay right whatever is done to them
HUGE_EPS = 128.0
ONE_STEP = "fgsm"
NOISE = "noise"
GRADIENT_FREE = (
    "BoundaryAttack", "HopSkipJumpAttack", "SpatialAttack", "PointwiseAttack",
    "LinearSearchBlendedUniformNoiseAttack",
)  # fmt: skip
_KNOWLEDGE = ((GRAY_BOX, TRANSFER), (EXTENDED_GRAY_BOX, BLACK_BOX))  # of the judged model, or not


@dataclass(frozen=True)
class Evidence:
    """What is known beside the plan's own columns of one scenario and attacked model.

    Attributes
    ----------
    columns : sequence of Column
        The plan's.
    floor : Column or None
        The attack of a huge eps.
    noise : sequence of Column
        Random noise.
    steps : (Column, Column) or None
        The strongest attack in steps, and the same with twice as many.
    rounding : mapping
        By the column's key, which images the attacked model got wrong before the rounding to
        8 bits and after it.
    """

    columns: Sequence[Column]
    floor: Column | None = None
    noise: Sequence[Column] = ()
    steps: tuple[Column, Column] | None = None
    rounding: Mapping[ColumnKey, tuple[Flags, Flags]] = field(default_factory=dict)

    @property
    def scenario(self) -> str:
        """Its name, with that of the other model than the evaluation's which it is about."""
        first = self.columns[0]
        if first.scenario == GRAY_BOX:
            return first.scenario
        other = first.source if first.scenario == TRANSFER else first.judged
        return f"{first.scenario}: {other}"


def all_checks(results: Results, evidence: Iterable[Evidence]) -> tuple[Check, ...]:
    """Every item of the checklist, for each scenario and defense that it applies to.

    Parameters
    ----------
    results : Evaluation
        With the cells of all columns, those of the evidence too.
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
                _iterative(results, each, defense),
                _monotone(results, each, defense),
                _floor(results, each, defense),
                _noise(results, each, defense),
                _steps(results, each, defense),
                _gradient_free(results, each, defense),
            ]
        found.append(_adaptive(each))
    columns = [column for each in everything for column in each.columns]
    for more, less in _KNOWLEDGE:
        if less == TRANSFER or any(column.scenario == less for column in columns):
            found += [_knows_less(results, columns, more, less, d) for d in results.defenses]
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
    detail = f"{_percent(without.value)} undefended, {_percent(with_it.value)} with it"
    scenario = CLEAN if column.judged == results.model else f"{CLEAN}: {column.judged}"
    return Check("clean accuracy", scenario, defense.text, PASS, detail)


def _threat(evidence: Evidence) -> Check:
    first = evidence.columns[0]
    knows = SCENARIOS[first.scenario].knows
    detail = f"{knows}; {len(evidence.columns)} untargeted attacks on {first.source}"
    detail += f", judged by {first.judged}" * (first.source != first.judged)
    return Check("threat model", evidence.scenario, "", PASS, detail)


def _distortion(evidence: Evidence) -> Check:
    """L∞ limits are kept to the grey level; L₂ strengths are means, and rounding adds to them."""
    over = [
        f"{column.attack} {column.linf.max(initial=0):.0f}"
        for column in evidence.columns
        if column.strength_name == "eps" and column.linf.max(initial=0) > (column.strength or 0) + 1
    ]
    largest = max(float(column.linf.max(initial=0)) for column in evidence.columns)
    detail = "over the limit: " + ", ".join(over) if over else f"L∞ at most {largest:.0f} levels"
    outcome = FAIL if over else PASS
    return Check("distortion within its limit", evidence.scenario, "", outcome, detail)


def _rounding(evidence: Evidence) -> Check:
    name = "attacks survive rounding to 8 bits"
    told, failed = [], False
    for column in evidence.columns:
        if column.key not in evidence.rounding:
            continue
        before, after = evidence.rounding[column.key]
        lost = share(before).correct - share(after).correct
        failed |= lost > 0 and mcnemar(before, after) < SIGNIFICANT
        if lost > 0:
            told.append(f"{column.attack} {_percent(share(before).value)} → "
                        f"{_percent(share(after).value)}")  # fmt: skip
    detail = "fooled before → after: " + ", ".join(told) if told else "none loses by it"
    return Check(name, evidence.scenario, "", FAIL if failed else PASS, detail)


def _iterative(results: Results, evidence: Evidence, defense: Defended) -> Check:
    name = "steps beat one step"
    if not SCENARIOS[evidence.columns[0].scenario].attacks_the_judged:
        reason = "it holds on the attacked model; one step often transfers better"
        return Check(name, evidence.scenario, defense.text, NOT_RUN, reason)
    pairs = [
        (iterative, single)
        for single in evidence.columns
        for iterative in evidence.columns
        if single.family == ONE_STEP
        and iterative.parameters.get("steps", 1) > 1
        and (iterative.strength_name, iterative.strength) == ("eps", single.strength)
    ]
    if not pairs:
        reason = "the plan has no attack in steps with the eps of an FGSM"
        return Check(name, evidence.scenario, defense.text, NOT_RUN, reason)
    return _compared(results, name, evidence.scenario, defense, pairs)


def _monotone(results: Results, evidence: Evidence, defense: Defended) -> Check:
    name = "accuracy falls with strength"
    series: dict[tuple[object, ...], list[Column]] = {}
    for column in evidence.columns:
        if column.strength is not None:
            others = {k: v for k, v in column.parameters.items() if k != column.strength_name}
            key = (column.family, column.strength_name, repr(sorted(others.items())))
            series.setdefault(key, []).append(column)
    pairs = []
    for columns in series.values():
        ordered = sorted(columns, key=lambda column: column.strength or 0.0)
        pairs += [(later, earlier) for earlier, later in pairwise(ordered)]
        pairs.append((ordered[0], clean_column(results, ordered[0].judged)))
    if not pairs:
        reason = "no attack of the plan has a strength"
        return Check(name, evidence.scenario, defense.text, NOT_RUN, reason)
    return _compared(results, name, evidence.scenario, defense, pairs)


def _floor(results: Results, evidence: Evidence, defense: Defended) -> Check:
    name = "a huge change reaches chance"
    if evidence.floor is None:
        return Check(name, evidence.scenario, defense.text, NOT_RUN, "--no-checks was given")
    found = accuracy(results, evidence.floor, defense)
    chance = 1 / len(results.class_names)
    reached = found.low <= chance + NEAR_CHANCE
    detail = (
        f"{evidence.floor.attack}: {_percent(found.value)} "
        f"({_percent(found.low)}–{_percent(found.high)}); chance is {100 * chance:.1f} %"
    )
    return Check(name, evidence.scenario, defense.text, PASS if reached else FAIL, detail)


def _noise(results: Results, evidence: Evidence, defense: Defended) -> Check:
    name = "noise of the same norm is weaker"
    pairs = [
        (column, noise)
        for noise in evidence.noise
        for column in evidence.columns
        if (column.strength_name, column.strength) == (noise.strength_name, noise.strength)
        and column.family != NOISE
    ]
    if not pairs:
        reason = "no attack has a norm to compare with" if evidence.floor else "--no-checks"
        return Check(name, evidence.scenario, defense.text, NOT_RUN, reason)
    return _compared(results, name, evidence.scenario, defense, pairs)


def _steps(results: Results, evidence: Evidence, defense: Defended) -> Check:
    name = "doubled steps gain nothing"
    if evidence.steps is None:
        reason = "the plan has no attack in steps" if evidence.floor else "--no-checks was given"
        return Check(name, evidence.scenario, defense.text, NOT_RUN, reason)
    return _compared(results, name, evidence.scenario, defense, [evidence.steps])


def _gradient_free(results: Results, evidence: Evidence, defense: Defended) -> Check:
    name = "gradients beat attacks without them"
    free = [c for c in evidence.columns if c.family in GRADIENT_FREE]
    others = [c for c in evidence.columns if c.family not in (*GRADIENT_FREE, NOISE)]
    if not free or not others:
        reason = "no gradient-free attack was run"
        return Check(name, evidence.scenario, defense.text, NOT_RUN, reason)
    strongest = min(others, key=lambda column: accuracy(results, column, defense).correct)
    pairs = [(strongest, column) for column in free]
    return _compared(results, name, evidence.scenario, defense, pairs)


def _adaptive(evidence: Evidence) -> Check:
    reason = (
        "no adaptive attack (BPDA, EOT) was run: the attacker of this scenario does not know the "
        f"defense, so {evidence.columns[0].scenario} accuracy is not robustness"
    )
    return Check("adaptive attacks are strongest", evidence.scenario, "", NOT_RUN, reason)


def _knows_less(
    results: Results, columns: Sequence[Column], more: str, less: str, defense: Defended
) -> Check:
    """An attacker who knows another model is weaker before the same judge."""
    name = f"{less} is weaker than {more}"
    pairs = [
        (own, other)
        for own in columns
        for other in columns
        if (own.scenario, other.scenario) == (more, less)
        and (own.judged, own.attack) == (other.judged, other.attack)
    ]
    if not pairs:
        reason = "needs both scenarios in the plan"
        return Check(name, less, defense.text, NOT_RUN, reason)
    return _compared(results, name, less, defense, pairs)


def _compared(
    results: Results,
    name: str,
    scenario: str,
    defense: Defended,
    pairs: Sequence[tuple[Column, Column]],
) -> Check:
    """Passes unless accuracy under a pair's first column is significantly above the second's."""
    against, told = [], []
    for stronger, weaker in pairs:
        right = [results.correct(column, defense) for column in (stronger, weaker)]
        high, low = (share(flags).value for flags in right)
        text = f"{_label(stronger)} {_percent(high)}, {_label(weaker)} {_percent(low)}"
        p = mcnemar(*right)
        told.append((high - low, text))
        if high > low and p < SIGNIFICANT:
            against.append(f"{text} (p = {p:.2g})")
    if against:
        more = f"; and {len(against) - 3} more" if len(against) > 3 else ""
        return Check(name, scenario, defense.text, FAIL, "; ".join(against[:3]) + more)
    closest = max(told)[1]
    detail = f"{len(pairs)} pairs; closest: {closest}" if len(pairs) > 1 else closest
    return Check(name, scenario, defense.text, PASS, detail)


def _label(column: Column) -> str:
    """An attack's name, with the attacked model's where that is not the judged one."""
    elsewhere = column.source not in ("", column.judged)
    return f"{column.attack} from {column.source}" if elsewhere else column.attack


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def counted(checks: Iterable[Check]) -> dict[str, int]:
    """How many checks passed, failed and were not run."""
    outcomes = [check.outcome for check in checks]
    return {outcome: outcomes.count(outcome) for outcome in (PASS, FAIL, NOT_RUN)}


def failures(checks: Iterable[Check]) -> Iterator[Check]:
    """The checks that failed."""
    return (check for check in checks if check.outcome == FAIL)
