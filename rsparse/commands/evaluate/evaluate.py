"""Make the missing attacks and trials of a plan, and the evaluation from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from rsparse.commands.attack.attack import attack_chosen
from rsparse.commands.attack.campaign import KeptResults
from rsparse.commands.evaluate.assembly import Findings
from rsparse.commands.evaluate.attacked import AttackedFolders
from rsparse.commands.evaluate.columns import PlannedColumn
from rsparse.commands.evaluate.defense_evidence import DefenseProbe
from rsparse.commands.evaluate.given import given_by_name, take_in
from rsparse.commands.evaluate.image_evidence import image_evidence
from rsparse.commands.evaluate.judge import (
    Folder,
    JudgedTrial,
    changed_method_of,
    judge_images,
    read_trial,
)
from rsparse.commands.evaluate.layout import Matrix
from rsparse.commands.evaluate.outcome import EvaluateOutcome, RunCounts
from rsparse.commands.evaluate.photographs import save_photographs
from rsparse.commands.evaluate.record import record_of_evaluation
from rsparse.commands.evaluate.select import select_images
from rsparse.defenses import Defense, defense_text
from rsparse.errors import InputError
from rsparse.evaluation.checks import DefenseEvidence, all_checks
from rsparse.evaluation.files import EVALUATION_FILE, remove_evaluation, save_evaluation
from rsparse.evaluation.model_choice import ModelChoice
from rsparse.evaluation.results import CLEAN, Evaluation
from rsparse.evaluation.timing import load_timing, save_timing, with_timing
from rsparse.options.attack import AttackRunParameters
from rsparse.store.folders import is_finished
from rsparse.store.images import ImageFile
from rsparse.store.journal import Entry, remove_journal_beside
from rsparse.store.predictions import Prediction
from rsparse.store.sole_writer import sole_writer
from rsparse.work.progress import SILENT, Progress, tell
from rsparse.work.steps import failure
from rsparse.work.workers import LocalWorkers, Workers


def run_matrix(
    matrix: Matrix,
    *,
    workers: Workers = LocalWorkers(),
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> EvaluateOutcome:
    """Make the missing attacks and trials of a matrix, and the evaluation from them.

    Raises
    ------
    InputError
        If an input cannot be used, no image is left to judge, the output contains artifacts with
        other inputs, or another run is writing to it.
    """
    output = matrix.plan.output
    with sole_writer(output):
        if overwrite or not (output / EVALUATION_FILE).exists():
            remove_evaluation(output)
        for column in matrix.columns:
            KeptResults.remove_leftovers(matrix.folder_of(column).parent)
        return _MatrixRun(matrix, workers, overwrite, progress).run()


class _MatrixRun:
    """One run over a matrix, with its findings so far."""

    def __init__(
        self, matrix: Matrix, workers: Workers, overwrite: bool, progress: Progress
    ) -> None:
        self.matrix, self.plan = matrix, matrix.plan
        self.workers, self.overwrite, self.progress = workers, overwrite, progress
        for classifier in matrix.models.values():
            classifier.tell(progress)
        self.done = RunCounts()
        self.timing = load_timing(self.plan.output)
        values = self.plan.parameters
        self.given, among = given_by_name(self.plan, progress)
        self.selection = select_images(
            self.plan.images,
            matrix.classifier,
            self.plan.output / CLEAN,
            matrix.labels,
            only_correct=values.only_correct,
            limit=values.max_images,
            among=among,
            workers=workers,
            overwrite=overwrite,
            progress=progress,
        )
        self.done.failed += self.selection.failed
        self.findings = Findings(matrix, self.selection)
        self.folders = AttackedFolders(matrix, self.selection)

    def run(self) -> EvaluateOutcome:
        """Attack, judge, check, save."""
        planned, threats = self.matrix.columns, self.plan.threats
        probes = {threat: self.matrix.probes(threat) for threat in threats}
        first = [*planned, *(column for threat in threats for column in probes[threat].columns)]
        self._refuse_others(first)
        self._make(first)
        doubled = {threat: self.findings.doubled_steps(threat) for threat in threats}
        second = [column for steps in doubled.values() if steps for column in steps.doubled]
        self._make(second)
        self._examine(planned)
        whole = self.findings.evaluation(dict.fromkeys([*first, *second]))
        evidence = self.findings.all_evidence(planned, probes, doubled)
        images = image_evidence(self.matrix, self.selection)
        checks = all_checks(whole, evidence, images, self._defense_evidence(planned))
        return self._save(replace(self.findings.evaluation(planned), checks=checks))

    def _refuse_others(self, columns: Sequence[PlannedColumn]) -> None:
        """Refuse attacks of another evaluation in the output before the first one is made."""
        for column in columns if not self.overwrite else ():
            if column.attack is not None and is_finished(self.matrix.folder_of(column)):
                self.folders.manifest(column)

    def _defense_evidence(self, planned: Sequence[PlannedColumn]) -> dict[str, DefenseEvidence]:
        """The evidence on the defenses, if extra checks are wanted."""
        if not self.plan.parameters.extra_checks:
            return {}
        probe = DefenseProbe(self.matrix, self.findings, self.workers, self.progress)
        return probe.evidence(planned)

    def _make(self, columns: Sequence[PlannedColumn]) -> None:
        """Make the missing attacks and trials of columns; each column is made once per run."""
        columns = [c for c in dict.fromkeys(columns) if c not in self.findings.entries]
        groups: dict[tuple[ModelChoice, str], list[PlannedColumn]] = {}
        for column in columns:
            if column.threat is not None:
                key = column.threat.attacked, column.through_text
                groups.setdefault(key, []).append(column)
        for (model, _), group in groups.items():
            self._attack(model, group)
        for column in columns:
            if column.given:
                self._take_in(column)
            elif column.attack is None:
                self.findings.entries[column] = {
                    entry["name"]: entry for entry in self.selection.entries
                }
        for folder in dict.fromkeys(map(self.matrix.folder_of, columns)):
            self._judge([c for c in columns if self.matrix.folder_of(c) == folder])

    def _attack(self, model: ModelChoice, columns: Sequence[PlannedColumn]) -> None:
        """Make the missing attacks on a model through one defense, and read all entries."""
        missing = {
            c.attack: c
            for c in columns
            if c.attack is not None
            and (self.overwrite or not is_finished(self.matrix.folder_of(c)))
        }
        if missing:
            values = self.plan.parameters
            attack_chosen(
                self.plan.images,
                model.path,
                list(missing),
                self.matrix.folder_of(columns[0]).parent,
                AttackRunParameters(
                    only_correct=False,
                    batch_size=values.batch_size,
                    seed=values.seed,
                    device=values.device,
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
                self.done.failed += _with_paths(manifest["failed"], self.selection.images)
            self.findings.entries[column] = entries[folder]

    def _take_in(self, column: PlannedColumn) -> None:
        """Measure the adversarial images that another program made, and read their entries."""
        manifest = take_in(
            self.given[column.given],
            {image.name: image for image in self.selection.images},
            self.matrix.classifier,
            self.selection,
            self.matrix.folder_of(column),
            workers=self.workers,
            overwrite=self.overwrite,
            progress=self.progress,
        )
        self.findings.entries[column] = {entry["name"]: entry for entry in manifest["images"]}
        given = self.given[column.given]
        self.done.failed += [*given.failed, *_with_paths(manifest["failed"], given.images)]

    def _examine(self, columns: Sequence[PlannedColumn]) -> None:
        """Find the images of columns that the detector rejects, if there is one."""
        watch, found = self.matrix.watch, self.findings
        if watch is None:
            return
        for column in columns:
            folder = found.folder(column)
            known = None if self.overwrite else watch.rejected(folder, column.place)
            if known is None:
                known, outcome = watch.examine(
                    folder, column.place, workers=self.workers, progress=self.progress
                )
                task = f"{column.place.name} before the detector"
                self.done.failed += [_named(entry, task) for entry in outcome.failed]
                notes = [note for note in outcome.notes if note not in self.selection.notes]
                tell(self.progress, notes)
                self.selection.notes.extend(notes)
            found.rejected[column] = known

    def _judge(self, columns: Sequence[PlannedColumn]) -> None:
        """Make the missing trials of columns with the same images, and read all trials."""
        folder = self.findings.folder(columns[0])
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
                    self.findings.trials[column, defense] = rows
            if missing:
                made = self._make_trials(folder, defense, list(missing.values()), columns[0])
                for column, trial in trials.items():
                    if trial.path in made:
                        self.findings.trials[column, defense] = made[trial.path]

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
        save_timing(self.plan.output, self.timing)  # save now: the run may be interrupted
        return made

    def _save(self, evaluation: Evaluation) -> EvaluateOutcome:
        output = self.plan.output
        record = record_of_evaluation(self.matrix, self.selection)
        evaluation = replace(with_timing(evaluation, self.timing), record=record.as_json())
        made = self.findings
        save_photographs(output, self.matrix.columns, made.entries, made.trials)
        save_evaluation(output, record, evaluation)
        done = self.done
        return EvaluateOutcome(
            output,
            done.trials,
            done.resumed,
            done.failed,
            evaluation,
            dict(done.judged_again),
            passed_over=self.selection.passed_over,
            notes=self.selection.notes,
        )


def _with_paths(failed: Sequence[Entry], images: Iterable[ImageFile]) -> list[Entry]:
    """The failed images of a manifest, which lists no paths, as a run tells them."""
    by_name = {image.name: image for image in images}
    return [
        failure(by_name[entry["name"]], InputError(entry["error"]))
        for entry in failed
        if entry["name"] in by_name
    ]


def _named(entry: Entry, task: str) -> Entry:
    """Add the task to a failed image's error, since other tasks may succeed on it."""
    return {**entry, "error": f"{task}: {entry['error']}"}
