"""What a defense did to one image: its parts, and the policy's rule that chose them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rsparse.core.regionsparse import Pixels


@dataclass(frozen=True)
class Applied:
    """A defense as it was applied to an image; of a chain, one of its parts.

    Attributes
    ----------
    defense : str
        Its spec, with its parameters.
    sparsity : int or None
        K, the most atoms for a patch; None if it codes nothing.
    region : float or None
        Share of the image's pixels in the object region, 0 to 1; 1 if the whole image is coded.
    rule : int or None
        Number of the policy's rule that chose it, from 1; None without a policy.
    measured : mapping of str to float
        What the policy measured to choose it, with five digits: ``noise`` in grey levels,
        ``period`` and ``color_period``; see ``core.noise``. Only the first part that a rule
        chose has it, and only with what a rule asked for.
    """

    defense: str
    sparsity: int | None = None
    region: float | None = None
    rule: int | None = None
    measured: Mapping[str, float] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """``rule 2: jpeg:quality=75``; without a policy the spec alone."""
        return self.defense if self.rule is None else f"rule {self.rule}: {self.defense}"

    def as_json(self) -> dict[str, Any]:
        """Return what is known of it as plain JSON types."""
        known = {
            "rule": self.rule,
            "measured": dict(self.measured) or None,
            "defense": self.defense,
            "sparsity": self.sparsity,
            "region": self.region,
        }
        return {key: value for key, value in known.items() if value is not None}


class Cleaned(NamedTuple):
    """A clean image, uint8 (h, w, 3), and the parts of the defense in the order of their work."""

    pixels: Pixels
    applied: tuple[Applied, ...]


def chosen_by_rule(
    applied: tuple[Applied, ...], rule: int, measured: Mapping[str, float]
) -> tuple[Applied, ...]:
    """Tell that a policy's rule chose these parts, by what it measured.

    Parameters
    ----------
    applied : tuple of Applied
        At least one.
    rule : int
        Its number, from 1.
    measured : mapping of str to float
        The names and values of the measures, in the order in which they were asked for.
    """
    first, *others = (replace(part, rule=rule) for part in applied)
    rounded = {name: five_digits(value) for name, value in measured.items()}
    return replace(first, measured=rounded), *others


def five_digits(value: float) -> float:
    """Round a measured value, so that a record can be read."""
    return float(f"{value:.5g}")
