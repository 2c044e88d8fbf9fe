"""The matrix of a plan: its columns and trials, their files, and the models they need."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from rsparse.attacks import Attack, Bim, Noise, attack_text
from rsparse.attacks.goal import with_class_index
from rsparse.commands.attack.through import AttackedDefense, refuse_unable
from rsparse.commands.evaluate.judge import Folder, JudgedTrial, make_trial
from rsparse.defended.judging import JudgingSetup
from rsparse.defenses import Defense, NoDefense, Resources, defense_text
from rsparse.errors import InputError, system_error
from rsparse.evaluation.checks import HUGE_EPS
from rsparse.evaluation.model_choice import ModelChoice
from rsparse.evaluation.places import attacks_folder, file_name, given_folder
from rsparse.evaluation.plan import Plan, Threat, strength_of
from rsparse.evaluation.results import CLEAN
from rsparse.models.onnx.classifier import Classifier, load_classifier
from rsparse.store.dictionaries import load_dictionaries
from rsparse.store.folders import holds_files, is_finished, is_unfinished
from rsparse.work.device import CPU, choose_device
from rsparse.work.workers import LocalWorkers, Workers


@dataclass(frozen=True)
class PlannedColumn:
    """One column of the matrix: a judge with attacked images or the clean images.

    Attributes
    ----------
    judged : ModelChoice
    threat : Threat or None
        None for the clean images.
    attack : Attack or None
        None for the clean images.
    through : Defense or None
        The defense that the attack includes in the attacked model; the column is then tried only
        with this defense. If None, the attack is on the bare model, and the column is tried with
        every defense.
    given : str
        The name of adversarial images that another program made; "" for others.
    """

    judged: ModelChoice
    threat: Threat | None = None
    attack: Attack | None = None
    through: Defense | None = None
    given: str = ""

    @classmethod
    def by(cls, threat: Threat, attack: Attack, through: Defense | None = None) -> PlannedColumn:
        """The column of an attack under a threat."""
        return cls(threat.judged, threat, attack, through)

    @property
    def through_text(self) -> str:
        """Short name of the defense that is attacked through; "" for the bare model."""
        if self.through is None or self.through == NoDefense():
            return ""
        return defense_text(self.through)

    @property
    def place(self) -> Path:
        """The folder of its images."""
        if self.given:
            return given_folder(self.given)
        if self.threat is None or self.attack is None:
            return Path(CLEAN)
        model = self.threat.attacked.name
        return attacks_folder(model, self.through_text) / attack_text(self.attack)


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
        self.models = {plan.model.name: self.classifier}
        for choice in (c for t in plan.threats for c in (t.attacked, t.judged)):
            if choice.name not in self.models:
                self.models[choice.name] = _load_other(choice, self.classifier)
        dictionaries, sources = load_dictionaries(plan.dictionaries)
        resources = Resources(dictionaries, plan.parameters.seed)
        adaptive = any(threat.scenario.through for threat in plan.threats)
        for defense in plan.defenses:
            defense.check(resources)
            if adaptive and defense != NoDefense():
                refuse_unable(plan.attacks, defense)
        self.device = choose_device(plan.parameters.device, workers, for_gradients=True)
        for_images = self.device.for_images() if workers.can_share_device else CPU
        self.judging = JudgingSetup(resources, sources, for_images)

    @property
    def columns(self) -> list[PlannedColumn]:
        """The plan's columns; the clean ones come first."""
        threats, attacks = self.plan.threats, self.plan.attacks
        attacked = [c for t in threats for a in attacks for c in self.columns_of(t, a)]
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
        return self.plan.defenses if column.through is None else (column.through,)

    def probes(self, threat: Threat) -> list[PlannedColumn]:
        """The extra columns for the checks of a threat that do not depend on results.

        They attack the bare model in every scenario: neither noise nor an attack of huge eps needs
        to know the defense.
        """
        if not self.plan.parameters.extra_checks:
            return []
        largest: dict[str, float] = {}
        for attack in self.plan.attacks:
            name, value = strength_of(attack)
            if name in ("eps", "d") and value is not None:
                largest[name] = max(value, largest.get(name, 0.0))
        noises = [Noise(**{name: value}) for name, value in sorted(largest.items())]
        uses_gradients = any(attack.needs_gradients for attack in self.plan.attacks)
        huge = [Bim(eps=HUGE_EPS)] if uses_gradients else []
        return [PlannedColumn.by(threat, attack) for attack in (*huge, *noises)]

    def doubled_attacks(self) -> dict[Attack, Attack]:
        """The plan's iterative attacks, each keyed by the same attack with twice the steps."""
        return {
            dataclasses.replace(attack, steps=2 * attack.steps): attack  # type: ignore[attr-defined, call-arg]
            for attack in self.plan.attacks
            if getattr(attack, "steps", 1) > 1
        }

    def folder_of(self, column: PlannedColumn) -> Path:
        """The folder of a column's images."""
        return self.plan.output / column.place

    def trial_path(self, column: PlannedColumn, defense: Defense) -> Path:
        """The file of a trial."""
        own = column.judged == self.plan.model
        place = Path("trials") if own else Path("judged", column.judged.name)
        shown = Path(*column.place.parts[1:]) if column.attack else column.place
        return self.plan.output / place / shown / f"{file_name(defense_text(defense))}.h5"

    def trial(self, folder: Folder, column: PlannedColumn, defense: Defense) -> JudgedTrial:
        """The trial of a column with a defense: its judge, job, sources and file."""
        judge = self._judge_of(column)
        return make_trial(folder, self.judging, judge, defense, self.trial_path(column, defense))

    def _judge_of(self, column: PlannedColumn) -> Classifier:
        """The judge of a column; it cuts nothing from images that another model's fit has cut."""
        judge = self.models[column.judged.name]
        fitting = self.plan.model if column.threat is None else column.threat.attacked
        fitted_by = self.models[fitting.name]
        return judge if fitted_by.spec.fit.crop is None else judge.of_cut_images


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
