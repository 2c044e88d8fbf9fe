"""Choose a defense for each image by the noise in it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from rsparse.defenses.applied import Cleaned, chosen_by_rule
from rsparse.defenses.cleaner import Choice, Cleaner, SelectingCleaner
from rsparse.defenses.defense import Defense, Resources
from rsparse.defenses.registry import POLICY
from rsparse.errors import InputError
from rsparse.work.device import CPU, Device

if TYPE_CHECKING:
    from rsparse.core.regionsparse import Mask, Pixels

MEASURES = {
    "noise_below": "noise_level",
    "period_below": "period_two",
    "color_period_below": "color_period_two",
}
"""The bounds of a rule, and the function of ``core.noise`` that measures what each one limits."""


@dataclass(frozen=True)
class Rule:
    """A defense and the images to which it applies.

    Attributes
    ----------
    defense : Defense
    noise_below : float
        Applies to images whose ``core.noise.noise_level``, in grey levels, is below this.
    period_below : float
        Applies to images whose ``core.noise.period_two`` is below this.
    color_period_below : float
        Applies to images whose ``core.noise.color_period_two`` is below this.
    """

    defense: Defense
    noise_below: float = math.inf
    period_below: float = math.inf
    color_period_below: float = math.inf

    @property
    def has_bounds(self) -> bool:
        """Whether there are images to which it does not apply."""
        return bool(self.bounds())

    def covers(self, other: Rule) -> bool:
        """Whether it applies to every image to which another rule applies."""
        return all(getattr(self, name) >= getattr(other, name) for name in MEASURES)

    def bounds(self) -> dict[str, float]:
        """Return its finite bounds by name."""
        named = {name: getattr(self, name) for name in MEASURES}
        return {name: bound for name, bound in named.items() if bound != math.inf}

    @property
    def text(self) -> str:
        """``noise below 0.5, period below 4: none``; without bounds ``otherwise: …``."""
        words = [f"{name.replace('_', ' ')} {bound:g}" for name, bound in self.bounds().items()]
        return f"{', '.join(words) or 'otherwise'}: {self.defense.spec}"

    def as_record(self) -> dict[str, Any]:
        """Return its bounds and its defense as plain JSON types."""
        return {**self.bounds(), "defense": self.defense.as_record()}


@dataclass(frozen=True)
class ByNoise(Defense):
    """A policy: the first rule that applies to an image cleans it.

    No single strength is best against all attacks. The noise in the flattest parts of an image
    shows how strong an attack is. A period of two in that noise reveals a weak one, most clearly if
    it is looked for in colour, too.

    Attributes
    ----------
    policy : str
        Name of the policy, which is part of the defense's short name.
    rules : tuple of Rule
        The last rule has no bounds and applies to all remaining images.
    """

    name: ClassVar[str] = POLICY

    policy: str
    rules: tuple[Rule, ...]

    def __post_init__(self) -> None:
        """Check the name and the rules; the rules' defenses are already checked."""
        if not re.fullmatch(r"[^\W_][\w.-]{0,63}", self.policy):
            raise InputError(
                "policy: expected a name of up to 64 letters, digits, '-', '_' and '.', got "
                f"{self.policy!r}"
            )
        try:
            _check(self.rules)
        except InputError as error:
            raise InputError(f"policy {self.policy}: {error}") from None

    def chosen_for(self, image: Pixels) -> Defense:
        """Return the defense of the first rule that applies to an image, uint8 (h, w, 3)."""
        return self.rules[self.choice_for(image).rule - 1].defense

    def choice_for(self, image: Pixels) -> Choice:
        """Return the choice of ``chosen_for``: its defense, its rule and what was measured."""
        from rsparse.core import noise

        measured: dict[str, float] = {}  # only what a rule asks for

        def fits(name: str, bound: float) -> bool:
            measure = name.removesuffix("_below")
            if measure not in measured:
                measured[measure] = getattr(noise, MEASURES[name])(image)
            return measured[measure] < bound

        for number, rule in enumerate(self.rules, 1):  # the last one covers every image
            if all(fits(name, bound) for name, bound in rule.bounds().items()):
                return Choice(rule.defense, number, measured)
        raise AssertionError("the last rule has no bounds")

    def clean(self, image: Pixels, resources: Resources, mask: Mask | None = None) -> Pixels:
        return self.apply(image, resources, mask).pixels

    def apply(self, image: Pixels, resources: Resources, mask: Mask | None = None) -> Cleaned:
        choice = self.choice_for(image)
        cleaned = self.rules[choice.rule - 1].defense.apply(image, resources, mask)
        applied = chosen_by_rule(cleaned.applied, choice.rule, choice.measured)
        return Cleaned(cleaned.pixels, applied)

    def on(self, device: Device, resources: Resources) -> Cleaner:
        """Run each image's defense on the device if it can, else on the cores."""
        if not (device.takes_images and self.has_device_part):
            return super().on(device, resources)
        defenses = [rule.defense for rule in self.rules]
        cleaners = {defense: defense.on(device, resources) for defense in defenses}
        return SelectingCleaner(cleaners, self.choice_for)

    @property
    def has_device_part(self) -> bool:
        return any(rule.defense.has_device_part for rule in self.rules)

    def check(self, resources: Resources) -> None:
        for rule in self.rules:
            try:
                rule.defense.check(resources)
            except InputError as error:
                raise InputError(f"policy {self.policy}: {error}") from None

    @property
    def dictionaries(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(n for rule in self.rules for n in rule.defense.dictionaries))

    @property
    def takes_mask(self) -> bool:
        return any(rule.defense.takes_mask for rule in self.rules)

    @property
    def is_random(self) -> bool:
        return any(rule.defense.is_random for rule in self.rules)

    def codecs(self, device: Device = CPU) -> dict[str, str]:
        return {
            name: number
            for rule in self.rules
            for name, number in rule.defense.codecs(device).items()
        }

    @property
    def text(self) -> str:
        return f"{self.name}-{self.policy}"

    @property
    def spec(self) -> str:
        return f"{self.name}:{self.policy}"

    @property
    def details(self) -> tuple[str, ...]:
        return tuple(rule.text for rule in self.rules)

    def as_record(self) -> dict[str, Any]:
        """Return all rules, so that a record does not depend on the policy's file."""
        return {
            "name": self.kind,
            "policy": self.policy,
            "rules": [rule.as_record() for rule in self.rules],
        }


def _check(rules: tuple[Rule, ...]) -> None:
    """Check that every image has a rule, and that each rule can apply to some image."""
    if not rules:
        raise InputError("expected at least one rule, got none")
    if rules[-1].has_bounds:
        raise InputError(
            "the last rule has bounds; remove them, so that it covers all other images"
        )
    for number, rule in enumerate(rules, 1):
        for name, bound in rule.bounds().items():
            if not bound > 0:
                key = name.replace("_", "-")
                raise InputError(f"rule {number}: {key}: expected a number above 0, got {bound!r}")
        if ByNoise.name in rule.defense.kind.split("+"):
            raise InputError(f"rule {number}: a policy cannot contain another policy")
        for before, other in enumerate(rules[: number - 1], 1):
            if other.covers(rule):
                raise InputError(
                    f"rule {number} never applies, since rule {before} covers the same images"
                )
