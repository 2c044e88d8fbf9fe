"""What is to be evaluated: images, models, attacks, defenses, scenarios, and where it goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rsparse.attacks import Attack, attack_text, parse_attack
from rsparse.defenses import Defense, NoDefense, defense_text, parse_defense
from rsparse.errors import InputError
from rsparse.evaluation.results import GRAY_BOX
from rsparse.evaluation.scenarios import Scenario, find_scenario
from rsparse.models.spec import SpecOptions
from rsparse.parameters import EvaluateParameters


@dataclass(frozen=True)
class ModelChoice:
    """A classifier's file, and what the user says of its input."""

    path: Path
    wants: SpecOptions | None = None

    @property
    def name(self) -> str:
        """What it is called in tables, and its attacks' folder."""
        return self.path.stem


@dataclass(frozen=True)
class Threat:
    """A scenario with the model that is attacked in it."""

    scenario: Scenario
    model: ModelChoice


@dataclass(frozen=True)
class Plan:
    """A whole evaluation, before it is made.

    Attributes
    ----------
    images : tuple of Path
    labels : Path or None
    model : ModelChoice
        The judged one.
    attacks, defenses
        Every attack in every scenario, behind every defense. ``none`` is always the first defense.
    output : Path
    scenarios : tuple of Scenario
    sources : tuple of ModelChoice
        The models attacked in the scenarios that attack others than the judged one.
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
    sources: tuple[ModelChoice, ...] = ()
    dictionaries: Mapping[str, Path] = field(default_factory=dict)
    parameters: EvaluateParameters = field(default_factory=EvaluateParameters)

    def __post_init__(self) -> None:
        defenses = (NoDefense(), *(d for d in self.defenses if not isinstance(d, NoDefense)))
        object.__setattr__(self, "defenses", defenses)
        object.__setattr__(self, "scenarios", self.scenarios or (find_scenario(GRAY_BOX),))
        if not self.attacks:
            raise InputError("no attack is named; pass --attack, such as bim:eps=8")
        _refuse_twice("attack", [attack_text(attack) for attack in self.attacks])
        _refuse_twice("defense", [defense_text(defense) for defense in self.defenses])
        _refuse_twice("scenario", [scenario.name for scenario in self.scenarios])
        self._check_sources()

    def _check_sources(self) -> None:
        wanting = [scenario.name for scenario in self.scenarios if scenario.attacks_sources]
        if wanting and not self.sources:
            raise InputError(f"scenario {wanting[0]} needs --source-model, the model to attack")
        if self.sources and not wanting:
            raise InputError("--source-model is attacked only with --scenario transfer")
        names: dict[str, Path] = {self.model.name: self.model.path}
        for source in self.sources:
            other = names.setdefault(source.name, source.path)
            if other is not source.path:
                raise InputError(
                    f"{source.path} and {other} would both be named {source.name!r}; "
                    "rename a copy of one"
                )

    @property
    def threats(self) -> list[Threat]:
        """The scenarios with the models attacked in them."""
        return [
            Threat(scenario, model)
            for scenario in self.scenarios
            for model in (self.sources if scenario.attacks_sources else (self.model,))
        ]


def _refuse_twice(kind: str, names: Sequence[str]) -> None:
    for number, name in enumerate(names):
        if name in names[:number]:
            raise InputError(f"the {kind} {name} is named twice")


def parse_attacks(texts: Sequence[str]) -> tuple[Attack, ...]:
    """The attacks that specs ask for, in their order."""
    return tuple(attack for text in texts for attack in parse_attack(text))


def parse_defenses(texts: Sequence[str]) -> tuple[Defense, ...]:
    """The defenses that specs ask for, in their order."""
    return tuple(defense for text in texts for defense in parse_defense(text))


def strength_of(attack: Attack) -> tuple[str, float | None]:
    """Name and value of what sets an attack's strength; "" and None where nothing does."""
    for name in attack.strengths:
        value = getattr(attack, name, None)
        if value is not None:
            return name, float(value)
    return "", None
