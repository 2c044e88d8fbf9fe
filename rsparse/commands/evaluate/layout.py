"""The matrix of a plan: its columns and trials, their files, and the models they need."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from rsparse.attacks import Attack
from rsparse.attacks.goal import with_class_index
from rsparse.commands.attack.origin import known_labels
from rsparse.commands.attack.through import AttackedDefense, refuse_unable
from rsparse.commands.evaluate.columns import PlannedColumn
from rsparse.commands.evaluate.judge import Folder, JudgedTrial, make_trial
from rsparse.commands.evaluate.probes import Probes, probes_of
from rsparse.commands.evaluate.watch import Watch
from rsparse.defended.judging import JudgingSetup
from rsparse.defenses import Defense, NoDefense, Resources, defense_text
from rsparse.errors import InputError, system_error
from rsparse.evaluation.model_choice import ModelChoice
from rsparse.evaluation.places import file_name
from rsparse.evaluation.plan import Plan, Threat
from rsparse.evaluation.results import CLEAN
from rsparse.models.onnx.classifier import Classifier, load_classifier
from rsparse.store.dictionaries import load_dictionaries
from rsparse.store.files import holds_files
from rsparse.store.folders import is_finished, is_unfinished
from rsparse.store.inputs import load_inputs
from rsparse.work.device import CPU, choose_device
from rsparse.work.workers import LocalWorkers, Workers


class Matrix:
    """A plan with its models and dictionaries loaded, ready to be estimated and run.

    Parameters
    ----------
    plan : Plan
    workers : Workers
        They judge the images on their cores. Workers on this machine use a GPU instead if the plan
        names one or ``auto`` finds one.

    Raises
    ------
    InputError
        If a file cannot be used, a defense lacks its dictionary, or the output is in use.
    """

    def __init__(self, plan: Plan, workers: Workers = LocalWorkers()) -> None:
        _refuse_taken(plan.output)
        self.classifier = load_classifier(plan.model.path, plan.model.input_options).check()
        names = self.classifier.class_names
        attacks = tuple(with_class_index(attack, names) for attack in plan.attacks)
        self.plan = plan = dataclasses.replace(plan, attacks=attacks)
        inputs, allow_predicted = load_inputs(plan.images), plan.parameters.predicted_labels
        self.labels = known_labels(inputs, plan.labels, self.classifier, allow_predicted)
        self.models = {plan.model.name: self.classifier}
        for choice in (c for t in plan.threats for c in (t.attacked, t.judged)):
            if choice.name not in self.models:
                self.models[choice.name] = _load_other(choice, self.classifier)
        needed = (name for defense in plan.defenses for name in defense.dictionaries)
        named = dict.fromkeys((*plan.dictionaries, *needed))
        dictionaries, sources = load_dictionaries(plan.dictionaries, named)
        resources = Resources(dictionaries, plan.parameters.seed)
        for defense in plan.defenses:
            defense.check(resources)
        _refuse_unable(plan)
        self.device = choose_device(plan.parameters.device, workers, for_gradients=True)
        for_images = self.device.for_images() if workers.can_share_device else CPU
        self.judging = JudgingSetup(resources, sources, for_images)
        self.watch = Watch.of(plan, workers)

    @property
    def columns(self) -> list[PlannedColumn]:
        """The plan's columns; the clean ones come first."""
        attacked = [c for t in self.plan.threats for a in t.attacks for c in self.columns_of(t, a)]
        given = [PlannedColumn(self.plan.model, given=name) for name in self.plan.adversarial]
        return [*map(PlannedColumn, self.plan.judged_models), *attacked, *given]

    def attacked_defense(self, column: PlannedColumn) -> AttackedDefense | None:
        """The defense that a column's attack is made through, with its resources."""
        if column.through is None or not column.through_text:
            return None
        needed = self.judging.resources, self.judging.dictionaries
        return AttackedDefense.of(column.through, *needed)

    def columns_of(self, threat: Threat, attack: Attack) -> list[PlannedColumn]:
        """The column of an attack; one per defense if the scenario attacks through defenses."""
        if not threat.scenario.through:
            return [PlannedColumn.by(threat, attack)]
        return [PlannedColumn.by(threat, attack, defense) for defense in self.plan.defenses]

    def defenses_of(self, column: PlannedColumn) -> tuple[Defense, ...]:
        """The defenses with which a column is tried."""
        if column.is_undefended:
            return (NoDefense(),)
        return self.plan.defenses if column.through is None else (column.through,)

    def probes(self, threat: Threat) -> Probes:
        """The extra columns for the checks of a threat that do not depend on results."""
        return probes_of(self.plan, threat)

    def doubled_attacks(self, threat: Threat) -> dict[Attack, Attack]:
        """A threat's iterative attacks, each keyed by the same attack with twice the steps.

        An attack that seeks the smallest change is left out: with more steps, the change is
        smaller, so that rounding undoes it more often.
        """
        return {
            dataclasses.replace(attack, steps=2 * attack.steps): attack  # type: ignore[attr-defined, call-arg]
            for attack in threat.attacks
            if getattr(attack, "steps", 1) > 1 and not attack.seeks_minimum
        }

    def folder_of(self, column: PlannedColumn) -> Path:
        """The folder of a column's images."""
        return self.plan.output / column.place

    def trial_path(self, column: PlannedColumn, defense: Defense, draw: int = 0) -> Path:
        """The file of a trial; ``draw`` counts the other seeds of a random defense."""
        own = column.judged == self.plan.model
        place = Path("trials") if own else Path("judged", column.judged.name)
        shown = Path(*column.place.parts[1:]) if column.attack else column.place
        name = file_name(defense_text(defense)) + f".draw-{draw}" * (draw > 0)
        return self.plan.output / place / shown / f"{name}.h5"

    def trial(
        self, folder: Folder, column: PlannedColumn, defense: Defense, draw: int = 0
    ) -> JudgedTrial:
        """The trial of a column with a defense: its judge, job, sources and file."""
        judge, path = self._judge_of(column), self.trial_path(column, defense, draw)
        return make_trial(folder, self.judging_by_draw(draw), judge, defense, path)

    def judging_by_draw(self, draw: int) -> JudgingSetup:
        """The setup with another seed for the random defenses; 0 is the plan's own."""
        resources = self.judging.resources
        if not draw:
            return self.judging
        seed = (resources.seed + draw) % 2**32
        return dataclasses.replace(
            self.judging, resources=dataclasses.replace(resources, seed=seed)
        )

    def _judge_of(self, column: PlannedColumn) -> Classifier:
        """The judge of a column; it cuts nothing from images that another model's fit has cut."""
        judge = self.models[column.judged.name]
        fitting = self.plan.model if column.threat is None else column.threat.attacked
        fitted_by = self.models[fitting.name]
        return judge if fitted_by.spec.fit.crop is None else judge.of_cut_images


def _refuse_unable(plan: Plan) -> None:
    """Check that all attacks that are to be made through a defense can be made so."""
    for threat in plan.threats if len(plan.defenses) > 1 else ():
        if threat.scenario.through:
            refuse_unable(threat.attacks, plan.defenses[1])


def _load_other(choice: ModelChoice, judged: Classifier) -> Classifier:
    classifier = load_classifier(choice.path, choice.input_options).check()
    if classifier.n_classes != judged.n_classes:
        raise InputError(
            f"{choice.path}: expected {judged.n_classes} classes, as the judged model has, got "
            f"{classifier.n_classes}; both models must have the same classes"
        )
    return classifier


def _refuse_taken(output: Path) -> None:
    """Check that the folder is new, empty, or the folder of an evaluation."""
    try:
        if output.exists() and not output.is_dir():
            raise InputError(f"{output}: is a file; name a folder")
        taken = output.is_dir() and holds_files(output)
    except OSError as error:
        raise system_error(error, f"{output}: cannot be read") from error
    clean = output / CLEAN
    if taken and not (is_finished(clean) or is_unfinished(clean)):
        raise InputError(f"{output}: contains other files; choose an empty or new folder")
