"""Make what a plan's matrix lacks, and the evaluation from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from rsparse.commands.attack.attack import attack_chosen
from rsparse.commands.evaluate.assembly import Doubled, Findings, record_of_evaluation
from rsparse.commands.evaluate.attacked import AttackedFolders
from rsparse.commands.evaluate.judge import (
    Folder,
    JudgedTrial,
    changed_method_of,
    judge_images,
    read_trial,
)
from rsparse.commands.evaluate.layout import Matrix, PlannedColumn
from rsparse.commands.evaluate.select import select_images
from rsparse.defenses import Defense, defense_text
from rsparse.evaluation import statistics
from rsparse.evaluation.checks import all_checks
from rsparse.evaluation.files import (
    load_timing,
    save_evaluation,
    save_timing,
    with_timing,
)
from rsparse.evaluation.model_choice import ModelChoice
from rsparse.evaluation.plan import Threat
from rsparse.evaluation.results import CLEAN, Evaluation
from rsparse.options.attack import AttackRunParameters
from rsparse.store.folders import MANIFEST, sole_writer
from rsparse.store.journal import Entry, remove_journal_beside
from rsparse.store.predictions import Prediction
from rsparse.work.progress import SILENT, Progress
from rsparse.work.runs import Outcome
from rsparse.work.workers import LocalWorkers, Workers


@dataclass
class EvaluateOutcome(Outcome):
    """Also holds what was found. ``done`` and ``resumed`` count trials.

    ``judged_again`` counts those of ``done`` that another method had made, by that method.
    """

    evaluation: Evaluation | None = None
    judged_again: dict[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """For scripts: also the lines of ``results.csv``, worst cases and checks."""
        content = super().as_json()
        found = self.evaluation
        if found is None:
            return content
        return {
            **content,
            "images": len(found.names),
            "left_out": found.left_out,
            "only_correct": found.only_correct,
            "results": statistics.rows(found),
            "defenses": statistics.defense_rows(found),
            "checks": [vars(check) for check in found.checks],
            "judged_again": self.judged_again,
        }


@dataclass
class Counts:
    """What a run has made so far."""

    trials: int = 0
    resumed: int = 0
    failed: list[Entry] = field(default_factory=list)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    judged_again: Counter[str] = field(default_factory=Counter)


def run_matrix(
    matrix: Matrix,
    *,
    workers: Workers = LocalWorkers(),
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> EvaluateOutcome:
    """Make what is missing of a matrix, and the evaluation from it.

    Raises
    ------
    InputError
        If an input cannot be used, no image is left to judge, what lies in the output was made
        from something else, or another run is writing there.
    """
    with sole_writer(matrix.plan.output):
        return _Run(matrix, workers, overwrite, progress).run()


class _Run:
    """One run over a matrix: how it works, and what it has found."""

    def __init__(
        self, matrix: Matrix, workers: Workers, overwrite: bool, progress: Progress
    ) -> None:
        self.matrix, self.plan = matrix, matrix.plan
        self.workers, self.overwrite, self.progress = workers, overwrite, progress
        self.done = Counts()
        self.timing = load_timing(self.plan.output)
        values = self.plan.parameters
        self.selection = select_images(
            self.plan.images,
            matrix.classifier,
            self.plan.output / CLEAN,
            labels=self.plan.labels,
            only_correct=values.only_correct,
            limit=values.max_images,
            workers=workers,
            overwrite=overwrite,
            progress=progress,
        )
        self.done.failed += self.selection.failed
        self.found = Findings(matrix, self.selection)
        self.folders = AttackedFolders(matrix, self.selection)

    def run(self) -> EvaluateOutcome:
        """Attack, judge, check, save."""
        planned, threats = self.matrix.columns, self.plan.threats
        probes = {threat: self.matrix.probes(threat) for threat in threats}
        known = [*planned, *(column for threat in threats for column in probes[threat])]
        self._make(known)
        doubled = {threat: self._doubled(threat) for threat in threats}
        more = [column for found in doubled.values() if found for column in found.twice]
        self._make(more)
        whole = self.found.evaluation(dict.fromkeys([*known, *more]))
        evidence = [
            self.found.evidence(t, [c for c in planned if c.threat == t], probes[t], doubled[t])
            for t in threats
        ]
        checks = all_checks(whole, evidence)
        return self._save(replace(self.found.evaluation(planned), checks=checks))

    def _make(self, columns: Sequence[PlannedColumn]) -> None:
        """Attack and judge what is missing of some columns, once in a run."""
        columns = [c for c in dict.fromkeys(columns) if c not in self.found.entries]
        alike: dict[tuple[ModelChoice, str], list[PlannedColumn]] = {}
        for column in columns:
            if column.threat is not None:
                key = column.threat.attacked, column.through_text
                alike.setdefault(key, []).append(column)
        for (model, _), together in alike.items():
            self._attack(model, together)
        for column in columns:
            if column.attack is None:
                self.found.entries[column] = {
                    entry["name"]: entry for entry in self.selection.entries
                }
        for folder in dict.fromkeys(map(self.matrix.folder_of, columns)):
            self._judge([c for c in columns if self.matrix.folder_of(c) == folder])

    def _attack(self, model: ModelChoice, columns: Sequence[PlannedColumn]) -> None:
        """Make what is missing of attacks on a model through one defense; read all entries."""
        missing = {
            c.attack: c
            for c in columns
            if c.attack is not None
            and (self.overwrite or not (self.matrix.folder_of(c) / MANIFEST).exists())
        }
        if missing:
            values = self.plan.parameters
            attack_chosen(
                self.plan.images,
                model.path,
                list(missing),
                self.matrix.folder_of(columns[0]).parent,
                AttackRunParameters(
                    batch_size=values.batch_size, seed=values.seed, device=values.device
                ),
                model.input_options,
                self.selection.labels,
                through=self.matrix.attacked_defense(columns[0]),
                workers=self.workers,
                overwrite=self.overwrite,
                progress=self.progress,
            )
        entries: dict[Path, dict[str, Entry]] = {}
        for column in columns:
            folder = self.matrix.folder_of(column)
            if folder not in entries:
                manifest = self.folders.manifest(column)
                entries[folder] = {entry["name"]: entry for entry in manifest["images"]}
                self.done.failed += manifest["failed"]
            self.found.entries[column] = entries[folder]

    def _judge(self, columns: Sequence[PlannedColumn]) -> None:
        """Make the trials that are missing of columns that show the same images, and read all."""
        labels = self.selection.labels
        entries = self.found.entries[columns[0]].values()
        folder = Folder(
            self.matrix.folder_of(columns[0]), [{**e, "label": labels[e["name"]]} for e in entries]
        )
        for defense in self.plan.defenses:
            trials = {
                column: self.matrix.trial(folder, column, defense)
                for column in columns
                if defense in self.matrix.defenses_of(column)
            }
            missing: dict[Path, JudgedTrial] = {}
            for column, trial in trials.items():
                rows = None if self.overwrite else read_trial(trial, folder)
                if rows is None:
                    missing[trial.path] = trial
                    method = None if self.overwrite else changed_method_of(trial)
                    self.done.judged_again += Counter([method] if method else [])
                else:
                    remove_journal_beside(trial.path)
                    self.done.resumed += 1
                    self.found.trials[column, defense] = rows
            if missing:
                made = self._make_trials(folder, defense, list(missing.values()), columns[0])
                for column, trial in trials.items():
                    if trial.path in made:
                        self.found.trials[column, defense] = made[trial.path]

    def _make_trials(
        self, folder: Folder, defense: Defense, trials: Sequence[JudgedTrial], column: PlannedColumn
    ) -> dict[Path, list[Prediction]]:
        text = defense_text(defense)
        task = f"{column.place.name} behind {text}"
        outcome, made = judge_images(
            folder,
            self.matrix.judging,
            defense,
            trials,
            task=task,
            workers=self.workers,
            progress=self.progress,
        )
        self.done.trials += len(trials)
        self.done.failed += [_named(entry, task) for entry in outcome.failed]
        self.done.seconds.setdefault(text, []).append(outcome.seconds)
        self.timing[text] = float(np.mean(self.done.seconds[text]))
        save_timing(self.plan.output, self.timing)  # now, since the run may be interrupted
        return made

    def _doubled(self, threat: Threat) -> Doubled | None:
        """The attack in steps that leaves least right over all defenses, and that of twice them."""
        if not self.plan.parameters.extra_checks:
            return None
        columns_of = self.matrix.columns_of
        doubled = [
            Doubled(columns_of(threat, attack), columns_of(threat, twice))
            for twice, attack in self.matrix.doubled_attacks().items()
        ]
        return min(doubled, key=lambda each: self.found.n_right(each.planned), default=None)

    def _save(self, evaluation: Evaluation) -> EvaluateOutcome:
        output = self.plan.output
        record = record_of_evaluation(self.matrix, self.selection)
        evaluation = replace(with_timing(evaluation, self.timing), record=record.as_json())
        save_evaluation(output, record, evaluation)
        done = self.done
        return EvaluateOutcome(
            output, done.trials, done.resumed, done.failed, evaluation, dict(done.judged_again)
        )


def _named(entry: Entry, task: str) -> Entry:
    """A failed image with what failed, since it may go well elsewhere."""
    return {**entry, "error": f"{task}: {entry['error']}"}
