"""Checks of the attacks as they were carried out, on the attacked model without a defense."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from rsparse.core.paired import Flags, Pairs
from rsparse.evaluation.checks.comparisons import ONE_STEP, is_iterative
from rsparse.evaluation.checks.evidence import AttackRun, Evidence
from rsparse.evaluation.checks.outcomes import (
    FAIL,
    NOT_RUN,
    PASS,
    UNDECIDED,
    Finding,
    combined,
    compared,
    needed,
    percent,
    rare,
)
from rsparse.evaluation.results import MADE_ELSEWHERE, Check, Column
from rsparse.evaluation.results import Evaluation as Results

ROUNDING = 0.5  # grey levels that rounding to 8 bits may add to a change
SHORT_OF_LIMIT = 0.9  # the share of an L∞ limit that an attack has to use
SHORT_OF_D = 0.5  # the same for d, of which clipping to [0, 1] takes a part
GONE = 0.9  # the d of an image that is black or another one
AVERAGE_OFF = 1.1  # the mean of a scaled attack may be above its strength by this factor

NO_LIMIT = "no attack in the plan has to use up a limit"
NOTHING_TO_ATTACK = "the attacked model gets no image right before the attack"
NO_RUNS = "it is not known what the attacks did to the attacked model"

Judge = Callable[[Results, Column, AttackRun | None], Finding | None]


def attack_checks(results: Results, evidence: Evidence) -> Iterator[Check]:
    """The checks of one scenario's attacks; they do not depend on a defense."""
    checks: tuple[tuple[str, Judge, str], ...] = (
        ("distortion within the limit", _within_limit(evidence), ""),
        ("attacks change the images", _changes, NO_LIMIT),
        ("attacks use up their limit", _reaches_limit, NO_LIMIT),
        ("searches find an adversarial image", _finds, "no attack seeks the smallest change"),
        ("no failed attack counts as success", _keeps_picture, "every attack has a limit"),
        ("attacks survive rounding to 8 bits", _rounding, NO_RUNS),
    )
    for name, judge, missing in checks:
        found = [
            (column, finding)
            for column in evidence.columns
            if (finding := judge(results, column, evidence.runs.get(column.key))) is not None
        ]
        yield Check(name, evidence.scenario, "", *_summary(found, missing))
    yield Check("more steps change the images", evidence.scenario, "", *_more_steps(evidence))
    yield Check(
        "attacks fool the attacked model", evidence.scenario, "", *_fools(results, evidence)
    )


def _summary(found: Sequence[tuple[Column, Finding]], missing: str) -> Finding:
    """One finding for all columns: the details of those with the worst outcome."""
    outcome = combined(finding.outcome for _, finding in found)
    if outcome == NOT_RUN:
        reasons = [finding.detail for _, finding in found]
        return Finding(NOT_RUN, reasons[0] if reasons else missing)
    worst = [(column, finding) for column, finding in found if finding.outcome == outcome]
    if outcome == PASS:
        return Finding(PASS, _shortest([finding.detail for _, finding in worst]))
    texts = [f"{attack_of(column)}: {finding.detail}" for column, finding in worst]
    return Finding(outcome, _listed(texts))


def _shortest(details: Iterable[str]) -> str:
    return "; ".join(list(dict.fromkeys(details))[:3])


def _listed(texts: Sequence[str]) -> str:
    more = f"; and {len(texts) - 3} more" if len(texts) > 3 else ""
    return "; ".join(texts[:3]) + more


def attack_of(column: Column) -> str:
    """The name of an attack, with the defense that it was made through."""
    return f"{column.attack} through {column.through}" if column.through else column.attack


def _within_limit(evidence: Evidence) -> Judge:
    """No change exceeds its limit by more than rounding to 8 bits can add."""

    def judge(_: Results, column: Column, run: AttackRun | None) -> Finding | None:
        largest = float(column.linf.max(initial=0))
        fine = f"L∞ is at most {max(float(c.linf.max(initial=0)) for c in evidence.columns):.0f} "
        fine += "grey levels"
        if column.strength is None:
            return Finding(PASS, fine)
        if column.strength_name == "eps":
            over = largest > column.strength + ROUNDING + 1e-6
            text = f"L∞ is {largest:.0f} grey levels, {column.strength:g} are allowed"
            return Finding(FAIL, text) if over else Finding(PASS, fine)
        if run is not None and run.is_average:
            mean = _mean_of_changed(column)
            over = mean > column.strength * AVERAGE_OFF + _rounding_in_d(column, evidence.values)
            text = f"d is {mean:.3g} on average, {column.strength:g} is allowed"
            return Finding(FAIL, text) if over else Finding(PASS, fine)
        if column.strength_name != "d" or (run is not None and run.norm == "l1"):
            return Finding(PASS, fine)
        finite = column.d[np.isfinite(column.d)]
        most = float(finite.max(initial=0))
        over = most > column.strength * (1 + 1e-3) + _rounding_in_d(column, evidence.values)
        text = f"d is up to {most:.3g}, {column.strength:g} is allowed"
        return Finding(FAIL, text) if over else Finding(PASS, fine)

    return judge


def _mean_of_changed(column: Column) -> float:
    changed = column.d[np.isfinite(column.d) & (column.d > 0)]
    return float(changed.mean()) if len(changed) else 0.0


def _rounding_in_d(column: Column, values: int | None) -> float:
    """The most that rounding to 8 bits can add to d; infinite if the image size is unknown."""
    if values is None:
        return math.inf
    with np.errstate(divide="ignore", invalid="ignore"):
        norms = column.l2 / column.d
    norms = norms[np.isfinite(norms) & (norms > 0)]
    return ROUNDING / 255 * math.sqrt(values) / float(norms.min()) if len(norms) else 0.0


def _uses_up_limit(column: Column, run: AttackRun | None) -> bool:
    if run is not None and (run.seeks_minimum or run.is_average or run.norm == "l1"):
        return False
    return column.strength is not None and column.strength_name in ("eps", "d")


def _attacked(results: Results, column: Column, run: AttackRun | None) -> Flags:
    """The images that the attack had to change: those that the attacked model got right."""
    if run is None or column.through:
        return np.ones(len(column.linf), bool)
    return run.before == results.labels


def _changes(results: Results, column: Column, run: AttackRun | None) -> Finding | None:
    """An attack that has a limit changes every image that the model gets right.

    If the gradient is zero, it changes none. An attack of another program also changes every image.
    """
    if not (_uses_up_limit(column, run) or column.scenario == MADE_ELSEWHERE):
        return None
    attacked = _attacked(results, column, run)
    unchanged = int(np.count_nonzero(attacked & (column.linf == 0)))
    what = "that the model gets right are unchanged: the gradient is zero, or the limit is less "
    what += "than half a grey level"
    none = "every image that the model gets right is changed"
    return rare(unchanged, int(np.count_nonzero(attacked)), what, none)


def _reaches_limit(results: Results, column: Column, run: AttackRun | None) -> Finding | None:
    """An attack that has a limit uses it up, unless the gradient is zero."""
    if not _uses_up_limit(column, run):
        return None
    assert column.strength is not None
    reach = _largest_possible(column)
    if reach is not None and reach < column.strength * (1 - 1e-6):
        steps = column.parameters["steps"]
        text = f"{steps} steps of {column.parameters['step_size']:g} add up to {reach:g} of "
        return Finding(FAIL, f"{text}{column.strength_name} = {column.strength:g}")
    changed = _attacked(results, column, run) & (column.linf > 0)
    if column.strength_name == "eps":
        whole = min(math.floor(column.strength), math.ceil(SHORT_OF_LIMIT * column.strength))
        short, mean = column.linf < whole, column.linf[changed]
        unit = f"grey levels of {column.strength:g}"
    else:
        short, mean = column.d < SHORT_OF_D * column.strength, column.d[changed]
        unit = f"of d = {column.strength:g}"
    what = f"are changed by much less than the limit, all by {_mean(mean):.3g} {unit} on average"
    none = "every changed image is changed up to the limit"
    return rare(int(np.count_nonzero(changed & short)), int(np.count_nonzero(changed)), what, none)


def _largest_possible(column: Column) -> float | None:
    """The largest change that the steps of an attack can add up to, in the unit of its strength."""
    size = column.parameters.get("step_size")
    if not isinstance(size, int | float) or not is_iterative(column):
        return None
    return float(size) * int(column.parameters["steps"])


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else 0.0


def _finds(results: Results, column: Column, run: AttackRun | None) -> Finding | None:
    """An attack that seeks the smallest change, however large, finds one for every image."""
    if run is None or not run.seeks_minimum:
        return None
    attacked = _attacked(results, column, run)
    missed = int(np.count_nonzero(attacked & ~column.found))
    what = "have no adversarial image that the search found"
    return rare(missed, int(np.count_nonzero(attacked)), what, "every search succeeded")


def _keeps_picture(_: Results, column: Column, run: AttackRun | None) -> Finding | None:
    """No image is black, or replaced: a change as large as the image itself is no attack.

    Some attacks return a black image if they fail, and a black image is often classified wrongly.
    """
    if column.strength is not None and not (run is not None and run.is_average):
        return None  # the limit is checked
    gone = np.isfinite(column.d) & (column.d > GONE)
    count = int(np.count_nonzero(gone))
    what = "are changed by as much as the image itself, as if it were black"
    return rare(count, len(column.d), what, "no image is black or replaced")


def _rounding(results: Results, column: Column, run: AttackRun | None) -> Finding | None:
    """Rounding to 8 bits does not make the attacked model right again."""
    if run is None:
        return None
    if column.through:
        return Finding(NOT_RUN, "the images before rounding were classified without the defense")
    attacked = _attacked(results, column, run)
    if not attacked.any():
        return Finding(NOT_RUN, NOTHING_TO_ATTACK)
    right = [(classes == results.labels)[attacked] for classes in (run.after, run.unrounded)]
    pairs = Pairs.of(*right)
    if pairs.only_first <= pairs.only_second:
        return Finding(PASS, "no attack loses success")
    after, before = (percent(1 - float(flags.mean())) for flags in right)
    text = f"success {before} before and {after} after rounding"
    outcome = compared(pairs)
    return Finding(outcome, text if outcome == FAIL else f"{text} ({needed(pairs)})")


def _more_steps(evidence: Evidence) -> Finding:
    """An iterative attack gives other images than one step, and than half as many steps.

    Only for a linear classifier they are equal; then, they are also those of BIM.
    """
    single = {c.strength: c for c in evidence.attacks if c.family == ONE_STEP}
    pairs = [
        (column, single[column.strength])
        for column in evidence.attacks
        if is_iterative(column) and column.strength_name == "eps" and column.strength in single
    ]
    pairs += [evidence.doubled_steps] if evidence.doubled_steps else []
    known = [p for p in pairs if all(column.key in evidence.digests for column in p)]
    if not known:
        return Finding(NOT_RUN, "there are no two numbers of steps to compare")
    equal = [(a, b) for a, b in known if evidence.digests[a.key] == evidence.digests[b.key]]
    if not equal:
        return Finding(PASS, "other numbers of steps give other images")
    first, second = equal[0]
    text = f"{attack_of(first)} and {attack_of(second)} give the same images"
    bim = evidence.long
    if bim is None or bim.strength != first.strength or bim.key not in evidence.digests:
        return Finding(UNDECIDED, f"{text}; so they do if the classifier is linear")
    if evidence.digests[bim.key] == evidence.digests[first.key]:
        return Finding(NOT_RUN, f"{text}, and so does {bim.attack}: the classifier is linear")
    return Finding(FAIL, f"{text}, but {bim.attack} gives others: the steps are not taken")


def _fools(results: Results, evidence: Evidence) -> Finding:
    """The strongest attack makes the attacked model wrong on images that it got right."""
    runs = [
        (column, run)
        for column in evidence.columns
        if (run := evidence.runs.get(column.key)) is not None and not column.through
    ]
    if not runs:
        reason = "the attacked model is the one behind the defenses" if evidence.is_adaptive else ""
        return Finding(NOT_RUN, reason or NO_RUNS)
    column, run = min(runs, key=lambda each: np.count_nonzero(each[1].after == results.labels))
    before, after = run.before == results.labels, run.after == results.labels
    text = f"{attack_of(column)}: {percent(float(before.mean()))} of the images are right before "
    text += f"and {percent(float(after.mean()))} after the attack"
    if not before.any():
        return Finding(FAIL, f"{text}; there is nothing to attack")
    pairs = Pairs.of(after, before)
    if pairs.only_first < pairs.only_second and compared(pairs) == PASS:
        return Finding(PASS, text)
    if pairs.only_first == pairs.only_second:
        return Finding(UNDECIDED, f"{text}; no image changes its class")
    outcome = compared(pairs)
    return Finding(outcome, text if outcome == FAIL else f"{text} ({needed(pairs)})")
