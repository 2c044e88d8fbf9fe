"""Scenarios: what an attacker knows, by the names of the paper and of Carlini et al. (2019).

Each says which model is attacked and which one then judges the images. Room is left for those in
which the attacker asks the model, or attacks through the defense (adaptive).
"""

from __future__ import annotations

from dataclasses import dataclass

from rsparse.errors import InputError
from rsparse.evaluation.results import (
    ADVERSARIAL_TRAINING,
    ADVERSARIAL_TRAINING_BLACK_BOX,
    BLACK_BOX,
    EXTENDED_GRAY_BOX,
    GRAY_BOX,
    TRANSFER,
)
from rsparse.options.specs import nearest


@dataclass(frozen=True)
class Role:
    """The part that a model plays, and the option that names it."""

    name: str
    option: str
    what: str


MODEL = Role("model", "--model", "the classifier to judge")
SOURCE = Role("source", "--source-model", "the model to attack")
RETRAINED = Role("retrained", "--retrained", "the model retrained on purified images")
ADVERSARIAL = Role("adversarial", "--adversarial-training", "the adversarially trained model")
OTHER_ROLES = (SOURCE, RETRAINED, ADVERSARIAL)


@dataclass(frozen=True)
class Scenario:
    """What an attacker knows.

    Attributes
    ----------
    name : str
    knows : str
        The threat model in a sentence.
    attacked, judged : Role
        The model that the attacks are made on, and the one that is shown them.
    """

    name: str
    knows: str
    attacked: Role = MODEL
    judged: Role = MODEL
    through: bool = False

    @property
    def roles(self) -> tuple[Role, ...]:
        """The models it needs beside ``--model``."""
        return tuple(role for role in OTHER_ROLES if role in (self.attacked, self.judged))

    @property
    def attacks_the_judged(self) -> bool:
        """Whether the model that is attacked also judges."""
        return self.attacked is self.judged


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            GRAY_BOX,
            "the attacker knows the classifier and its weights, and nothing of the defense",
        ),
        Scenario(
            TRANSFER,
            "the attacker knows another classifier, and neither the judged one nor the defense",
            attacked=SOURCE,
        ),
        Scenario(
            BLACK_BOX,
            "the attacker knows the classifier before it was retrained, and neither the new "
            "weights nor the defense",
            judged=RETRAINED,
        ),
        Scenario(
            EXTENDED_GRAY_BOX,
            "the attacker knows the retrained classifier and its weights, and nothing of the "
            "defense before it",
            attacked=RETRAINED,
            judged=RETRAINED,
        ),
        Scenario(
            ADVERSARIAL_TRAINING,
            "the attacker knows the adversarially trained classifier and its weights, and nothing "
            "of the defense",
            attacked=ADVERSARIAL,
            judged=ADVERSARIAL,
        ),
        Scenario(
            ADVERSARIAL_TRAINING_BLACK_BOX,
            "the attacker knows the classifier before its adversarial training, and neither the "
            "new weights nor the defense",
            judged=ADVERSARIAL,
        ),
    )
}


def find_scenario(name: str) -> Scenario:
    """The scenario of that name.

    Raises
    ------
    InputError
        If there is none; the nearest is named.
    """
    if name in SCENARIOS:
        return SCENARIOS[name]
    guess = nearest(name, SCENARIOS)
    hint = f"did you mean {guess}? " if guess else ""
    raise InputError(f"unknown scenario {name!r}; {hint}Known: {', '.join(SCENARIOS)}")
