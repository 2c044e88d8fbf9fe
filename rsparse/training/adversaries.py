"""Define the adversarial versions of a training: attacked on the current weights, then purified.

Some attacks know the defense behind which they are judged, and are made through it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rsparse.defended.images import DefendedImages
from rsparse.defenses import Defense, NoDefense, Resources, defense_text
from rsparse.defenses.resources import load_resources
from rsparse.errors import InputError
from rsparse.options.attack import BackwardChoice
from rsparse.options.train import TrainParameters
from rsparse.store.images import Pixels
from rsparse.store.records import Source
from rsparse.work.device import CPU, Device
from rsparse.work.workers import ParallelMap

if TYPE_CHECKING:
    import torch

ADVERSARIAL = "adversarial"


THROUGH = "adversarial-through"


class AdversarialDefenses(NamedTuple):
    """Defenses that purify adversarial images, one version for each.

    ``dictionaries`` are files by the names that the defenses use; "" is the default one. The
    attacks know the defenses ``through``, but not ``defenses``.
    """

    defenses: Sequence[Defense]
    dictionaries: Mapping[str, Path]
    through: Sequence[Defense] = ()


def version_of(defense: Defense, kind: str = ADVERSARIAL) -> str:
    """Return the name of the version of adversarial images behind a defense.

    Examples
    --------
    >>> from rsparse.defenses import parse_defense
    >>> [version_of(defense) for text in ("none", "jpeg") for defense in parse_defense(text)]
    ['adversarial', 'adversarial+jpeg-quality=75']
    >>> version_of(*parse_defense("jpeg"), THROUGH)
    'adversarial-through+jpeg-quality=75'
    """
    if defense == NoDefense():
        return ADVERSARIAL
    return f"{kind}+{defense_text(defense)}"


@dataclass(frozen=True)
class Adversaries:
    """The adversarial versions of a training, each with its defense.

    Attributes
    ----------
    defenses : mapping of str to Defense
        By version.
    resources : Resources
        The resources that the defenses need.
    device : Device
        Where attacked images are purified.
    through : frozenset of str
        The versions whose attacks are made through their defense.
    """

    defenses: Mapping[str, Defense] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)
    device: Device = CPU
    through: frozenset[str] = frozenset()

    @classmethod
    def from_defenses(
        cls,
        defenses: Iterable[Defense],
        resources: Resources,
        device: Device = CPU,
        through: Iterable[Defense] = (),
    ) -> Adversaries:
        """Create one version for each defense; the attacks know those in ``through``."""
        known = {version_of(defense, THROUGH): defense for defense in through}
        versions = {version_of(defense): defense for defense in defenses} | known
        return cls(versions, resources, device, frozenset(known) - {ADVERSARIAL})

    def attacked(self, version: str, network: torch.nn.Module) -> torch.nn.Module:
        """The module on which a version's attack is made: the network, or one behind a defense."""
        if version not in self.through:
            return network
        from rsparse.attacks.through.module import DefendedModule

        choice = BackwardChoice()
        return DefendedModule(
            network, self.defenses[version], self.resources, choice.backward, choice.draws
        )

    @cached_property
    def _images(self) -> dict[str, DefendedImages]:
        """The versions that have a defense that does something."""
        return {
            version: DefendedImages(defense, self.resources, self.device)
            for version, defense in self.defenses.items()
            if version != ADVERSARIAL
        }

    def check(self, size: tuple[int, int]) -> None:
        """Check that all defenses accept images of this height and width.

        Raises
        ------
        InputError
            If the images are too small for a defense.
        """
        for version in self._images:
            self.shown([version], [np.zeros((*size, 3), np.uint8)])

    def changes(self, version: str) -> bool:
        """Whether a version has a defense that does something."""
        return version in self._images

    def shown(
        self, versions: Sequence[str], images: Sequence[Pixels], parallel_map: ParallelMap = map
    ) -> list[Pixels]:
        """Purify attacked images (h, w, 3) uint8 with the defenses of their versions.

        Parameters
        ----------
        versions : sequence of str
            Of each image, one that ``changes``.
        images : sequence of uint8 arrays
        parallel_map : callable
            Maps the CPU's part of the work over the images, like ``map``.
        """
        clean: dict[int, Pixels] = {}
        for version in dict.fromkeys(versions):
            places = [place for place, other in enumerate(versions) if other == version]
            try:
                some = self._images[version].clean(
                    [images[place] for place in places], parallel_map=parallel_map
                )
            except InputError as error:
                text = defense_text(self.defenses[version])
                option = "--through" if version in self.through else "--adversarial-defense"
                raise InputError(
                    f"{option} {text}: at the model's input size an image {error}"
                ) from error
            clean.update(zip(places, some, strict=True))
        return [clean[place] for place in range(len(images))]


def load_adversaries(
    parameters: TrainParameters, chosen: AdversarialDefenses | None, device: Device = CPU
) -> tuple[Adversaries, dict[str, Source]]:
    """Load the adversarial versions, and the dictionaries of their defenses.

    Raises
    ------
    InputError
        If the training uses no adversarial images, or a dictionary is missing or cannot be used.
    """
    chosen = chosen or AdversarialDefenses((), {})
    if not parameters.is_adversarial:
        for option, given in (
            ("--adversarial-defense", chosen.defenses),
            ("--through", chosen.through),
        ):
            if given:
                raise InputError(
                    f"{option} cannot be used with --train-on {parameters.train_on}, "
                    "which shows no adversarial images"
                )
        return Adversaries(), {}
    defenses, dictionaries, through = chosen
    if not (defenses or through):
        defenses = [NoDefense()]
    resources, used = load_resources([*defenses, *through], dictionaries, parameters.seed)
    return Adversaries.from_defenses(defenses, resources, device.for_images(), through), used
