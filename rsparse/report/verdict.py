"""The verdict in detail: sentences for each scenario, after the checks that failed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsparse.core.paired import mcnemar
from rsparse.evaluation.estimates import (
    interval,
    mean_share,
    paired_difference,
    per_image,
    percent,
    points,
)
from rsparse.evaluation.names import ADAPTIVE
from rsparse.evaluation.results import JudgedDefense
from rsparse.evaluation.statistics import accuracy, share, tried_behind, worst_case
from rsparse.report.checklist import checks_of_judged, failed_in_words, outcomes_in_words
from rsparse.report.comparison import Effect, with_best_baseline
from rsparse.report.subjects import Subjects


@dataclass(frozen=True)
class ScenarioVerdict:
    """The verdict for one scenario.

    Attributes
    ----------
    scenario : str
    failed : tuple of str
        Sentences on the checks that failed, which come first; empty if none did.
    sentences : tuple of str
        On accuracy under attack, on the best baseline, and on the basis of the numbers.
    """

    scenario: str
    failed: tuple[str, ...]
    sentences: tuple[str, ...]

    @property
    def text(self) -> tuple[str, ...]:
        """All sentences."""
        return *self.failed, *self.sentences


def verdicts(subjects: Subjects) -> list[ScenarioVerdict]:
    """The verdict of each scenario, the main one first."""
    return [
        ScenarioVerdict(
            scenario,
            tuple(failed_in_words(checks_of_judged(subjects, scenario))),
            tuple(_sentences(subjects, scenario)),
        )
        for scenario in subjects.scenarios
    ]


def _sentences(subjects: Subjects, scenario: str) -> list[str]:
    return [
        _accuracy_sentence(subjects, scenario),
        *_knowledge_sentence(subjects, scenario),
        _baseline_sentence(subjects, scenario),
        _basis_sentence(subjects, scenario),
    ]


def _knowledge_sentence(subjects: Subjects, scenario: str) -> list[str]:
    """Say of an attacker who does not know the defense that this is not robustness."""
    if subjects.is_adaptive(scenario) or subjects.judged is None:
        return []
    if ADAPTIVE not in subjects.scenarios:
        return [
            "This attacker does not know the defense, so these numbers are not robustness; "
            "rsparse evaluate --scenario adaptive attacks through it."
        ]
    knows = mean_share(subjects.evaluation, subjects.judged, subjects.columns(ADAPTIVE))
    return [
        "This attacker does not know the defense, so these numbers are not robustness: one who "
        f"does leaves {percent(knows.value)} % ({interval(knows)} %)."
    ]


def describe_scenario(subjects: Subjects, scenario: str) -> str:
    """The knowledge of the attacker in a scenario, in words."""
    model = subjects.judged_model(scenario)
    sources = sorted({column.source for column in subjects.columns(scenario) if column.source})
    if sources == [model] and subjects.is_adaptive(scenario):
        return f"the attacker knows {model} and the defense, and attacks through it"
    if sources == [model]:
        return f"the attacker knows {model} but not the defense"
    if not sources:
        return f"adversarial images made by another program, judged by {model}"
    return f"attacks made on {' and '.join(sources)}, judged by {model}"


def _accuracy_sentence(subjects: Subjects, scenario: str) -> str:
    columns, clean = subjects.columns(scenario), subjects.clean_of(scenario)
    evaluation, judged = subjects.evaluation, subjects.judged
    attacks = f"{len(columns)} {scenario} attack{'s' * (len(columns) != 1)}"
    where = f"{attacks} ({describe_scenario(subjects, scenario)})"

    def describe(defense: JudgedDefense, name: str) -> str:
        mean = mean_share(evaluation, defense, columns)
        text = f"Under {where}, {percent(mean.value)} % of the images are classified correctly "
        text += f"{name} on average ({interval(mean)} %)"
        if clean is not None:
            before = accuracy(evaluation, clean, defense)
            text += f", and {percent(before.value)} % before any attack"
        return text

    undefended = subjects.undefended
    if judged is None:
        return f"{describe(undefended, 'without a defense')}." if undefended else where
    text = describe(judged, f"behind {judged.text}{_listed_first(subjects)}")
    if undefended is not None:
        text += f"; without a defense, {percent(subjects.mean(undefended, scenario))} % are"
    return text + _gain_by_training(subjects, scenario, judged) + "."


def _gain_by_training(subjects: Subjects, scenario: str, judged: JudgedDefense) -> str:
    """Compare a trained model with the original one on the same images."""
    before = subjects.counterpart(scenario)
    if before is None:
        return ""
    after, without = (
        per_image(subjects.evaluation, judged, subjects.columns(s)) for s in (scenario, before)
    )
    gap = paired_difference(after, without)
    original = f"{subjects.judged_model(before)} under {before} attacks"
    text = f". That is {points(gap.value)} points compared with {original}"
    if np.isnan(gap.low):
        return text
    return f"{text} (95 % interval {points(gap.low)} to {points(gap.high)})"


def _listed_first(subjects: Subjects) -> str:
    """Say that the judged setting was not chosen by its result, if there are several settings."""
    n, judged = len(subjects.ablations), subjects.judged
    if n < 2 or judged is not subjects.ablations[0]:
        return ""
    return f" (the first of {n} RegionSparse settings in the plan)"


def _baseline_sentence(subjects: Subjects, scenario: str) -> str:
    judged = subjects.judged
    if judged is None:
        return "No defense was judged."
    found = with_best_baseline(subjects, scenario)
    if found is None:
        return "No baseline was judged, so there is nothing to compare it with."
    best, compared = found
    gap, choices = compared.gap, compared.choices
    text = (
        f"The best baseline by this mean, chosen after the fact, is {best.text} with "
        f"{percent(compared.other.value)} %; the difference is {points(gap.value)} points "
    )
    if np.isnan(gap.low):
        return text + "on a single image, which proves nothing."
    corrected = f", corrected for the best of {choices}," if choices > 1 else ""
    text += f"(95 % interval{corrected} {points(gap.low)} to {points(gap.high)}), "
    if compared.effect is Effect.UNDECIDED:
        return text + "which is not significant and may be due to chance."
    winner = judged if compared.effect is Effect.GAIN else best
    return text + f"significantly in favour of {winner.text}."


def _basis_sentence(subjects: Subjects, scenario: str) -> str:
    evaluation = subjects.evaluation
    n = len(evaluation.names)
    text = f"These numbers are from {n} image{'s' * (n != 1)}"
    if evaluation.only_correct:
        left_out = f"({evaluation.left_out} left out)"
        text += f", only those that the undefended model classifies correctly {left_out}"
    else:
        text += ", whether or not the undefended model classifies them correctly"
    text += _worst_case_text(subjects, scenario)
    return f"{text}; {outcomes_in_words(checks_of_judged(subjects, scenario))}."


def _worst_case_text(subjects: Subjects, scenario: str) -> str:
    judged, best = subjects.judged, subjects.best_baseline(scenario)
    if judged is None:
        return ""
    ours = worst_flags(subjects, judged, scenario)
    text = f"; {percent(share(ours).value)} % stay correct under every attack"
    if best is None:
        return text
    other = worst_flags(subjects, best, scenario)
    if len(ours) != len(other):
        return text
    p = mcnemar(ours, other)
    return f"{text}, {percent(share(other).value)} % behind {best.text} (McNemar's p {p_value(p)})"


def worst_flags(subjects: Subjects, defense: JudgedDefense, scenario: str) -> NDArray[np.bool_]:
    """Which images are correct under every attack in a scenario and without an attack, (n,).

    Clean images count only if they were judged. The result is empty, (0,), if the defense was not
    tried in the scenario.
    """
    columns = subjects.columns(scenario)
    if subjects.clean_of(scenario) is not None:
        return worst_case(subjects.evaluation, defense, columns)
    tried = tried_behind(subjects.evaluation, defense, columns)
    if not tried:
        return np.zeros(0, bool)
    return np.logical_and.reduce([subjects.evaluation.correct(c, defense) for c in tried])


def p_value(p: float) -> str:
    """A p-value with its relation: ``= 0.021``, ``< 0.001``."""
    return "< 0.001" if p < 0.001 else f"= {p:.2g}"
