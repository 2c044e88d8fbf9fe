"""Assemble an evaluation from the entries of the attacks and the predictions of the trials."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsparse.attacks import attack_text
from rsparse.commands.evaluate.columns import PlannedColumn
from rsparse.commands.evaluate.image_evidence import strangers_among
from rsparse.commands.evaluate.judge import Folder
from rsparse.commands.evaluate.layout import Matrix
from rsparse.commands.evaluate.probes import Probes
from rsparse.commands.evaluate.select import Selection
from rsparse.commands.evaluate.trials import trial_of
from rsparse.defenses import Defense, defense_text
from rsparse.evaluation.checks import Evidence
from rsparse.evaluation.checks.evidence import AttackRun, Classes
from rsparse.evaluation.plan import Threat, strength_of
from rsparse.evaluation.results import (
    CLEAN,
    MADE_ELSEWHERE,
    Column,
    Evaluation,
    JudgedDefense,
)
from rsparse.store.journal import Entry
from rsparse.store.predictions import Prediction
from rsparse.store.treatments import in_order


@dataclass(frozen=True)
class DoubledSteps:
    """The columns of an iterative attack, and of the same attack with twice as many steps."""

    planned: Sequence[PlannedColumn]
    doubled: Sequence[PlannedColumn]


@dataclass
class Findings:
    """The results of the columns so far.

    Attributes
    ----------
    entries : dict
        For each column, the entries of its manifest by name.
    trials : dict
        The predictions for each column and defense.
    rejected : dict
        For each column, whether the detector rejects each image, by name.
    """

    matrix: Matrix
    selection: Selection
    entries: dict[PlannedColumn, dict[str, Entry]] = field(default_factory=dict)
    trials: dict[tuple[PlannedColumn, Defense], list[Prediction]] = field(default_factory=dict)
    rejected: dict[PlannedColumn, Mapping[str, bool]] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The images judged."""
        return [entry["name"] for entry in self.selection.entries]

    def column(self, column: PlannedColumn) -> Column:
        """The attack's effect on each image; an image it could not attack counts as unchanged.

        An image that the detector could not examine is not rejected.
        """
        made, rejected = self._column(column), self.rejected.get(column)
        if rejected is None:
            return made
        return replace(made, rejected=np.array([rejected.get(n, False) for n in self.names], bool))

    def _column(self, column: PlannedColumn) -> Column:
        entries = self.entries[column]
        sizes: dict[str, Any] = {
            key: np.array([_size(entries.get(name), key) for name in self.names], np.float64)
            for key in ("linf", "l2", "d")
        }
        judged = column.judged.name
        if column.given:
            return Column(
                MADE_ELSEWHERE,
                "",
                judged,
                "",
                column.given,
                column.given,
                "",
                None,
                {},
                **sizes,
                found=np.array([name in entries for name in self.names], bool),
            )
        if column.attack is None or column.threat is None:
            everything = np.ones(len(self.names), bool)
            return Column("", "", judged, "", CLEAN, CLEAN, "", None, {}, **sizes, found=everything)
        found = [n in entries and not entries[n]["nothing_found"] for n in self.names]
        targets = [entries.get(name, {}).get("target", -1) for name in self.names]
        return Column(
            column.threat.scenario.name,
            column.threat.attacked.name,
            judged,
            column.through_text,
            attack_text(column.attack),
            column.attack.name,
            *strength_of(column.attack),
            column.attack.as_record(),
            **sizes,
            found=np.array(found, bool),
            target=None if column.attack.aim is None else np.array(targets, np.int64),
        )

    def evaluation(self, columns: Iterable[PlannedColumn]) -> Evaluation:
        """The evaluation of columns whose trials are all finished, without a record."""
        keys = {planned: self.column(planned) for planned in columns}
        plan, labels = self.matrix.plan, self.selection.labels
        rows = itertools.chain.from_iterable(self.trials.values())
        texts = tuple(in_order({row.done for row in rows if row.done is not None}))
        trials = [
            trial_of(
                column, defense_text(defense), self.names, self.trials[planned, defense], texts
            )
            for planned, column in keys.items()
            for defense in self.matrix.defenses_of(planned)
        ]
        return Evaluation(
            record={},
            model=plan.model.name,
            names=tuple(self.names),
            labels=np.array([labels[name] for name in self.names], np.int64),
            only_correct=plan.parameters.only_correct,
            left_out=self.selection.left_out,
            class_names=tuple(self.matrix.classifier.class_names),
            columns=tuple(keys.values()),
            defenses=tuple(
                JudgedDefense(defense_text(d), d.kind, d.as_record()) for d in plan.defenses
            ),
            trials=tuple(trials),
        )

    def folder(self, column: PlannedColumn) -> Folder:
        """The images of a column, with the labels of the selection."""
        labels, entries = self.selection.labels, self.entries[column].values()
        return Folder(
            self.matrix.folder_of(column), [{**e, "label": labels[e["name"]]} for e in entries]
        )

    def doubled_steps(self, threat: Threat) -> DoubledSteps | None:
        """The strongest iterative attack over all defenses, with its steps doubled."""
        if not self.matrix.plan.parameters.extra_checks:
            return None
        columns_of = self.matrix.columns_of
        doubled = [
            DoubledSteps(columns_of(threat, attack), columns_of(threat, twice))
            for twice, attack in self.matrix.doubled_attacks(threat).items()
        ]
        return min(doubled, key=lambda each: self.n_right(each.planned), default=None)

    def all_evidence(
        self,
        planned: Sequence[PlannedColumn],
        probes: Mapping[Threat, Probes],
        doubled: Mapping[Threat, DoubledSteps | None],
    ) -> list[Evidence]:
        """The evidence for the checks of each threat, and of images that other programs made."""
        by_threat = {t: [c for c in planned if c.threat == t] for t in probes}
        evidence = [
            self._evidence(threat, columns, probes[threat], doubled[threat])
            for threat, columns in by_threat.items()
            if columns
        ]
        given = [column for column in planned if column.given]
        return [*evidence, self._given_evidence(given)] if given else evidence

    def _evidence(
        self,
        threat: Threat,
        planned: Sequence[PlannedColumn],
        probes: Probes,
        doubled: DoubledSteps | None,
    ) -> Evidence:
        """The evidence for the checks of one threat."""
        steps = None
        if doubled is not None:
            steps = self.column(doubled.planned[0]), self.column(doubled.doubled[0])
        attacked = self.matrix.models[threat.attacked.name]
        height, width = attacked.spec.size
        other = threat.scenario.other
        is_copy = other is not None and (
            self.matrix.models[other.name].sha256 == self.matrix.classifier.sha256
        )
        made = [*planned, *probes.columns, *(doubled.doubled if doubled else ())]
        return Evidence(
            columns=[self.column(column) for column in planned],
            huge_eps=[self.column(column) for column in probes.huge_eps],
            noise=[self.column(column) for column in probes.noise],
            doubled_steps=steps,
            long=None if probes.long is None else self.column(probes.long),
            search=[self.column(column) for column in probes.search],
            runs={self.column(column).key: self._run(column) for column in planned},
            digests={self.column(column).key: self._digests(column) for column in made},
            other="" if other is None else other.name,
            is_same_model=is_copy,
            values=height * width * 3,
        )

    def _given_evidence(self, given: Sequence[PlannedColumn]) -> Evidence:
        """The evidence for the checks of adversarial images that other programs made."""
        columns = {column: self.column(column) for column in given}
        runs = {made.key: self._run(column) for column, made in columns.items()}
        return Evidence(list(columns.values()), runs=runs)

    def _digests(self, column: PlannedColumn) -> list[str]:
        """The digest of each image's file; "" for an image that was not attacked."""
        entries = self.entries[column]
        return [entries[name]["sha256"] if name in entries else "" for name in self.names]

    def _run(self, column: PlannedColumn) -> AttackRun:
        """What an attack did to the attacked model, from the entries of its manifest."""
        attack = column.attack

        def classes(key: str) -> Classes:
            entries = self.entries[column]
            known = (entries.get(name, {}).get(key, -1) for name in self.names)
            return np.array(list(known), np.int64)

        return AttackRun(
            classes("prediction_before"),
            classes("prediction_float"),
            classes("prediction"),
            attack is not None and attack.seeks_minimum,
            attack is not None and attack.average_d is not None,
            None if attack is None else attack.norm,
            strangers_among(self.selection, self.matrix.folder_of(column), self.entries[column])
            if column.given
            else 0,
            attack is not None and attack.whole_levels,
            self._lowered(column),
            self._gradients(column),
        )

    def _gradients(self, column: PlannedColumn) -> list[tuple[tuple[str, ...], str]]:
        """By which backwards the fooled images were attacked, and which of these found them."""
        notes = [self.entries[column].get(name, {}).get("notes", {}) for name in self.names]
        return [
            (tuple(note["tried"]), note["backward"])
            for note in notes
            if note.get("reached") and {"tried", "backward"} <= note.keys()
        ]

    def _lowered(self, column: PlannedColumn) -> NDArray[np.float64] | None:
        """The share of the attack's steps that lowered its loss, by image; None without notes."""
        entries = self.entries[column]
        notes = [entries.get(name, {}).get("notes", {}) for name in self.names]
        if not any("lowered" in each for each in notes):
            return None
        return np.array([each.get("lowered", np.nan) for each in notes], np.float64)

    def n_right(
        self, columns: Iterable[PlannedColumn], defenses: Sequence[Defense] | None = None
    ) -> int:
        """The number of correct predictions for these columns, by default over all defenses."""
        return sum(
            row.classes[0] == row.label
            for column in columns
            for defense in defenses or self.matrix.defenses_of(column)
            for row in self.trials[column, defense]
        )


def _size(entry: Entry | None, key: str) -> float:
    """The size of an image's change; infinite for the relative change of a black image."""
    if entry is None or key not in entry:
        return 0.0
    return float("inf") if entry[key] is None else float(entry[key])
