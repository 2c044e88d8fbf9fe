"""Checks of the attacks as they were carried out, on the attacked model without a defense."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from rsparse.core.paired import SIGNIFICANT, Flags, Pairs, images_to_exceed, tail
from rsparse.evaluation.checks.changes import (
    Judge,
    changes_images,
    keeps_picture,
    lowers_loss,
    right_before,
    uses_up_limit,
    within_limit,
)
from rsparse.evaluation.checks.comparisons import ONE_STEP, is_iterative
from rsparse.evaluation.checks.evidence import AttackRun, Evidence
from rsparse.evaluation.checks.images import at_chance, chance
from rsparse.evaluation.checks.outcomes import (
    FAIL,
    NOT_RUN,
    PASS,
    UNDECIDED,
    Finding,
    combined,
    compared,
    enough,
    needed,
    percent,
    rare,
)
from rsparse.evaluation.results import Check, Column
from rsparse.evaluation.results import Evaluation as Results

NO_LIMIT = "no attack in the plan has to use up a limit"
NOTHING_TO_ATTACK = "the attacked model gets no image right before the attack"
NO_LOSS = "no attack with steps of a grey level or more notes its loss"
IDENTITY = "identity"
ONE_GRADIENT = "no image fell to one of several gradients through a defense"
NO_RUNS = "it is not known what the attacks did to the attacked model"


def attack_checks(results: Results, evidence: Evidence) -> Iterator[Check]:
    """The checks of one scenario's attacks; they do not depend on a defense."""
    checks: tuple[tuple[str, Judge, str], ...] = (
        ("distortion within the limit", within_limit(evidence), ""),
        ("attacks change the images", changes_images, NO_LIMIT),
        ("attacks use up their limit", uses_up_limit, NO_LIMIT),
        ("steps lower the attack's loss", lowers_loss, NO_LOSS),
        ("the first gradient is not weaker than the others", _first_gradient, ONE_GRADIENT),
        ("searches find an adversarial image", _finds, "no attack seeks the smallest change"),
        ("no failed attack counts as success", keeps_picture, "every attack has a limit"),
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


def _summary(
    found: Sequence[tuple[Column, Finding]], missing: str, with_attack: bool = False
) -> Finding:
    """One finding for all columns: the details of those with the worst outcome."""
    outcome = combined(finding.outcome for _, finding in found)
    if outcome == NOT_RUN:
        reasons = [finding.detail for _, finding in found]
        return Finding(NOT_RUN, reasons[0] if reasons else missing)
    worst = [(column, finding) for column, finding in found if finding.outcome == outcome]
    if outcome == PASS and not with_attack:
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


def _finds(results: Results, column: Column, run: AttackRun | None) -> Finding | None:
    """An attack that seeks the smallest change, however large, finds one for every image."""
    if run is None or not run.seeks_minimum:
        return None
    attacked = right_before(results, column, run)
    missed = int(np.count_nonzero(attacked & ~column.found))
    what = "have no adversarial image that the search found"
    return rare(missed, int(np.count_nonzero(attacked)), what, "every search succeeded")


def _first_gradient(_: Results, __: Column, run: AttackRun | None) -> Finding | None:
    """Through a defense, few images fall to a later gradient after the first has failed.

    The first is the projection onto many atoms, or a smooth substitute; the last is the identity.
    The identity alone would find most where a substitute is flawed.
    """
    several = [each for each in run.gradients if each[0][0] != IDENTITY] if run else []
    if not several:
        return None
    later = sum(found != tried[0] for tried, found in several)
    n, first = len(several), len(several) - later
    name = several[0][0][0]
    text = f"{name} found {first} images, and the gradients after it {later} more"
    if tail(later, n, 0.5) < SIGNIFICANT:
        return Finding(FAIL, text)
    if not later or tail(first, n, 0.5) < SIGNIFICANT:
        return Finding(PASS, text)
    return Finding(UNDECIDED, f"{text}; {enough(images_to_exceed(max(first, later) / n, 0.5, n))}")


def _rounding(results: Results, column: Column, run: AttackRun | None) -> Finding | None:
    """Rounding to 8 bits does not make the attacked model right again."""
    if run is None:
        return None
    if column.through:
        return Finding(NOT_RUN, "the images before rounding were classified without the defense")
    attacked = right_before(results, column, run)
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
    """The strongest attack makes the attacked model wrong on images that it got right.

    If attacks are made through the defenses, each defense with the model is an attacked model.
    """
    findings = []
    for through in dict.fromkeys(column.through for column in evidence.columns):
        columns = [column for column in evidence.columns if column.through == through]
        known = [
            (column, after)
            for column in columns
            if (after := _right_after(results, column, evidence.runs.get(column.key))) is not None
        ]
        if known:
            column, flags = min(known, key=lambda each: np.count_nonzero(each[1]))
            run = evidence.runs.get(column.key)
            before = right_before(results, column, run)
            findings.append((column, _fooled(results, before, flags, run)))
    return _summary(findings, NO_RUNS, with_attack=True)


def _right_after(results: Results, column: Column, run: AttackRun | None) -> Flags | None:
    """Which images the attacked model gets right after the attack; None if it is not known."""
    if column.through:
        return results.correct(
            column, next(d for d in results.defenses if d.text == column.through)
        )
    return None if run is None else run.after == results.labels


def _fooled(results: Results, before: Flags, after: Flags, run: AttackRun | None) -> Finding:
    right, n = int(np.count_nonzero(before)), len(before)
    text = f"{percent(right / n)} of the images are right before "
    text += f"and {percent(float(after.mean()))} after the attack"
    if run is not None:
        expected = chance(run.before, results.labels, len(results.class_names))
        if at_chance(right, n, expected):
            return Finding(FAIL, f"{text}; before, that is no better than chance")
    pairs = Pairs.of(after, before)
    if pairs.only_first < pairs.only_second and compared(pairs) == PASS:
        return Finding(PASS, text)
    if pairs.only_first == pairs.only_second:
        return Finding(UNDECIDED, f"{text}; no image changes its class")
    outcome = compared(pairs)
    return Finding(outcome, text if outcome == FAIL else f"{text} ({needed(pairs)})")
