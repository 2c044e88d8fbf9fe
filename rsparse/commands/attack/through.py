"""Attacks through a defense: what is attacked then, and which attacks can do it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rsparse.attacks import ATTACKS, Attack, attack_text
from rsparse.defenses import Defense, Resources, defense_text
from rsparse.errors import InputError
from rsparse.models.onnx.classifier import Classifier
from rsparse.store.records import Source

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class AttackedDefense:
    """A defense that is attacked through, and what it needs.

    Attributes
    ----------
    defense : Defense
    resources : Resources
    sources : tuple of Source
        Its dictionaries as inputs of a record.
    """

    defense: Defense
    resources: Resources = field(compare=False)
    sources: tuple[Source, ...] = field(compare=False)
    identity: tuple[int | str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        digests = (source.sha256 for source in self.sources)
        object.__setattr__(self, "identity", (self.resources.seed, *digests))

    @classmethod
    def of(
        cls, defense: Defense, resources: Resources, dictionaries: Mapping[str, Source]
    ) -> AttackedDefense:
        """A defense with those of all dictionaries that it codes with."""
        used = {name: resources.dictionaries[name] for name in defense.dictionaries}
        sources = tuple(dictionaries[name] for name in used)
        return cls(defense, Resources(used, resources.seed), sources)


@dataclass(frozen=True)
class DefendedModel:
    """Makes what an attack sees of a classifier behind a defense."""

    attack: Attack
    attacked: AttackedDefense

    def __call__(self, classifier: Classifier, device: str) -> torch.nn.Module:
        """The module that the attack makes of defense and twin, in evaluation mode."""
        from rsparse.models.torch.twin import load_twin

        twin = load_twin(classifier, device)
        made = self.attack.through(twin, self.attacked.defense, self.attacked.resources)
        return made.eval()


def refuse_unable(attacks: Iterable[Attack], defense: Defense) -> None:
    """Check that attacks can be made through a defense.

    Raises
    ------
    InputError
        If one attacks the bare model only; those that can are named.
    """
    for attack in attacks:
        if not attack.attacks_through:
            able = [name for name, known in ATTACKS.items() if known.attacks_through]
            raise InputError(
                f"attack {attack_text(attack)} cannot be made through {defense_text(defense)}: "
                f"it attacks the bare model; able to: {', '.join(able) or 'no attack yet'}"
            )
