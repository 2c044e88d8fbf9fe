"""The tables of one part of docs/results/, from the evaluation of its plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rsparse.evaluation.results import Evaluation
from rsparse.report.subjects import Subjects, find_subjects
from studies import comparisons, tables
from studies.plans import ABLATIONS, OURS, PLAIN, text_of
from studies.recipes import BEFORE, SETTINGS, TRAININGS
from studies.tables import Row
from studies.trainings import BASES, Figures

AGAINST_BASELINES = ("mobilenet-v2", "chains")  # the parts that compare with each column's best


def tables_of(
    name: str, evaluation: Evaluation, machine: str, figures: Mapping[str, Figures]
) -> Mapping[str, list[Row]]:
    """All tables of a part, by the name of their file.

    Parameters
    ----------
    name : str
        Name of the plan.
    evaluation : Evaluation
    machine : str
        Description of the computer.
    figures : mapping of str to Figures
        Figures of the trainings of its base, by name; empty for other parts.
    """
    judged = text_of(BEFORE[BASES[name]] if name in BASES else OURS)
    subjects = find_subjects(evaluation, judged)
    found: dict[str, list[Row]] = {
        "accuracy": list(tables.accuracy(subjects)),
        "defenses": list(tables.defenses(subjects)),
        "failed-checks": list(tables.failed_checks(evaluation)),
    }
    facts: dict[str, str] = {}
    if name in AGAINST_BASELINES:
        found["best-baselines"] = rows = list(comparisons.best_baselines(subjects))
        found["gains"] = list(comparisons.gain_over_baseline(subjects))
        facts |= comparisons.columns_behind(rows)
    if name == "mobilenet-v2":
        named = {what: text_of(spec) for what, spec in ABLATIONS.items()}
        found["ablations"] = list(comparisons.ablations(evaluation, named))
    elif name == "inception-v3":
        plain = next(d for d in evaluation.defenses if d.text == text_of(PLAIN))
        found["beside-paper"] = rows = list(comparisons.beside_paper(subjects, plain))
        facts |= comparisons.paper_facts(evaluation, rows)
    elif name == "transfer":
        found["means"] = list(tables.means(evaluation))
    elif name in BASES:
        found |= _retrained(subjects, BASES[name], figures)
        facts |= comparisons.cw_found(subjects)
    found["about"] = tables.about(evaluation, machine, facts)
    return found


def _retrained(
    subjects: Subjects, base: str, figures: Mapping[str, Figures]
) -> Mapping[str, list[Row]]:
    settings = list(dict.fromkeys(map(text_of, (BEFORE[base], *SETTINGS, OURS))))
    found = {
        "gains": list(comparisons.retraining_gains(subjects, settings, text_of(OURS))),
        "training": list(training(base, figures)),
    }
    if order := list(comparisons.order(subjects.evaluation, settings)):
        found["order"] = order
        found["table-two-means"] = list(comparisons.table_two_means(subjects))
    return found


def training(base: str, figures: Mapping[str, Figures]) -> Iterator[Row]:
    """The images, the time and the device of each training."""
    for name, took in figures.items():
        is_adversarial = TRAININGS[base][name].parameters.is_adversarial
        yield {
            "model": name,
            "shown": "purified, adversarial" if is_adversarial else "purified",
            "photographs": str(took.images),
            "epochs": str(took.epochs),
            "kept_epoch": str(took.kept),
            "cpu_seconds_an_epoch": f"{took.cpu_seconds_an_epoch:.0f}",
            "wall_seconds_an_epoch": f"{took.wall_seconds_an_epoch:.0f}",
            "device": took.device,
        }
