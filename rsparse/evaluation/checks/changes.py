"""Checks of how much the attacks changed the images: neither too much nor too little."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rsparse.core.metrics import share_of
from rsparse.core.paired import Flags
from rsparse.evaluation.checks.comparisons import is_iterative
from rsparse.evaluation.checks.evidence import AttackRun, Evidence
from rsparse.evaluation.checks.outcomes import FAIL, PASS, UNDECIDED, Finding, rare
from rsparse.evaluation.results import MADE_ELSEWHERE, Column
from rsparse.evaluation.results import Evaluation as Results
from rsparse.evaluation.statistics import clean_column

ROUNDING = 0.5  # grey levels that rounding to 8 bits may add to a change
SHORT_OF_LIMIT = 0.9  # the share of an L∞ limit that an attack has to use
MOST_REACHED = 64  # grey levels; a larger change may leave the range from 0 to 255
SHORT_OF_D = 0.5  # the same for d, of which clipping to [0, 1] takes a part
GONE = 0.9  # the d of an image that is black or another one
LEAST_EPS_FOR_LOSS = 4.0  # grey levels; a step is a quarter of it
MOST_STEPS = 0.5  # the share of steps that have to lower the loss, and of images where they do
AVERAGE_OFF = 1.1  # the mean of a scaled attack may be above its strength by this factor

Judge = Callable[[Results, Column, AttackRun | None], Finding | None]


def within_limit(evidence: Evidence) -> Judge:
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


def right_before(results: Results, column: Column, run: AttackRun | None) -> Flags:
    """The images that the attack had to change: those that the attacked model got right.

    The model that an attack through a defense attacks has that defense.
    """
    if column.through:
        defense = next(d for d in results.defenses if d.text == column.through)
        return results.correct(clean_column(results, column.judged), defense)
    if run is None:
        return np.ones(len(column.linf), bool)
    return run.before == results.labels


def changes_images(results: Results, column: Column, run: AttackRun | None) -> Finding | None:
    """An attack that has a limit changes every image that the model gets right.

    If the gradient is zero, it changes none. An attack of another program also changes every image;
    images that it failed on are often copies of the benign ones.
    """
    if not (_uses_up_limit(column, run) or column.scenario == MADE_ELSEWHERE):
        return None
    attacked = right_before(results, column, run)
    unchanged = int(np.count_nonzero(attacked & (column.linf == 0)))
    what = "that the model gets right are unchanged: "
    if column.scenario == MADE_ELSEWHERE:
        what += "the folder holds copies of the benign images, or its attack failed"
    else:
        what += "the gradient is zero, or the limit is less than half a grey level"
    none = "every image that the model gets right is changed"
    return rare(unchanged, int(np.count_nonzero(attacked)), what, none)


def uses_up_limit(results: Results, column: Column, run: AttackRun | None) -> Finding | None:
    """An attack that has a limit uses it up, unless the gradient is zero."""
    if not _uses_up_limit(column, run):
        return None
    assert column.strength is not None
    reach = _largest_possible(column)
    if reach is not None and reach < column.strength * (1 - 1e-6):
        steps = column.parameters["steps"]
        text = f"{steps} steps of {column.parameters['step_size']:g} add up to {reach:g} of "
        return Finding(FAIL, f"{text}{column.strength_name} = {column.strength:g}")
    changed = right_before(results, column, run) & (column.linf > 0)
    if run is not None and run.is_best_of_search:
        changed &= _resists(results, column)
        if not changed.any():
            return Finding(PASS, "the attack is done with every image before its limit")
    if column.strength_name == "eps":
        limit = min(column.strength, MOST_REACHED)
        whole = min(math.floor(limit), math.ceil(SHORT_OF_LIMIT * limit))
        short, mean = column.linf < whole, column.linf[changed]
        unit = f"grey levels of {column.strength:g}"
    else:
        short, mean = column.d < SHORT_OF_D * column.strength, column.d[changed]
        unit = f"of d = {column.strength:g}"
    what = f"are changed by much less than the limit, all by {_mean(mean):.3g} {unit} on average"
    none = "every changed image is changed up to the limit"
    return rare(int(np.count_nonzero(changed & short)), int(np.count_nonzero(changed)), what, none)


def _resists(results: Results, column: Column) -> Flags:
    """The images that the attacked model, with the defense attacked through, still gets right."""
    text = column.through or "none"
    return results.correct(column, next(d for d in results.defenses if d.text == text))


def lowers_loss(results: Results, column: Column, run: AttackRun | None) -> Finding | None:
    """The steps of an attack lower its loss on most images, unless the gradients mask something.

    Steps of less than a grey level say nothing: rounding undoes them.
    """
    del results
    if run is None or run.lowered is None or (column.strength or 0) < LEAST_EPS_FOR_LOSS:
        return None
    known = run.lowered[~np.isnan(run.lowered)]
    count = int(np.count_nonzero(known > MOST_STEPS))
    share = share_of(count, len(known))
    detail = f"most steps lower the loss on {count} of {len(known)} images"
    if share.low > MOST_STEPS:
        return Finding(PASS, detail)
    if share.high < MOST_STEPS:
        return Finding(FAIL, f"{detail}: the gradients do not lead to the attack's goal")
    return Finding(UNDECIDED, f"{detail}; more images would decide it")


def _largest_possible(column: Column) -> float | None:
    """The largest change that the steps of an attack can add up to, in the unit of its strength."""
    size = column.parameters.get("step_size")
    if not isinstance(size, int | float) or not is_iterative(column):
        return None
    return float(size) * int(column.parameters["steps"])


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else 0.0


def keeps_picture(_: Results, column: Column, run: AttackRun | None) -> Finding | None:
    """No image is black, or replaced: a change as large as the image itself is no attack.

    Some attacks return a black image if they fail, and a black image is often classified wrongly.
    """
    if column.strength is not None and not (run is not None and run.is_average):
        return None  # the limit is checked
    if run is not None and run.strangers:
        what = "show the picture of another image"
        return rare(run.strangers, len(column.d), what, "")
    gone = np.isfinite(column.d) & (column.d > GONE)
    count = int(np.count_nonzero(gone))
    what = "are changed by as much as the image itself, as if it were black"
    return rare(count, len(column.d), what, "no image is black or replaced")
