"""Checks of the models: which one is attacked, and whether all steps classify in the same way."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rsparse.evaluation.checks.attacks import NO_RUNS, attack_of
from rsparse.evaluation.checks.evidence import Evidence
from rsparse.evaluation.checks.outcomes import FAIL, NOT_RUN, PASS, Finding, rare
from rsparse.evaluation.results import CLEAN, Check, JudgedDefense
from rsparse.evaluation.results import Evaluation as Results
from rsparse.evaluation.scenarios import SCENARIOS


def model_checks(results: Results, evidence: Evidence) -> Iterator[Check]:
    """The checks of one scenario's models."""
    yield Check("threat model", evidence.scenario, "", *_threat(evidence))
    yield Check(
        "the attacked model answers alike", evidence.scenario, "", *_same(results, evidence)
    )


def unchanged_images(results: Results, evidence: Evidence, defense: JudgedDefense) -> Check:
    """Check that an image that the attack did not change is classified like the benign one."""
    name = "unchanged images keep their class"
    clean = {c.judged: c for c in results.columns if c.family == CLEAN}
    compared = other = 0
    for column in evidence.attacks:
        benign = results.trial(clean[column.judged], defense)
        attacked = results.trial_against(column, defense)
        if benign is None or attacked is None:
            continue
        same = results.column_against(column, defense).linf == 0
        compared += int(np.count_nonzero(same))
        other += int(np.count_nonzero(same & (benign.prediction != attacked.prediction)))
    what = "that no attack changed are in another class than without the attack"
    found = rare(other, compared, what, f"{compared} unchanged images are in the same class")
    if found.outcome == NOT_RUN:
        found = Finding(NOT_RUN, "the attacks changed every image")
    return Check(name, evidence.scenario, defense.text, *found)


def _threat(evidence: Evidence) -> Finding:
    """A scenario with two models has two different ones."""
    first = evidence.columns[0]
    if evidence.is_given:
        return Finding(PASS, f"adversarial images of another program, judged by {first.judged}")
    knows = SCENARIOS[first.scenario].knows
    aimed = sum(column.target is not None for column in evidence.attacks)
    detail = f"{knows}; {len(evidence.attacks) - aimed} untargeted "
    detail += f"and {aimed} targeted " * (aimed > 0) + f"attacks on {first.source}"
    detail += ", made through each defense" * evidence.is_adaptive
    detail += f", judged by {first.judged}" * (not evidence.is_white_box)
    if evidence.is_same_model:
        return Finding(FAIL, f"{evidence.other} is a copy of the model that is evaluated; {detail}")
    return Finding(PASS, detail)


def _same(results: Results, evidence: Evidence) -> Finding:
    """The attack and the evaluation classify the same files in the same way."""
    if not (evidence.is_white_box or evidence.is_given):
        return Finding(NOT_RUN, "the attacked model is not the one that is judged")
    undefended = next(d for d in results.defenses if d.kind == "none")
    compared = other = 0
    worst = ""
    for column in evidence.columns:
        run, trial = evidence.runs.get(column.key), results.trial(column, undefended)
        if run is None or trial is None:
            continue
        known = run.after >= 0
        differ = int(np.count_nonzero(known & (run.after != trial.prediction)))
        if differ and not worst:
            worst = f" (first: {attack_of(column)})"
        compared += int(np.count_nonzero(known))
        other += differ
    what = f"are in another class than when they were attacked{worst}"
    found = rare(other, compared, what, "the attacks and the evaluation give equal classes")
    return Finding(NOT_RUN, NO_RUNS) if not compared else found
