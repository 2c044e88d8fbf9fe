"""What is to be evaluated: images, models, attacks, defenses, scenarios, and where it goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rsparse.attacks import Attack, attack_text, parse_attack
from rsparse.defenses import Defense, NoDefense, defense_text, parse_defense
from rsparse.errors import InputError
from rsparse.evaluation.results import ADVERSARIAL_TRAINING, GRAY_BOX
from rsparse.evaluation.scenarios import (
    ADVERSARIAL,
    OTHER_ROLES,
    SCENARIOS,
    Role,
    Scenario,
    find_scenario,
)
from rsparse.models.spec import InputOptions
from rsparse.options.evaluate import EvaluateParameters


@dataclass(frozen=True)
class ModelChoice:
    """A classifier's file, and what the user says of its input."""

    path: Path
    input_options: InputOptions | None = None

    @property
    def name(self) -> str:
        """What it is called in tables, and its attacks' folder."""
        return self.path.stem


@dataclass(frozen=True)
class Threat:
    """A scenario with the model that is attacked in it and the one that judges."""

    scenario: Scenario
    attacked: ModelChoice
    judged: ModelChoice


@dataclass(frozen=True)
class Plan:
    """A whole evaluation, before it is made.

    Attributes
    ----------
    images : tuple of Path
    labels : Path or None
    model : ModelChoice
        The one that is judged undefended to choose the images, and in most scenarios.
    attacks, defenses
        Every attack in every scenario, behind every defense. ``none`` is always the first defense.
    output : Path
    scenarios : tuple of Scenario
        An adversarially trained model adds the scenario of that name.
    others : mapping of Role to tuple of ModelChoice
        The models that scenarios need beside ``model``.
    dictionaries : mapping of str to Path
        By name; "" is the default one.
    parameters : EvaluateParameters

    Raises
    ------
    InputError
        If something is missing, named twice, or contradicts the rest.
    """

    images: tuple[Path, ...]
    labels: Path | None
    model: ModelChoice
    attacks: tuple[Attack, ...]
    defenses: tuple[Defense, ...]
    output: Path
    scenarios: tuple[Scenario, ...] = ()
    others: Mapping[Role, tuple[ModelChoice, ...]] = field(default_factory=dict)
    dictionaries: Mapping[str, Path] = field(default_factory=dict)
    parameters: EvaluateParameters = field(default_factory=EvaluateParameters)

    def __post_init__(self) -> None:
        defenses = (NoDefense(), *(d for d in self.defenses if not isinstance(d, NoDefense)))
        object.__setattr__(self, "defenses", defenses)
        object.__setattr__(self, "scenarios", self._all_scenarios())
        if not self.attacks:
            raise InputError("no attack is named; pass --attack, such as bim:eps=8")
        _refuse_twice("attack", [attack_text(attack) for attack in self.attacks])
        _refuse_twice("defense", [defense_text(defense) for defense in self.defenses])
        _refuse_twice("scenario", [scenario.name for scenario in self.scenarios])
        for role in OTHER_ROLES:
            self._check_role(role)
        self._check_names()

    def _all_scenarios(self) -> tuple[Scenario, ...]:
        named = self.scenarios or (find_scenario(GRAY_BOX),)
        added = find_scenario(ADVERSARIAL_TRAINING)
        return named if added in named or not self.models_of(ADVERSARIAL) else (*named, added)

    def _check_role(self, role: Role) -> None:
        """Check that models of a role are there where a scenario needs them, and only there."""
        wanting = [scenario.name for scenario in self.scenarios if role in scenario.roles]
        models = self.models_of(role)
        if wanting and not models:
            raise InputError(f"scenario {wanting[0]} needs {role.option}, {role.what}")
        if models and not wanting:
            able = [scenario.name for scenario in SCENARIOS.values() if role in scenario.roles]
            raise InputError(f"{role.option} is used only with --scenario {' or '.join(able)}")
        for number, choice in enumerate(models):
            if choice.path in [other.path for other in (*models[:number], self.model)]:
                raise InputError(f"{role.option}: {choice.path} is named twice")

    def _check_names(self) -> None:
        taken: dict[str, ModelChoice] = {}
        for choice in (self.model, *(c for role in OTHER_ROLES for c in self.models_of(role))):
            other = taken.setdefault(choice.name, choice)
            if other != choice:
                raise InputError(
                    f"{choice.path} and {other.path} would both be named {choice.name!r}; "
                    "rename a copy of one"
                )

    def models_of(self, role: Role) -> tuple[ModelChoice, ...]:
        """The models that play a role."""
        return self.others.get(role, ()) if role in OTHER_ROLES else (self.model,)

    @property
    def threats(self) -> list[Threat]:
        """The scenarios with the models in them; one that is attacked and judges is one model."""
        return [
            Threat(scenario, attacked, judged)
            for scenario in self.scenarios
            for judged in self.models_of(scenario.judged)
            for attacked in (
                (judged,) if scenario.attacks_the_judged else self.models_of(scenario.attacked)
            )
        ]

    @property
    def judges(self) -> list[ModelChoice]:
        """The models that judge, ``model`` first: it also chooses the images."""
        return list(dict.fromkeys((self.model, *(threat.judged for threat in self.threats))))


def _refuse_twice(kind: str, names: Sequence[str]) -> None:
    for number, name in enumerate(names):
        if name in names[:number]:
            raise InputError(f"the {kind} {name} is named twice")


def parse_attacks(texts: Sequence[str]) -> tuple[Attack, ...]:
    """The attacks that specs ask for, in their order."""
    return tuple(attack for text in texts for attack in parse_attack(text))


def parse_defenses(texts: Sequence[str], folder: Path = Path()) -> tuple[Defense, ...]:
    """The defenses that specs ask for, in their order; policies' files lie in ``folder``."""
    return tuple(defense for text in texts for defense in parse_defense(text, folder))


def strength_of(attack: Attack) -> tuple[str, float | None]:
    """Name and value of what sets an attack's strength; "" and None where nothing does."""
    for name in attack.strengths:
        value = getattr(attack, name, None)
        if value is not None:
            return name, float(value)
    return "", None
