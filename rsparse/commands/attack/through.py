"""Attacks through a defense: the attacked module, and the attacks that support it."""

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
    """A defense that an attack includes in the attacked model, with its resources.

    Attributes
    ----------
    defense : Defense
    resources : Resources
    sources : tuple of Source
        The defense's dictionaries as inputs of a record.
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
        """A defense with the dictionaries that it uses, selected from all of them."""
        used = {name: resources.dictionaries[name] for name in defense.dictionaries}
        sources = tuple(dictionaries[name] for name in used)
        return cls(defense, Resources(used, resources.seed), sources)


@dataclass(frozen=True)
class DefendedModel:
    """Makes the module that an attack differentiates for a classifier behind a defense."""

    attack: Attack
    attacked: AttackedDefense

    def __call__(self, classifier: Classifier, device: str) -> torch.nn.Module:
        """The module that the attack builds from the defense and the twin, in evaluation mode."""
        from rsparse.models.torch.twin import load_twin

        twin = load_twin(classifier, device)
        module = self.attack.through(twin, self.attacked.defense, self.attacked.resources)
        return module.eval()


def refuse_unable(attacks: Iterable[Attack], defense: Defense) -> None:
    """Check that all attacks support attacking through a defense.

    Raises
    ------
    InputError
        If an attack supports only the bare model; the message lists the attacks that support it.
    """
    for attack in attacks:
        if not attack.attacks_through:
            able = [name for name, known in ATTACKS.items() if known.attacks_through]
            raise InputError(
                f"attack {attack_text(attack)} cannot be made through {defense_text(defense)}: it "
                f"only attacks the bare model; attacks that can: {', '.join(able) or 'none yet'}"
            )
