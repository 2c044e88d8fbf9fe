"""The record of an evaluation."""

from __future__ import annotations

from typing import Any

from rsparse.commands.evaluate.layout import Matrix
from rsparse.commands.evaluate.select import Selection
from rsparse.evaluation.results import CLEAN
from rsparse.evaluation.scenarios import Scenario
from rsparse.store.files import sha256_of
from rsparse.store.job import Job
from rsparse.store.records import EVALUATION, Record, Source


def record_of_evaluation(matrix: Matrix, selection: Selection) -> Record:
    """The record of an evaluation; its attacks and trials have records of their own."""
    plan, values = matrix.plan, matrix.plan.parameters.as_record()
    for of_detector in ("false_alarms", "tolerance"):
        del values[of_detector]
    seed = values.pop("seed")
    parameters = {
        **values,
        "input": matrix.classifier.input_record(),
        "labels": selection.label_origin,
        "attacks": [attack.as_record() for attack in plan.attacks],
        "defenses": [defense.as_record() for defense in plan.defenses],
        "scenarios": [_scenario_record(matrix, scenario) for scenario in plan.scenarios],
        **({} if matrix.watch is None else {"detector": matrix.watch.record()}),
    }
    entries = "".join(f"{e['name']} {e['sha256']}\n" for e in selection.entries)
    models = {model.sha256: model for model in matrix.models.values()}
    sources = [
        Source(CLEAN, sha256_of(entries.encode()), selection.record),
        matrix.classifier.source(),
        *(model.source() for model in models.values() if model is not matrix.classifier),
        *matrix.judging.dictionaries.values(),
        *([] if matrix.watch is None else [matrix.watch.source]),
    ]
    return Job("evaluate", EVALUATION, parameters, seed).record(sources)


def _scenario_record(matrix: Matrix, scenario: Scenario) -> dict[str, Any]:
    """A scenario's parameters, with the input of its other model."""
    if scenario.other is None:
        return scenario.as_record()
    model = matrix.models[scenario.other.name]
    return {**scenario.as_record(), "input": model.input_record()}
