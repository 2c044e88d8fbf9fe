"""The verdict in three lines, what was asked, what holds and what does not; and the key numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rsparse.core.metrics import Estimate
from rsparse.evaluation.checks import failures
from rsparse.evaluation.estimates import interval, mean_share, number, percent
from rsparse.evaluation.names import ADAPTIVE, GRAY_BOX
from rsparse.evaluation.results import Column, JudgedDefense
from rsparse.report.checklist import checks_of_judged
from rsparse.report.comparison import Compared, Effect, compare, with_best_baseline
from rsparse.report.subjects import Subjects

_CHANCE = "which may be due to chance"
_NOT_MEASURED = (
    "An attacker who knows the defense was not measured, only {}: these numbers are not "
    "robustness. rsparse evaluate --scenario adaptive measures it."
)


@dataclass(frozen=True)
class Line:
    """One line of the verdict: its head, a key for its style, and its sentences."""

    key: str
    head: str
    sentences: tuple[str, ...]

    @property
    def text(self) -> str:
        """The line as plain text."""
        return f"{self.head}: {' '.join(self.sentences)}"


@dataclass(frozen=True)
class KeyNumber:
    """One number at the head of the page.

    ``value`` is in per cent, or a dash if it was not measured. ``change`` is the difference to no
    defense in words, and ``effect`` what it shows: ``gain``, ``harm``, ``undecided`` or nothing.
    """

    label: str
    value: str
    note: str
    change: str = ""
    effect: str = ""


@dataclass(frozen=True)
class _Finding:
    """A sentence, and whether what it is about holds."""

    holds: bool
    sentence: str


def headline(subjects: Subjects) -> tuple[Line, Line, Line]:
    """The three lines of the verdict."""
    found = list(_findings(subjects))
    holds = tuple(each.sentence for each in found if each.holds)
    fails = tuple(each.sentence for each in found if not each.holds)
    return (
        Line("asked", "Asked", tuple(_asked(subjects))),
        Line("holds", "Holds", holds or ("Nothing that was asked.",)),
        Line("fails", "Does not hold", fails or ("Nothing that was measured here.",)),
    )


def _asked(subjects: Subjects) -> Iterator[str]:
    model, n = subjects.evaluation.model, len(subjects.evaluation.names)
    scenarios = [scenario for scenario, _ in _attackers(subjects)]
    attacks = _attacks_in_words([c for s in reversed(scenarios) for c in subjects.columns(s)])
    if subjects.judged is None:
        yield f"How many images does {model} classify correctly under {attacks}, undefended?"
    else:
        yield f"Does {subjects.judged.text} protect {model} against {attacks}?"
    images = f"{n} image{'s' * (n != 1)}"
    right = " that it classifies correctly undefended" * subjects.evaluation.only_correct
    yield f"{images}{right}; {_joined(list(subjects.scenarios))}; all intervals are 95 %."


def _attacks_in_words(columns: list[Column]) -> str:
    """The attacks with the range of their strengths: ``fgsm and bim (eps 2–8)``."""
    ranges: dict[str, set[float]] = {}
    names: dict[str, list[str]] = {}
    for column in columns:
        names.setdefault(column.strength_name, [])
        if column.family not in names[column.strength_name]:
            names[column.strength_name].append(column.family)
        if column.strength is not None:
            ranges.setdefault(column.strength_name, set()).add(column.strength)
    texts = []
    for strength, families in names.items():
        text = _joined(families)
        values = sorted(ranges.get(strength, ()))
        if values:
            ends = dict.fromkeys(number(value) for value in (values[0], values[-1]))
            text += f" ({strength} {'–'.join(ends)})"
        texts.append(text)
    return _joined(texts)


def _joined(words: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def _findings(subjects: Subjects) -> Iterator[_Finding]:
    yield from _failed_checks(subjects)
    if subjects.judged is None:
        yield from _undefended(subjects)
        return
    for scenario, where in _attackers(subjects):
        yield _under_attack(subjects, subjects.judged, scenario, where)
    if not _knows_the_defense(subjects):
        scenario = GRAY_BOX if GRAY_BOX in subjects.scenarios else subjects.main_scenario
        yield _Finding(False, _NOT_MEASURED.format(scenario))
    yield from _on_clean_images(subjects, subjects.judged)
    yield from _against_the_best(subjects)


def _failed_checks(subjects: Subjects) -> Iterator[_Finding]:
    names = dict.fromkeys(check.name for check in failures(checks_of_judged(subjects)))
    if names:
        n = sum(1 for _ in failures(checks_of_judged(subjects)))
        plural = "s" * (n != 1)
        text = f"{n} check{plural} of the evaluation failed, so read all numbers with care: "
        yield _Finding(False, f"{text}{'; '.join(names)}.")


def _undefended(subjects: Subjects) -> Iterator[_Finding]:
    defense, scenario = subjects.undefended, subjects.main_scenario
    yield _Finding(False, "No defense was judged.")
    if defense is not None:
        mean = mean_share(subjects.evaluation, defense, subjects.columns(scenario))
        yield _Finding(False, f"Undefended, {_share(mean)} are right under attack.")


def _knows_the_defense(subjects: Subjects) -> bool:
    """Whether the judged defense was attacked by someone who knows it."""
    if ADAPTIVE not in subjects.scenarios or subjects.judged is None:
        return False
    mean = mean_share(subjects.evaluation, subjects.judged, subjects.columns(ADAPTIVE))
    return not np.isnan(mean.value)


def _attackers(subjects: Subjects) -> Iterator[tuple[str, str]]:
    """The scenarios of the key numbers, and the attacker of each in words."""
    if _knows_the_defense(subjects):
        yield ADAPTIVE, "an attacker who knows the defense"
    if GRAY_BOX in subjects.scenarios:
        yield GRAY_BOX, "an attacker who does not know the defense"
    if not {ADAPTIVE, GRAY_BOX} & set(subjects.scenarios):
        yield subjects.main_scenario, f"{subjects.main_scenario} attacks"


def _with_undefended(
    subjects: Subjects, defense: JudgedDefense, columns: list[Column]
) -> Compared | None:
    if subjects.undefended is None or subjects.undefended is defense:
        return None
    return compare(subjects, defense, subjects.undefended, columns)


def _under_attack(
    subjects: Subjects, judged: JudgedDefense, scenario: str, attacker: str
) -> _Finding:
    columns = subjects.columns(scenario)
    mean = mean_share(subjects.evaluation, judged, columns)
    compared = _with_undefended(subjects, judged, columns)
    start = f"Against {attacker}, {_share(mean)} are right"
    if compared is None:
        return _Finding(False, f"{start}; no defense was not judged, so no gain is shown.")
    without = f"undefended {percent(compared.other.value)} %"
    if compared.effect is Effect.GAIN:
        return _Finding(True, f"{start}, {without}: {compared.text}.")
    if compared.effect is Effect.HARM:
        return _Finding(False, f"{start}, {without}: it does harm, {compared.text}.")
    return _Finding(False, f"{start}, {without}: no gain is shown, {_undecided(compared)}.")


def _on_clean_images(subjects: Subjects, judged: JudgedDefense) -> Iterator[_Finding]:
    if subjects.clean is None:
        yield _Finding(False, "What it costs on clean images was not measured.")
        return
    compared = _with_undefended(subjects, judged, [subjects.clean])
    if compared is None:
        return
    start = f"On clean images {_share(compared.share)} are right"
    without = f"undefended {percent(compared.other.value)} %"
    if compared.gap.value >= 0:
        yield _Finding(True, f"{start}, {without}: {_exchanged(subjects, judged)}.")
    elif compared.effect is Effect.HARM:
        yield _Finding(False, f"{start}, {without}: it does harm, {compared.text}.")
    else:
        yield _Finding(False, f"{start}, {without}: a loss of {_undecided(compared)}.")


def _exchanged(subjects: Subjects, judged: JudgedDefense) -> str:
    """What a defense that costs no accuracy on clean images changes about single ones."""
    assert subjects.clean is not None
    assert subjects.undefended is not None
    ours, without = (
        subjects.evaluation.correct(subjects.clean, defense)
        for defense in (judged, subjects.undefended)
    )
    lost, won = int((without & ~ours).sum()), int((ours & ~without).sum())
    if lost == 0:
        return "it costs none of these images"
    return f"it costs {lost} of these images, and {won} that were wrong become right"


def _against_the_best(subjects: Subjects) -> Iterator[_Finding]:
    """The comparison with the best baseline, under the attacks of the main scenario."""
    found = with_best_baseline(subjects, subjects.main_scenario)
    if found is None:
        return
    best, compared = found
    if np.isnan(compared.gap.value):
        return
    other = f"{best.text} with {percent(compared.other.value)} %"
    if compared.effect is Effect.GAIN:
        yield _Finding(True, f"It beats the best baseline, {other}: {compared.text}.")
    elif compared.effect is Effect.HARM:
        yield _Finding(False, f"It is worse than the best baseline, {other}: {compared.text}.")
    else:
        start = f"It is not shown to beat the best baseline, {other}"
        yield _Finding(False, f"{start}: {_undecided(compared)}.")


def _share(estimate: Estimate) -> str:
    return f"{percent(estimate.value)} % ({interval(estimate)} %)"


def _undecided(compared: Compared) -> str:
    if np.isnan(compared.gap.low):
        return f"{compared.text} on a single image, which proves nothing"
    if compared.gap.numbers == (0, 0, 0):
        return compared.text
    return f"{compared.text}, {_CHANCE}"


def key_numbers(subjects: Subjects) -> list[KeyNumber]:
    """Mean accuracy under attack and on clean images, each with its difference to no defense.

    An attacker who knows the defense comes first, also if there was none to measure.
    """
    judged = subjects.judged or subjects.undefended
    if judged is None:
        return []
    numbers = []
    if subjects.judged is not None and not _knows_the_defense(subjects):
        numbers.append(_not_measured(subjects))
    labels = {ADAPTIVE: "attacker knows the defense", GRAY_BOX: "attacker does not know it"}
    for scenario, _ in _attackers(subjects):
        label = labels.get(scenario, f"under {scenario} attacks")
        numbers.append(_key_number(subjects, label, judged, subjects.columns(scenario)))
    if subjects.clean is not None:
        numbers.append(_key_number(subjects, "clean images", judged, [subjects.clean]))
    best = subjects.best_baseline(subjects.main_scenario)
    if best is not None and subjects.judged is not None:
        columns = subjects.columns(subjects.main_scenario)
        label = f"best baseline, {subjects.main_scenario}"
        numbers.append(_key_number(subjects, label, best, columns))
    return numbers


def _not_measured(subjects: Subjects) -> KeyNumber:
    note = f"measured: {_joined(list(subjects.scenarios))} only"
    return KeyNumber("attacker knows the defense", "–", note, "not measured", "undecided")


def _key_number(
    subjects: Subjects, label: str, defense: JudgedDefense, columns: list[Column]
) -> KeyNumber:
    mean = mean_share(subjects.evaluation, defense, columns)
    compared = _with_undefended(subjects, defense, columns)
    note = f"{defense.text}, {interval(mean)} %"
    if compared is None:
        return KeyNumber(label, percent(mean.value), note)
    note += f"; undefended {percent(compared.other.value)} %"
    return KeyNumber(label, percent(mean.value), note, compared.text, compared.effect.value)
