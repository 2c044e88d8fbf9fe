"""The parts of which the worst case over attacks consists, in their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rsparse.attacks.search.descent import Recipe
from rsparse.attacks.search.losses import CROSS_ENTROPY, LOSSES
from rsparse.attacks.search.shapes import PLAIN

UNNOTICED = "unnoticed"
COARSE = "coarse"
MORE = 2.5  # times the steps of PGD have the falling ones and APGD
MOMENTUM = 0.75


@dataclass(frozen=True)
class Part:
    """A descent that images are given to which no earlier part has moved to their goal.

    Attributes
    ----------
    by : str
        Its name in notes.
    recipe : Recipe
    backward : str
        How the defense is differentiated.
    shape : str
        ``plain``, ``unnoticed`` or ``coarse``.
    transferred : bool
        Whether the gradients come from a blurred model in place of the defended one.
    """

    by: str
    recipe: Recipe
    backward: str
    shape: str = PLAIN
    transferred: bool = False


def parts_of(steps: int, backwards: Sequence[str], evades: bool, fast: bool) -> list[Part]:
    """The parts of a search.

    Parameters
    ----------
    steps : int
        Those of PGD.
    backwards : sequence of str
        Those of the defense, the strongest first.
    evades : bool
        Whether changes that a policy does not notice come first.
    fast : bool
        Whether to take only the parts that find most.
    """
    shapes = (UNNOTICED, PLAIN) if evades else (PLAIN,)
    return (_few if fast else _all)(steps, backwards, shapes)


def _few(steps: int, backwards: Sequence[str], shapes: Sequence[str]) -> list[Part]:
    """Descents by the strongest backward and by the last one, which is the identity.

    An image that comes no nearer in a quarter of the steps goes on to the next descent. The two
    losses get stuck on different images, so the last descents have the other one.
    """
    ends = list(dict.fromkeys((backwards[0], backwards[-1])))
    brief = Recipe(steps, patience=max(1, steps // 4))
    return [
        *(Part("pgd", brief, ends[0], shape) for shape in shapes),
        *(Part("pgd", brief, backward) for backward in ends[1:]),
        *(Part("momentum", _falling(steps, CROSS_ENTROPY), ends[0], shape) for shape in shapes),
    ]


def _all(steps: int, backwards: Sequence[str], shapes: Sequence[str]) -> list[Part]:
    return [
        *(
            Part("pgd", Recipe(steps, loss, random_start=is_random), backward, shape)
            for is_random in (False, True)
            for loss in LOSSES
            for shape in shapes
            for backward in backwards
        ),
        *(
            Part("momentum", _falling(steps, loss), backward, shape)
            for loss in LOSSES
            for shape in shapes
            for backward in backwards
        ),
        *(
            Part("apgd", Recipe(round(MORE * steps), loss, auto=True), backward)
            for loss in LOSSES
            for backward in backwards
        ),
        Part("pgd", Recipe(steps), backwards[0], COARSE),
        Part("transfer", Recipe(steps), backwards[0], transferred=True),
    ]


def _falling(steps: int, loss: str) -> Recipe:
    return Recipe(round(MORE * steps), loss, momentum=MOMENTUM, falling=True)
