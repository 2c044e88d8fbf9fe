"""The tables of a report by class: accuracy of each class, and the most frequent confusions."""

from __future__ import annotations

import numpy as np

from rsparse.evaluation.by_class import accuracy_by_class, confusion
from rsparse.evaluation.estimates import percent
from rsparse.evaluation.results import JudgedDefense
from rsparse.evaluation.statistics import tried_behind
from rsparse.report.subjects import Subjects
from rsparse.report.tables import Table, Value, class_name

MOST_CLASSES = 1000
MOST_CONFUSIONS = 50


def by_class(subjects: Subjects) -> Table:
    """Accuracy of each class, clean and on average under attack, without and with the defense."""
    columns = subjects.columns(subjects.main_scenario)
    defenses = _defenses(subjects)
    of_defense = [
        accuracy_by_class(subjects.evaluation, defense, columns[0].threat) for defense in defenses
    ]
    rows = []
    for classes in list(zip(*of_defense, strict=True))[:MOST_CLASSES]:
        name = class_name(subjects, classes[0].label)
        row = [Value(name, name), Value(str(classes[0].n), float(classes[0].n))]
        for each in classes:
            row += [_share(each.clean), _share(each.attacked)]
        rows.append(tuple(row))
    heads = [f"{d.text}, {what}" for d in defenses for what in ("clean", "under attack")]
    numeric = (False, True, *[True] * len(heads))
    return Table(("class", "images", *heads), tuple(rows), numeric)


def confusions(subjects: Subjects) -> Table:
    """The most frequent wrong predictions over all attacks of the main scenario, by defense."""
    evaluation, defenses = subjects.evaluation, _defenses(subjects)
    columns = subjects.columns(subjects.main_scenario)
    counts: dict[tuple[int, int], list[int]] = {}
    for place, defense in enumerate(defenses):
        for column in tried_behind(evaluation, defense, columns):
            trial = evaluation.trial_against(column, defense)
            assert trial is not None  # by tried_behind
            for label, prediction, n in zip(*confusion(evaluation.labels, trial), strict=True):
                if label != prediction:
                    key = int(label), int(prediction)
                    counts.setdefault(key, [0] * len(defenses))[place] += int(n)
    ordered = sorted(counts.items(), key=lambda item: (-item[1][-1], -sum(item[1]), item[0]))
    rows = []
    for (label, prediction), numbers in ordered[:MOST_CONFUSIONS]:
        names = class_name(subjects, label), class_name(subjects, prediction)
        cells = [Value(name, name) for name in names]
        rows.append((*cells, *(Value(str(n), float(n)) for n in numbers)))
    header = ("class", "classified as", *(defense.text for defense in defenses))
    return Table(header, tuple(rows), (False, False, *[True] * len(defenses)))


def _defenses(subjects: Subjects) -> list[JudgedDefense]:
    """No defense and the judged one; only those that were tried in the main scenario."""
    columns = subjects.columns(subjects.main_scenario)
    candidates = (subjects.undefended, subjects.judged)
    return [d for d in candidates if d and tried_behind(subjects.evaluation, d, columns)]


def _share(value: float) -> Value:
    return Value(percent(value, 0), float("nan") if np.isnan(value) else value)
