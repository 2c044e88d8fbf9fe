"""The verdict: three sentences, and the few numbers that a reader looks for first."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsparse.core.metrics import Estimate
from rsparse.evaluation.estimates import (
    interval,
    mean_share,
    paired_difference,
    per_image,
    percent,
    points,
)
from rsparse.evaluation.results import CLEAN, Check, JudgedDefense
from rsparse.evaluation.statistics import accuracy, mcnemar, share, tried_behind, worst_case
from rsparse.report.subjects import Subjects


@dataclass(frozen=True)
class KeyNumber:
    """One number at the head of the page, in per cent."""

    label: str
    value: str
    note: str


@dataclass(frozen=True)
class ScenarioVerdict:
    """What was found under one scenario."""

    scenario: str
    sentences: tuple[str, ...]


def verdicts(subjects: Subjects) -> list[ScenarioVerdict]:
    """The verdict of each scenario, the main one first."""
    return [ScenarioVerdict(s, tuple(_sentences(subjects, s))) for s in subjects.scenarios]


def _sentences(subjects: Subjects, scenario: str) -> list[str]:
    first = _what_was_kept(subjects, scenario)
    return [first, _against_the_best(subjects, scenario), _how_far_it_goes(subjects, scenario)]


def describe_scenario(subjects: Subjects, scenario: str) -> str:
    """What the attacker of a scenario knows, in words."""
    model = subjects.judge_of(scenario)
    sources = sorted({column.source for column in subjects.columns(scenario) if column.source})
    if sources == [model] and subjects.is_adaptive(scenario):
        return f"the attacker knows {model} and the defense, and attacks through it"
    if sources == [model]:
        return f"the attacker knows {model} but not the defense"
    return f"attacks made on {' and '.join(sources)}, shown to {model}" if sources else scenario


def _what_was_kept(subjects: Subjects, scenario: str) -> str:
    columns, clean = subjects.columns(scenario), subjects.clean_of(scenario)
    evaluation, judged = subjects.evaluation, subjects.judged
    what = f"{len(columns)} {scenario} attack{'s' * (len(columns) != 1)}"
    where = f"{what} ({describe_scenario(subjects, scenario)})"

    def told(defense: JudgedDefense) -> str:
        mean = mean_share(evaluation, defense, columns)
        text = f"{percent(mean.value)} % of the images are classified rightly on average "
        text += f"({interval(mean)} %)"
        if clean is not None:
            before = accuracy(evaluation, clean, defense)
            text += f", and {percent(before.value)} % before any attack"
        return text

    undefended = subjects.undefended
    if judged is None:
        return f"Under {where} without a defense {told(undefended)}." if undefended else where
    text = f"Under {where}, behind {judged.text}{_named_first(subjects)} {told(judged)}"
    if undefended is not None:
        text += f"; without a defense it is {percent(subjects.mean(undefended, scenario))} %"
    return text + _training_added(subjects, scenario, judged) + "."


def _training_added(subjects: Subjects, scenario: str, judged: JudgedDefense) -> str:
    """How a trained judge compares with the one that it was made of, on the same images."""
    before = subjects.counterpart(scenario)
    if before is None:
        return ""
    after, without = (
        per_image(subjects.evaluation, judged, subjects.columns(s)) for s in (scenario, before)
    )
    gap = paired_difference(after, without)
    text = f". That is {points(gap.value)} points beside {subjects.judge_of(before)} in {before}"
    if np.isnan(gap.low):
        return text
    return f"{text} (95 % interval {points(gap.low)} to {points(gap.high)})"


def _named_first(subjects: Subjects) -> str:
    """Say that the judged one was not chosen for its result, where there was a choice."""
    n, judged = len(subjects.ablations), subjects.judged
    if n < 2 or judged is not subjects.ablations[0]:
        return ""
    return f" (the first named of {n} RegionSparse settings)"


def _against_the_best(subjects: Subjects, scenario: str) -> str:
    judged, best = subjects.judged, subjects.best_baseline(scenario)
    if judged is None:
        return "No defense was judged."
    if best is None:
        return "No baseline was judged, so nothing is said about how it compares."
    evaluation, columns = subjects.evaluation, subjects.columns(scenario)
    ours, other = (per_image(evaluation, defense, columns) for defense in (judged, best))
    gap = paired_difference(ours, other)
    text = (
        f"The best baseline by that mean, chosen after the fact, is {best.text} with "
        f"{percent(float(other.mean()))} %: the difference is {points(gap.value)} points "
    )
    if np.isnan(gap.low):
        return text + "of a single image, which says nothing."
    text += f"(95 % interval {points(gap.low)} to {points(gap.high)}), "
    if gap.low <= 0 <= gap.high:
        return text + "which is not significant: it may be chance."
    winner = judged if gap.value > 0 else best
    return text + f"significantly in favour of {winner.text}."


def _how_far_it_goes(subjects: Subjects, scenario: str) -> str:
    evaluation = subjects.evaluation
    n = len(evaluation.names)
    text = f"This rests on {n} image{'s' * (n != 1)}"
    if evaluation.only_correct:
        text += (
            ", only such as the undefended model gets right "
            f"({evaluation.left_out} left out for that)"
        )
    else:
        text += ", all of them, whether or not the undefended model gets them right"
    text += _worst(subjects, scenario)
    checks = Counter(check.outcome for check in checks_of_judged(subjects, scenario))
    if not checks:
        return text + "; none of the checks was run."
    left = f"{checks['not run']} {'was' if checks['not run'] == 1 else 'were'} not run"
    found = f"{checks['pass']} passed, {checks['fail']} failed and {left}"
    return f"{text}; of {sum(checks.values())} checks of it {found}."


def checks_of_judged(subjects: Subjects, scenario: str | None = None) -> list[Check]:
    """The checks of the judged defense and those of no defense, maybe of one scenario only."""
    wanted = "" if subjects.judged is None else subjects.judged.text
    return [
        check
        for check in subjects.evaluation.checks
        if check.defense in ("", wanted)
        and (scenario is None or _is_about(check, subjects, scenario))
    ]


def _is_about(check: Check, subjects: Subjects, scenario: str) -> bool:
    """Whether a check is of a scenario: told by its name, with a model's after it or not."""
    kind, _, model = check.scenario.partition(": ")
    if kind == CLEAN:
        return (model or subjects.evaluation.model) == subjects.judge_of(scenario)
    columns = subjects.columns(scenario)
    models = {name for column in columns for name in (column.source, column.judged)}
    return not kind or (kind == columns[0].scenario and (not model or model in models))


def _worst(subjects: Subjects, scenario: str) -> str:
    judged, best = subjects.judged, subjects.best_baseline(scenario)
    if judged is None:
        return ""
    ours = worst_flags(subjects, judged, scenario)
    text = f"; {percent(share(ours).value)} % stay right whichever of the attacks is chosen"
    if best is None:
        return text
    other = worst_flags(subjects, best, scenario)
    if len(ours) != len(other):
        return text
    p = mcnemar(ours, other)
    return f"{text}, {percent(share(other).value)} % behind {best.text} (McNemar p {p_value(p)})"


def worst_flags(subjects: Subjects, defense: JudgedDefense, scenario: str) -> NDArray[np.bool_]:
    """Which images are right under every attack of a scenario and, where judged, clean, (n,).

    None, (0,), where the defense was not tried in the scenario.
    """
    columns = subjects.columns(scenario)
    if subjects.clean_of(scenario) is not None:
        return worst_case(subjects.evaluation, defense, columns)
    tried = tried_behind(subjects.evaluation, defense, columns)
    if not tried:
        return np.zeros(0, bool)
    return np.logical_and.reduce([subjects.evaluation.correct(c, defense) for c in tried])


def p_value(p: float) -> str:
    """A p-value after its relation: ``= 0.021``, ``< 0.001``."""
    return "< 0.001" if p < 0.001 else f"= {p:.2g}"


def key_numbers(subjects: Subjects) -> list[KeyNumber]:
    """Mean under attack of the judged defense, the best baseline and none; the clean accuracy."""
    scenario = subjects.main_scenario
    evaluation, columns = subjects.evaluation, subjects.columns(scenario)
    found = []
    for label, defense in (
        ("under attack", subjects.judged),
        ("best baseline", subjects.best_baseline(scenario)),
        ("no defense", subjects.undefended),
    ):
        if defense is not None:
            found.append(_key(label, mean_share(evaluation, defense, columns), defense.text))
    if subjects.clean is not None and subjects.judged is not None:
        clean = accuracy(evaluation, subjects.clean, subjects.judged)
        found.append(_key("clean images", clean, subjects.judged.text))
    return found


def _key(label: str, estimate: Estimate, defense: str) -> KeyNumber:
    return KeyNumber(label, percent(estimate.value), f"{defense}, {interval(estimate)} %")
