"""Make what a plan's matrix lacks, and the evaluation from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from rsparse.attacks import attack_text
from rsparse.defenses import Defense, defense_text
from rsparse.errors import InputError
from rsparse.evaluation import statistics
from rsparse.evaluation.checks import Evidence, all_checks
from rsparse.evaluation.files import (
    load_timing,
    save_evaluation,
    save_timing,
    with_timing,
)
from rsparse.evaluation.plan import Threat, strength_of
from rsparse.evaluation.results import CLEAN, Cell, Column, Defended, Evaluation
from rsparse.matrix.layout import Attacked, Matrix
from rsparse.parallel import Here, Workers
from rsparse.parameters import AttackRunParameters
from rsparse.progress import SILENT, Progress
from rsparse.runs import Outcome
from rsparse.stages.attack import attack_chosen
from rsparse.stages.judge import Folder, judge_images, read_cell
from rsparse.stages.select import Selection, select_images
from rsparse.store.files import sha256_of
from rsparse.store.folders import MANIFEST, read_manifest, record_of
from rsparse.store.journal import Entry
from rsparse.store.predictions import Prediction
from rsparse.store.records import EVALUATION, Record, Source


@dataclass
class EvaluateOutcome(Outcome):
    """Also holds what was found. ``done`` and ``resumed`` count cells."""

    evaluation: Evaluation | None = None

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
        }


@dataclass
class Done:
    """What a run has made so far."""

    cells: int = 0
    resumed: int = 0
    failed: list[Entry] = field(default_factory=list)
    seconds: dict[str, list[float]] = field(default_factory=dict)


def run_matrix(
    matrix: Matrix,
    *,
    workers: Workers = Here(),
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> EvaluateOutcome:
    """Make what is missing of a matrix, and the evaluation from it.

    Raises
    ------
    InputError
        If an input cannot be used, no image is left to judge, or what lies in the output was made
        from something else.
    """
    return _Run(matrix, workers, overwrite, progress).run()


class _Run:
    """One run over a matrix: how it works, and what it has found."""

    def __init__(
        self, matrix: Matrix, workers: Workers, overwrite: bool, progress: Progress
    ) -> None:
        self.matrix, self.plan = matrix, matrix.plan
        self.workers, self.overwrite, self.progress = workers, overwrite, progress
        self.done = Done()
        self.timing = load_timing(self.plan.output)
        self.entries: dict[Attacked, dict[str, Entry]] = {}
        self.cells: dict[tuple[Attacked, Defense], list[Prediction]] = {}
        self.selection: Selection

    def run(self) -> EvaluateOutcome:
        """Select, attack, judge, check, save."""
        plan, parameters = self.plan, self.plan.parameters
        self.selection = select_images(
            plan.images, self.matrix.classifier, plan.output / CLEAN, labels=plan.labels,
            only_correct=parameters.only_correct, limit=parameters.limit, workers=self.workers,
            overwrite=self.overwrite, progress=self.progress,
        )  # fmt: skip
        self.done.failed += self.selection.failed
        planned, threats = self.matrix.columns, plan.threats
        probes = {threat: self.matrix.probes(threat) for threat in threats}
        everything = list(dict.fromkeys([*planned, *(c for t in threats for c in probes[t])]))
        self._make(everything)
        doubled = {threat: self._doubled(threat) for threat in threats}
        self._make([pair[1] for pair in doubled.values() if pair])
        extra = [pair[1] for pair in doubled.values() if pair]
        whole = self._results(dict.fromkeys([*everything, *extra]))
        evidence = [self._evidence(threat, probes[threat], doubled[threat]) for threat in threats]
        evaluation = replace(
            self._results(planned), checks=all_checks(whole, evidence)
        )  # fmt: skip
        return self._save(evaluation)

    def _make(self, columns: Sequence[Attacked]) -> None:
        """Attack and judge what is missing of some columns, once in a run."""
        columns = [column for column in columns if column not in self.entries]
        for name in dict.fromkeys(c.threat.model.name for c in columns if c.threat):
            self._attack([c for c in columns if c.threat and c.threat.model.name == name])
        for column in columns:
            if column.attack is None:
                self.entries[column] = {entry["name"]: entry for entry in self.selection.entries}
            self._judge(column)

    def _attack(self, columns: Sequence[Attacked]) -> None:
        """Make the attacked images of one model that are missing, and read all entries."""
        missing = {
            c.attack: c
            for c in columns
            if c.attack is not None
            and (self.overwrite or not (self.matrix.folder_of(c) / MANIFEST).exists())
        }
        model = columns[0].threat.model if columns[0].threat else self.plan.model
        if missing:
            values = self.plan.parameters
            attack_chosen(
                self.plan.images, model.path, list(missing),
                self.plan.output / "attacks" / model.name,
                AttackRunParameters(
                    batch_size=values.batch_size, seed=values.seed, device=values.device
                ),
                model.wants, self.selection.labels, workers=self.workers,
                overwrite=self.overwrite, progress=self.progress,
            )  # fmt: skip
        for column in columns:
            self.entries[column] = self._checked_entries(column)

    def _checked_entries(self, column: Attacked) -> dict[str, Entry]:
        """The entries of an attacked folder, by name; it is what this plan would make."""
        place = self.matrix.folder_of(column)
        manifest = read_manifest(place)
        assert column.threat is not None
        assert column.attack is not None
        digests = {e["name"]: e["source_sha256"] for e in self.selection.entries}
        entries = {} if manifest is None else {e["name"]: e for e in manifest["images"]}
        record = {} if manifest is None else record_of(manifest)
        said, values = record.get("parameters", {}), self.plan.parameters
        model = self.matrix.attacked_models[column.threat.model.name]
        same = (
            said.get("attack") == column.attack.as_record()
            and (said.get("batch_size"), record.get("seed")) == (values.batch_size, values.seed)
            and said.get("input") == model.input_record()
            and any(source["sha256"] == model.sha256 for source in record["inputs"])
            and all(digests.get(n) == entry["source_sha256"] for n, entry in entries.items())
        )
        if not same:
            raise InputError(
                f"{place}: was made from other images, by another model, or with another seed or "
                "batch size; choose another output or pass --overwrite"
            )
        self.done.failed += manifest["failed"] if manifest else []
        return entries

    def _judge(self, column: Attacked) -> None:
        """Make the cells of a column that are missing, and read all."""
        place = self.matrix.folder_of(column)
        labels = self.selection.labels
        entries = [{**e, "label": labels[e["name"]]} for e in self.entries[column].values()]
        folder = Folder(place, entries)
        for defense in self.plan.defenses:
            path = self.matrix.cell_of(column, defense)
            record = self.matrix.record_of_cell(folder, defense)
            rows = None if self.overwrite else read_cell(path, record, folder)
            if rows is None:
                rows = self._make_cell(folder, defense, record, path, column)
            else:
                self.done.resumed += 1
            self.cells[column, defense] = rows

    def _make_cell(
        self, folder: Folder, defense: Defense, record: Record, path: Path, column: Attacked
    ) -> list[Prediction]:
        text = defense_text(defense)
        what = f"{column.place.name} behind {text}"
        outcome, rows = judge_images(
            folder, self.matrix.court, defense, record, path, what=what, workers=self.workers,
            progress=self.progress,
        )  # fmt: skip
        self.done.cells += 1
        self.done.failed += [_named(entry, what) for entry in outcome.failed]
        self.done.seconds.setdefault(text, []).append(outcome.seconds)
        self.timing[text] = float(np.mean(self.done.seconds[text]))
        save_timing(self.plan.output, self.timing)  # now, since the run may be interrupted
        return rows

    def _doubled(self, threat: Threat) -> tuple[Attacked, Attacked] | None:
        """The attack in steps that leaves least right over all defenses, and that of twice them."""
        if not self.plan.parameters.checks:
            return None
        doubled = {
            Attacked(threat, attack): Attacked(threat, twice)
            for twice, attack in self.matrix.doubled_attacks().items()
        }
        if not doubled:
            return None
        strongest = min(doubled, key=self._n_right)
        return strongest, doubled[strongest]

    def _n_right(self, column: Attacked) -> int:
        return sum(
            row.classes[0] == row.label
            for defense in self.plan.defenses
            for row in self.cells[column, defense]
        )

    def _evidence(
        self, threat: Threat, probes: Sequence[Attacked], doubled: tuple[Attacked, Attacked] | None
    ) -> Evidence:
        planned = [c for c in self.matrix.columns if c.threat is threat or c.threat == threat]
        return Evidence(
            columns=[self._column(column) for column in planned],
            floor=self._column(probes[0]) if probes else None,
            noise=[self._column(column) for column in probes[1:]],
            steps=None if doubled is None else (self._column(doubled[0]), self._column(doubled[1])),
            rounding={self._column(column).key: self._rounding(column) for column in planned},
        )

    def _rounding(self, column: Attacked) -> tuple[Any, Any]:
        entries = self.entries[column].values()
        before = np.array([entry["success_float"] for entry in entries], bool)
        return before, np.array([entry["success"] for entry in entries], bool)

    def _column(self, column: Attacked) -> Column:
        """What an attack did, image by image; an image it could not be run on is unchanged."""
        names, entries = self._names(), self.entries[column]
        sizes: dict[str, Any] = {
            key: np.array([_size(entries.get(name), key) for name in names], np.float64)
            for key in ("linf", "l2", "d")
        }
        if column.attack is None or column.threat is None:
            everything = np.ones(len(names), bool)
            return Column("", "", CLEAN, CLEAN, "", None, {}, **sizes, found=everything)
        found = [name in entries and not entries[name]["nothing_found"] for name in names]
        return Column(
            column.threat.scenario.name, column.threat.model.name, attack_text(column.attack),
            column.attack.name, *strength_of(column.attack), column.attack.as_record(), **sizes,
            found=np.array(found, bool),
        )  # fmt: skip

    def _names(self) -> list[str]:
        return [entry["name"] for entry in self.selection.entries]

    def _results(self, columns: Iterable[Attacked]) -> Evaluation:
        """The evaluation of some columns, all of whose cells are there."""
        columns = list(columns)
        names, labels = self._names(), self.selection.labels
        made = {column: self._column(column) for column in columns}
        cells = [
            _cell(made[column], defense_text(defense), names, self.cells[column, defense])
            for column in columns
            for defense in self.plan.defenses
        ]
        return Evaluation(
            record={},
            model=self.plan.model.name,
            names=tuple(names),
            labels=np.array([labels[name] for name in names], np.int64),
            only_correct=self.plan.parameters.only_correct,
            left_out=self.selection.left_out,
            class_names=tuple(self.matrix.classifier.class_names),
            columns=tuple(made.values()),
            defenses=tuple(
                Defended(defense_text(d), d.kind, d.as_record()) for d in self.plan.defenses
            ),
            cells=tuple(cells),
        )

    def _save(self, evaluation: Evaluation) -> EvaluateOutcome:
        output = self.plan.output
        record = self._record()
        evaluation = replace(with_timing(evaluation, self.timing), record=record.as_json())
        save_evaluation(output, record, evaluation)
        done = self.done
        return EvaluateOutcome(output, done.cells, done.resumed, done.failed, evaluation)

    def _record(self) -> Record:
        """What the evaluation was made from; its attacks and cells carry records of their own."""
        plan, values = self.plan, self.plan.parameters.as_record()
        seed = values.pop("seed")
        selected = self.selection.record
        parameters = {
            **values,
            "input": self.matrix.classifier.input_record(),
            "labels": self.selection.label_origin,
            "attacks": [attack.as_record() for attack in plan.attacks],
            "defenses": [defense.as_record() for defense in plan.defenses],
            "scenarios": [scenario.name for scenario in plan.scenarios],
            "sources": [source.name for source in plan.sources],
        }
        entries = "".join(f"{e['name']} {e['sha256']}\n" for e in self.selection.entries)
        models = {model.sha256: model for model in self.matrix.attacked_models.values()}
        sources = [
            Source(CLEAN, sha256_of(entries.encode()), selected),
            self.matrix.classifier.source(),
            *(m.source() for m in models.values() if m is not self.matrix.classifier),
            *self.matrix.court.dictionaries.values(),
        ]
        return Record(EVALUATION, "evaluate", parameters, seed, tuple(sources))


def _named(entry: Entry, what: str) -> Entry:
    """A failed image with what failed, since it may go well elsewhere."""
    return {**entry, "error": f"{what}: {entry['error']}"}


def _size(entry: Entry | None, key: str) -> float:
    """How far an image was changed; the relative change of a black one has no number."""
    if entry is None or key not in entry:
        return 0.0
    return float("inf") if entry[key] is None else float(entry[key])


def _cell(column: Column, defense: str, names: Sequence[str], rows: Sequence[Prediction]) -> Cell:
    by_name = {row.name: row for row in rows}
    found = [by_name.get(name) for name in names]
    return Cell(
        column.key,
        defense,
        np.array([-1 if row is None else row.classes[0] for row in found], np.int64),
        np.array([0.0 if row is None else row.probabilities[0] for row in found], np.float32),
    )
