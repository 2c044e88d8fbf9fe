"""Attacks through a defense: the attacked module, and the attacks that support it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsparse.attacks import ATTACKS, Attack, attack_text
from rsparse.defenses import Defense, NoDefense, Resources, defense_text
from rsparse.defenses.resources import load_resources
from rsparse.errors import InputError
from rsparse.models.onnx.classifier import Classifier
from rsparse.options.attack import BackwardChoice
from rsparse.store.records import Source

if TYPE_CHECKING:
    import torch

    from rsparse.core.regionsparse import Pixels


@dataclass(frozen=True)
class AttackedDefense:
    """A defense that an attack includes in the attacked model, with its resources.

    Attributes
    ----------
    defense : Defense
    resources : Resources
    sources : tuple of Source
        The defense's dictionaries as inputs of a record.
    choice : BackwardChoice
        How attacks by gradients differentiate it.
    """

    defense: Defense
    resources: Resources = field(compare=False)
    sources: tuple[Source, ...] = field(compare=False)
    choice: BackwardChoice = field(default_factory=BackwardChoice)
    identity: tuple[int | str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        digests = (source.sha256 for source in self.sources)
        object.__setattr__(self, "identity", (self.resources.seed, *digests))

    @classmethod
    def of(
        cls,
        defense: Defense,
        resources: Resources,
        dictionaries: Mapping[str, Source],
        choice: BackwardChoice = BackwardChoice(),
    ) -> AttackedDefense:
        """A defense with the dictionaries that it uses, selected from all of them."""
        used = {name: resources.dictionaries[name] for name in defense.dictionaries}
        sources = tuple(dictionaries[name] for name in used)
        return cls(defense, Resources(used, resources.seed), sources, choice)

    def clean(self, image: Pixels) -> Pixels:
        """Clean an image, (h, w, 3) uint8, as the defended classifier does."""
        return self.defense.clean(image, self.resources)

    def as_parameters(self) -> dict[str, Any]:
        """The defense, and what the attack assumes about it, for the record of attacked images."""
        return {"through": self.defense.as_record(), **self.choice.as_record()}


@dataclass(frozen=True)
class Through:
    """A defense to attack through, as the user gives it.

    Attributes
    ----------
    defense : Defense
    dictionaries : mapping of str to Path
        Files by the names that the defense uses; "" is the default one.
    choice : BackwardChoice
    """

    defense: Defense
    dictionaries: Mapping[str, Path] = field(default_factory=dict)
    choice: BackwardChoice = field(default_factory=BackwardChoice)

    def load(self, seed: int) -> AttackedDefense | None:
        """Load what the defense needs; None if there is no defense.

        Raises
        ------
        InputError
            If a dictionary cannot be used or is missing, or the defense has no such backward.
        """
        from rsparse.attacks.through.backwards import chosen_backward

        chosen_backward(self.defense, self.choice.backward)
        if self.defense == NoDefense():
            return None
        resources, sources = load_resources([self.defense], self.dictionaries, seed)
        return AttackedDefense.of(self.defense, resources, sources, self.choice)


@dataclass(frozen=True)
class DefendedModel:
    """Makes the module that an attack differentiates for a classifier behind a defense."""

    attack: Attack
    attacked: AttackedDefense

    def __call__(self, classifier: Classifier, device: str) -> torch.nn.Module:
        """The module that the attack builds from the defense and the twin, in evaluation mode."""
        from rsparse.attacks.attackable import attackable

        twin = attackable(classifier, device, self.attack.needs_gradients)
        known = self.attacked
        return self.attack.through(twin, known.defense, known.resources, known.choice).eval()


def refuse_unable(attacks: Iterable[Attack], defense: Defense) -> None:
    """Check that all attacks support attacking through a defense.

    Raises
    ------
    InputError
        If an attack supports only the bare model; the message lists the attacks that support it.
    """
    for attack in attacks:
        if not attack.attacks_through:
            able = ", ".join(name for name, known in ATTACKS.items() if known.attacks_through)
            raise InputError(
                f"attack {attack_text(attack)} cannot be made through {defense_text(defense)}: it "
                f"only attacks the bare model; attacks that can: {able}"
            )
