"""The plan of an evaluation: images, models, attacks, defenses, scenarios and output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rsparse.attacks import Attack, attack_text, parse_attack
from rsparse.defenses import Defense, NoDefense, defense_text
from rsparse.errors import InputError
from rsparse.evaluation.model_choice import ModelChoice
from rsparse.evaluation.results import GIVEN
from rsparse.evaluation.scenarios import GrayBox, Scenario
from rsparse.options.evaluate import EvaluateParameters
from rsparse.options.labels import LabelOptions


@dataclass(frozen=True)
class Threat:
    """A scenario with its attacked model, its judged model, and the attacks that are made."""

    scenario: Scenario
    attacked: ModelChoice
    judged: ModelChoice
    attacks: tuple[Attack, ...]

    @property
    def label(self) -> str:
        """The name of the scenario, with that of its second model."""
        other = self.scenario.other
        return self.scenario.name if other is None else f"{self.scenario.name}: {other.name}"


@dataclass(frozen=True)
class Plan:
    """All inputs of an evaluation.

    Attributes
    ----------
    images : tuple of Path
    labels : LabelOptions
    model : ModelChoice
        The main model, judged in most scenarios. Its predictions without a defense decide which
        images are judged.
    attacks, defenses
        Every attack is made in every scenario and judged behind every defense; a scenario can
        replace attacks by stronger ones. ``none`` is always the first defense.
    output : Path
    scenarios : tuple of Scenario
        Gray-box if empty. Gray-box is added beside a scenario that attacks through the defenses.
    dictionaries : mapping of str to Path
        By name; "" is the default one.
    adversarial : mapping of str to Path
        Folders of adversarial images that other programs made from the images, by name.
    detector : Path or None
        ``reference.h5`` of a detector, which rejects images before the defenses.
    parameters : EvaluateParameters

    Raises
    ------
    InputError
        If something is missing, given twice, or contradicts the rest.
    """

    images: tuple[Path, ...]
    labels: LabelOptions
    model: ModelChoice
    attacks: tuple[Attack, ...]
    defenses: tuple[Defense, ...]
    output: Path
    scenarios: tuple[Scenario, ...] = ()
    dictionaries: Mapping[str, Path] = field(default_factory=dict)
    adversarial: Mapping[str, Path] = field(default_factory=dict)
    detector: Path | None = None
    parameters: EvaluateParameters = field(default_factory=EvaluateParameters)

    def __post_init__(self) -> None:
        defenses = (NoDefense(), *(d for d in self.defenses if d != NoDefense()))
        object.__setattr__(self, "defenses", defenses)
        object.__setattr__(self, "scenarios", _with_gray_box(self.scenarios))
        if not self.attacks and not self.adversarial:
            raise InputError(
                "no attack is given; pass --attack, such as bim:eps=8, or --adversarial with a "
                "folder of adversarial images"
            )
        if self.adversarial and GIVEN in {threat.attacked.name for threat in self.threats}:
            raise InputError(f"a model cannot be named {GIVEN!r} here; rename a copy of it")
        _refuse_twice("attack", [attack_text(attack) for attack in self.attacks])
        _refuse_twice("defense", [defense_text(defense) for defense in self.defenses])
        self._check_models()
        _refuse_twice("scenario", [threat.label for threat in self.threats])

    def _check_models(self) -> None:
        """Check that each name belongs to one model file with one set of input options."""
        taken = {self.model.name: self.model}
        for scenario in self.scenarios:
            choice = scenario.other
            if choice is None:
                continue
            if choice.path == self.model.path:
                raise InputError(
                    f"scenario {scenario.name}: expected another model than the judged one, "
                    f"got {choice.path}"
                )
            other = taken.setdefault(choice.name, choice)
            if other.path != choice.path:
                raise InputError(
                    f"{choice.path} and {other.path} would both be named {choice.name!r}; "
                    "rename a copy of one"
                )
            if other != choice:
                raise InputError(
                    f"{choice.path}: is given with different input options; give the same ones in "
                    "every scenario (in a plan, write three numbers as a list)"
                )

    @property
    def threats(self) -> list[Threat]:
        """Each scenario with its models; none without an attack."""
        return [
            Threat(
                scenario,
                scenario.attacked(self.model),
                scenario.judged(self.model),
                scenario.attacks_of(self.attacks),
            )
            for scenario in (self.scenarios if self.attacks else ())
        ]

    @property
    def judged_models(self) -> list[ModelChoice]:
        """The judged models; ``model``, which also decides which images are judged, is first."""
        return list(dict.fromkeys((self.model, *(threat.judged for threat in self.threats))))


def _with_gray_box(scenarios: tuple[Scenario, ...]) -> tuple[Scenario, ...]:
    """The scenarios, with gray-box if there is none to compare those through the defenses with."""
    needed = not scenarios or any(scenario.through for scenario in scenarios)
    has_it = any(isinstance(scenario, GrayBox) for scenario in scenarios)
    return (GrayBox(), *scenarios) if needed and not has_it else scenarios


def _refuse_twice(kind: str, names: Sequence[str]) -> None:
    for number, name in enumerate(names):
        if name in names[:number]:
            raise InputError(f"the {kind} {name} is given twice")


def parse_attacks(texts: Sequence[str]) -> tuple[Attack, ...]:
    """Parse the specs of attacks; the order is kept."""
    return tuple(attack for text in texts for attack in parse_attack(text))


def strength_of(attack: Attack) -> tuple[str, float | None]:
    """The name and value of an attack's strength; "" and None if it has no strength."""
    for name in attack.strengths:
        value = getattr(attack, name, None)
        if value is not None:
            return name, float(value)
    return "", None
