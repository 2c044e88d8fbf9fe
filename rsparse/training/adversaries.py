"""Adversarial images, made on the weights as they change, and what they are shown behind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rsparse.defenses import Defense, NoDefense, Resources, defense_text
from rsparse.defenses.resources import load_resources
from rsparse.errors import InputError
from rsparse.options.train import TrainParameters
from rsparse.store.images import Pixels
from rsparse.store.records import Source

ADVERSARIAL = "adversarial"


class Behind(NamedTuple):
    """Defenses that adversarial images are shown behind, one version for each.

    ``dictionaries`` are files by the names that the defenses ask for; "" is the default one.
    """

    defenses: Sequence[Defense]
    dictionaries: Mapping[str, Path]


def version_of(defense: Defense) -> str:
    """What adversarial images behind a defense are called.

    Examples
    --------
    >>> from rsparse.defenses import parse_defense
    >>> [version_of(defense) for text in ("none", "jpeg") for defense in parse_defense(text)]
    ['adversarial', 'adversarial+jpeg-quality=75']
    """
    if isinstance(defense, NoDefense):
        return ADVERSARIAL
    return f"{ADVERSARIAL}+{defense_text(defense)}"


@dataclass(frozen=True)
class Adversaries:
    """The versions that are attacked when they are shown, each behind its defense.

    Attributes
    ----------
    defenses : mapping of str to Defense
        By version.
    resources : Resources
        What the defenses need.
    """

    defenses: Mapping[str, Defense] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)

    @classmethod
    def behind(cls, defenses: Iterable[Defense], resources: Resources) -> Adversaries:
        """One version for each defense."""
        return cls({version_of(defense): defense for defense in defenses}, resources)

    def check(self, size: tuple[int, int]) -> None:
        """See that images of that height and width can be shown behind all defenses.

        Raises
        ------
        InputError
            If they are too small for one.
        """
        for version in filter(self.changes, self.defenses):
            self.shown(version, np.zeros((*size, 3), np.uint8))

    def changes(self, version: str) -> bool:
        """Whether a version is shown behind a defense that does something."""
        return not isinstance(self.defenses.get(version, NoDefense()), NoDefense)

    def shown(self, version: str, image: Pixels) -> Pixels:
        """An attacked image (h, w, 3) uint8 as it looks behind the version's defense."""
        defense = self.defenses[version]
        try:
            return defense.clean(image, self.resources)
        except InputError as error:
            text = defense_text(defense)
            raise InputError(
                f"--adversarial-defense {text}: at the model's input size an image {error}"
            ) from error


def load_adversaries(
    parameters: TrainParameters, behind: Behind | None
) -> tuple[Adversaries, dict[str, Source]]:
    """The versions that are attacked as they are shown, and the dictionaries of their defenses.

    Raises
    ------
    InputError
        If no adversarial images are shown, or a dictionary is missing or cannot be used.
    """
    if behind is not None and behind.defenses and not parameters.is_adversarial:
        raise InputError(f"--adversarial-defense: --on {parameters.on} shows no adversarial images")
    if not parameters.is_adversarial:
        return Adversaries(), {}
    chosen, dictionaries = behind or Behind((), {})
    defenses = chosen or [NoDefense()]
    resources, used = load_resources(defenses, dictionaries, parameters.seed)
    return Adversaries.behind(defenses, resources), used
