"""Checks of the defenses: that they do something, and that no choice made them look better."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from rsparse.core.paired import SIGNIFICANT, Flags, MeanDifference, Pairs, smallest, tail
from rsparse.evaluation.checks.comparisons import NO_EXTRA, NOT_TRIED
from rsparse.evaluation.checks.evidence import Classes, DefenseEvidence, Evidence
from rsparse.evaluation.checks.outcomes import (
    FAIL,
    NOT_RUN,
    PASS,
    UNDECIDED,
    Finding,
    combined,
    enough,
    percent,
)
from rsparse.evaluation.estimates import Floats, per_image
from rsparse.evaluation.results import CLEAN, Check, Column, ColumnKey, JudgedDefense
from rsparse.evaluation.results import Evaluation as Results
from rsparse.evaluation.statistics import tried_behind

ENOUGH_FOOLED = 6
"""So many fooled answers, none of which a defense changes, exclude that it changes half of them."""

TRY_AGAIN = 0.1
"""The share of images that an attacker may win by trying a random defense again."""


def defense_checks(
    results: Results, defense: JudgedDefense, evidence: DefenseEvidence | None
) -> Iterator[Check]:
    """The checks of one defense that do not depend on a scenario."""
    if defense.kind == "none":
        return
    yield Check("the defense changes the answers", "", defense.text, *_changes(results, defense))
    yield Check(
        "random numbers are drawn anew", "", defense.text, *_drawn(results, defense, evidence)
    )


def scenario_checks(results: Results, evidence: Evidence) -> Iterator[Check]:
    """The checks that compare the defenses in one scenario."""
    columns, scenario = evidence.columns, evidence.scenario
    undefended = next(d for d in results.defenses if d.kind == "none")
    tried = [d for d in results.defenses if d.kind != "none" and tried_behind(results, d, columns)]
    for defense in tried:
        finding = _helps(results, columns, defense, undefended)
        yield Check("the defense is better than none", scenario, defense.text, *finding)
    finding = _chosen(results, columns, tried, undefended)
    yield Check("the best of several defenses", scenario, "", *finding)
    baselines = [d for d in tried if d.is_baseline]
    for ours in (d for d in tried if d.is_ours):
        finding = _chosen(results, columns, baselines, ours)
        yield Check("the best of several baselines", scenario, ours.text, *finding)


def _changes(results: Results, defense: JudgedDefense) -> Finding:
    """A defense that returns its input gives the same classes and probabilities as none.

    One that changes no class either, although attacks fool the model without it, is no better.
    """
    undefended = next(d for d in results.defenses if d.kind == "none")
    pairs = [
        (trial, bare)
        for column in results.columns
        if not column.through
        and (trial := results.trial(column, defense))
        and (bare := results.trial(column, undefended))
    ]
    if not pairs:
        return Finding(NOT_RUN, "it was not tried on the images that were judged without it")
    same = [(a.prediction == b.prediction) & (a.probability == b.probability) for a, b in pairs]
    number, total = sum(int(flags.sum()) for flags in same), sum(map(len, same))
    if number == total:
        return Finding(FAIL, f"all {total} answers, with their probabilities, are those without it")
    moved = sum(int((a.prediction != b.prediction).sum()) for a, b in pairs)
    if moved:
        return Finding(PASS, f"{moved} of {total} answers are other classes than without it")
    fooled = sum(_fooled(results, undefended))
    text = f"none of {total} answers is another class than without it"
    if fooled >= ENOUGH_FOOLED:
        return Finding(FAIL, f"{text}, although {fooled} of these are wrong")
    reason = f"{ENOUGH_FOOLED} that are fooled without it would decide it"
    return Finding(UNDECIDED, f"{text}; {reason}")


def _fooled(results: Results, undefended: JudgedDefense) -> Iterator[int]:
    """The number of right answers that each attack makes wrong without a defense."""
    clean = {
        column.judged: trial.prediction == results.labels
        for column in results.columns
        if column.family == CLEAN and (trial := results.trial(column, undefended))
    }
    for column in results.columns:
        trial = results.trial(column, undefended)
        if trial is not None and column.judged in clean and not column.through:
            yield int((clean[column.judged] & (trial.prediction != results.labels)).sum())


def _helps(
    results: Results, columns: Sequence[Column], defense: JudgedDefense, undefended: JudgedDefense
) -> Finding:
    """Under attack, the defense leaves no fewer images right than no defense."""
    ours, bare = _means(results, columns, defense, undefended)
    text = (
        f"{percent(float(ours.mean()))} on average with it, {percent(float(bare.mean()))} without"
    )
    if not (ours.any() or bare.any()):
        return Finding(NOT_RUN, "no image is right under any attack, with or without it")
    gain = MeanDifference.of(ours, bare)
    if gain.p >= SIGNIFICANT:
        return Finding(UNDECIDED, f"{text} (p = {gain.p:.2g}; {enough(gain.images_needed)})")
    return Finding(PASS if gain.mean > 0 else FAIL, text)


def _means(
    results: Results, columns: Sequence[Column], first: JudgedDefense, second: JudgedDefense
) -> tuple[Floats, Floats]:
    """The share of attacks under which each image is right, for the attacks tried behind both."""
    behind = [{c.attack_key for c in tried_behind(results, d, columns)} for d in (first, second)]
    both = [c for c in columns if c.attack_key in behind[0] & behind[1]]
    return per_image(results, first, both), per_image(results, second, both)


def _chosen(
    results: Results,
    columns: Sequence[Column],
    candidates: Sequence[JudgedDefense],
    other: JudgedDefense,
) -> Finding:
    """A difference to the best of several holds although it was chosen on the same images.

    If the chosen one is better, its p-value is multiplied by the number of candidates
    (Bonferroni). If the other is better, it is better than the best of them, and needs none.
    """
    if len(candidates) < 2:
        return Finding(NOT_RUN, "there is no choice")
    means = {d.text: per_image(results, d, columns).mean() for d in candidates}
    best = max(candidates, key=lambda defense: means[defense.text])
    ours, theirs = _means(results, columns, best, other)
    if np.isnan(ours).any() or np.isnan(theirs).any():
        return Finding(NOT_RUN, NOT_TRIED)
    gain, m = MeanDifference.of(ours, theirs), len(candidates)
    text = f"{best.text} {percent(float(ours.mean()))}, {other.text} "
    text += percent(float(theirs.mean()))
    if gain.p >= SIGNIFICANT:
        return Finding(UNDECIDED, f"{text} (p = {gain.p:.2g}; {enough(gain.images_needed)})")
    corrected = min(1.0, gain.p * m)
    if gain.mean > 0 and corrected >= SIGNIFICANT:
        return Finding(
            FAIL,
            f"{text}: p = {gain.p:.2g}, but {corrected:.2g} for the best of {m} chosen on the "
            "same images",
        )
    p = corrected if gain.mean > 0 else gain.p
    return Finding(PASS, f"{text} (p = {p:.2g}, the best of {m})")


def _drawn(results: Results, defense: JudgedDefense, evidence: DefenseEvidence | None) -> Finding:
    """A random defense draws for each image, and its accuracy does not depend on the draw."""
    if evidence is None:
        return Finding(NOT_RUN, NO_EXTRA)
    if evidence.adds_one_pattern:
        return Finding(FAIL, "it changes every image by the same pattern, which was drawn once")
    if not evidence.is_random:
        if not evidence.is_repeatable:
            text = "it cleans the same image in two ways, but does not say that it is random"
            return Finding(FAIL, text)
        return Finding(NOT_RUN, "it draws no random numbers")
    if not evidence.is_repeatable:
        return Finding(FAIL, "it cleans the same image in two ways for the same seed")
    if not evidence.follows_seed:
        return Finding(FAIL, "another seed gives the same images: they were drawn once")
    return _redrawn(results, defense, evidence.draws)


def _redrawn(
    results: Results, defense: JudgedDefense, draws: Mapping[ColumnKey, Sequence[Classes]]
) -> Finding:
    """Other draws are right equally often, under the attack that leaves the fewest images right."""
    findings = []
    for column in reversed(results.columns):  # the attacked one is reported rather than the clean
        trial = results.trial(column, defense)
        if trial is None or column.key not in draws:
            continue
        first = trial.prediction == results.labels
        others = [classes == results.labels for classes in draws[column.key]]
        every = np.logical_and.reduce([first, *others])
        shares = ", ".join(percent(float(flags.mean())) for flags in (first, *others))
        text = f"{column.attack}: {shares} in {len(others) + 1} draws"
        text += f", {percent(float(every.mean()))} in each"
        findings.append(_alike(first, others, text))
    if not findings:
        return Finding(NOT_RUN, NO_EXTRA)
    outcome = combined(finding.outcome for finding in findings)
    return next(finding for finding in findings if finding.outcome == outcome)


def _alike(first: Flags, others: Sequence[Flags], text: str) -> Finding:
    """Fail if another draw is significantly worse, or an attacker who tries again gains much."""
    pairs = [Pairs.of(first, other) for other in others]
    if any(p.only_first > p.only_second and p.p * len(pairs) < SIGNIFICANT for p in pairs):
        return Finding(FAIL, f"{text}: the accuracy is that of a lucky draw")
    again = Pairs.of(first, np.logical_and.reduce([first, *others]))

    def much(pairs: Pairs) -> bool:
        return tail(pairs.only_first, pairs.n, TRY_AGAIN) < SIGNIFICANT

    if much(again):
        return Finding(FAIL, f"{text}: whoever tries again finds a draw that is wrong")
    if again.high < TRY_AGAIN:
        return Finding(PASS, text)

    def decides(n: int) -> bool:
        more = again.with_images(n)
        return much(more) or more.high < TRY_AGAIN

    return Finding(UNDECIDED, f"{text}; {enough(smallest(decides, again.n))}")
