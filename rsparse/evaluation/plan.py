"""What is to be evaluated: images, models, attacks, defenses, scenarios, and where it goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rsparse.attacks import Attack, attack_text, parse_attack
from rsparse.defenses import Defense, NoDefense, defense_text
from rsparse.errors import InputError
from rsparse.evaluation.model_choice import ModelChoice
from rsparse.evaluation.scenarios import GrayBox, Scenario
from rsparse.options.evaluate import EvaluateParameters


@dataclass(frozen=True)
class Threat:
    """A scenario with the model that is attacked in it and the one that judges."""

    scenario: Scenario
    attacked: ModelChoice
    judged: ModelChoice

    @property
    def label(self) -> str:
        """The scenario's name, with that of the other model that it needs."""
        other = self.scenario.other
        return self.scenario.name if other is None else f"{self.scenario.name}: {other.name}"


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
        Gray-box where none is named.
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
    dictionaries: Mapping[str, Path] = field(default_factory=dict)
    parameters: EvaluateParameters = field(default_factory=EvaluateParameters)

    def __post_init__(self) -> None:
        defenses = (NoDefense(), *(d for d in self.defenses if d != NoDefense()))
        object.__setattr__(self, "defenses", defenses)
        object.__setattr__(self, "scenarios", self.scenarios or (GrayBox(),))
        if not self.attacks:
            raise InputError("no attack is named; pass --attack, such as bim:eps=8")
        _refuse_twice("attack", [attack_text(attack) for attack in self.attacks])
        _refuse_twice("defense", [defense_text(defense) for defense in self.defenses])
        self._check_models()
        _refuse_twice("scenario", [threat.label for threat in self.threats])

    def _check_models(self) -> None:
        """Check that models of different files or inputs have different names."""
        taken = {self.model.name: self.model}
        for scenario in self.scenarios:
            choice = scenario.other
            if choice is None:
                continue
            if choice.path == self.model.path:
                raise InputError(f"scenario {scenario.name}: {choice.path} is the judged model")
            other = taken.setdefault(choice.name, choice)
            if other.path != choice.path:
                raise InputError(
                    f"{choice.path} and {other.path} would both be named {choice.name!r}; "
                    "rename a copy of one"
                )
            if other != choice:
                raise InputError(
                    f"{choice.path}: is given with different inputs; say in every scenario the "
                    "same of it, three numbers in a list in a plan"
                )

    @property
    def threats(self) -> list[Threat]:
        """Each scenario with the models in it."""
        return [
            Threat(scenario, scenario.attacked(self.model), scenario.judged(self.model))
            for scenario in self.scenarios
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


def strength_of(attack: Attack) -> tuple[str, float | None]:
    """Name and value of what sets an attack's strength; "" and None where nothing does."""
    for name in attack.strengths:
        value = getattr(attack, name, None)
        if value is not None:
            return name, float(value)
    return "", None
