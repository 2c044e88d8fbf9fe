"""Run a defense so that a gradient can be carried back through it.

Rounding, the choice of atoms and the choice of a policy have no useful derivative. A *backward*
replaces them (BPDA; Athalye, Carlini, Wagner 2018). Each defense has several, by name:

``identity``
    The gradient passes unchanged. Every defense has it.
``atoms``
    Sparse coding becomes the projection onto more atoms than were chosen.
``supports``
    Sparse coding is differentiated with the chosen atoms held: its derivative almost everywhere.
``smooth``
    A published differentiable substitute, or the exact derivative without the rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rsparse.defenses import Chain, Defense, Resources
from rsparse.defenses.by_noise import ByNoise
from rsparse.errors import InputError

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Vjp = Callable[[Floats], Floats]

IDENTITY = "identity"


class Traced(NamedTuple):
    """A clean image (h, w, 3), and the product of a gradient with the defense's Jacobian.

    ``vjp`` takes the gradient with respect to the clean image and returns the gradient with respect
    to the given one; both are float32 (h, w, 3) in the same unit.
    """

    cleaned: Pixels
    vjp: Vjp


Trace = Callable[[Any, Pixels, Resources], Traced]
"""Cleans an image by a defense of one kind."""


def trace(defense: Defense, image: Pixels, resources: Resources, backward: str) -> Traced:
    """Clean an image, (h, w, 3) uint8, and return the bytes of ``clean`` with their backward.

    A chain is traced part by part, and a policy through the defense that it chooses. A part that
    has no backward of that name uses its strongest one.
    """
    if isinstance(defense, Chain):
        vjps = []
        for part in defense.parts:
            image, vjp = trace(part, image, resources, backward)
            vjps.append(vjp)
        return Traced(image, lambda gradient: _back_through(vjps, gradient))
    if isinstance(defense, ByNoise):
        return trace(defense.chosen_for(image), image, resources, backward)
    own = _own(defense)
    return own.get(backward, next(iter(own.values())))(defense, image, resources)


def backwards_of(defense: Defense) -> tuple[str, ...]:
    """Names of the backwards that differ for a defense, the strongest first."""
    parts = [_own(part) for part in leaves(defense)]
    names = dict.fromkeys(name for own in parts for name in own if name != IDENTITY)
    different: dict[tuple[Trace, ...], str] = {}
    for name in (*names, IDENTITY):
        used = tuple(own.get(name, next(iter(own.values()))) for own in parts)
        different.setdefault(used, name)
    return tuple(different.values())


def chosen_backward(defense: Defense, name: str | None) -> str:
    """Return the backward of this name, by default the strongest.

    Raises
    ------
    InputError
        If the defense has no such backward.
    """
    known = backwards_of(defense)
    if name is not None and name not in known:
        raise InputError(f"{defense.kind} has no backward {name!r}; it has {', '.join(known)}")
    return name or known[0]


def leaves(defense: Defense) -> list[Defense]:
    """The defenses of which chains and policies consist."""
    if isinstance(defense, Chain):
        return [leaf for part in defense.parts for leaf in leaves(part)]
    if isinstance(defense, ByNoise):
        return [leaf for rule in defense.rules for leaf in leaves(rule.defense)]
    return [defense]


def _back_through(vjps: list[Vjp], gradient: Floats) -> Floats:
    for vjp in reversed(vjps):
        gradient = vjp(gradient)
    return gradient


def _identity(defense: Defense, image: Pixels, resources: Resources) -> Traced:
    return Traced(defense.clean(image, resources), lambda gradient: gradient)


def _own(defense: Defense) -> dict[str, Trace]:
    """The backwards of a defense that is neither a chain nor a policy, the strongest first."""
    from rsparse.attacks.through.kinds import BACKWARDS

    for kind in type(defense).__mro__:
        if kind in BACKWARDS:
            return {**BACKWARDS[kind], IDENTITY: _identity}
    return {IDENTITY: _identity}
