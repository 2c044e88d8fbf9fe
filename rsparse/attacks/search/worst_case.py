"""The worst case over attacks: each image is attacked in one way after the other until one fools.

An image that fools the defender as a file is done at once. The others go on together, so that a
batch becomes smaller and the costly parts see few images.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from rsparse.attacks.goal import Goal
from rsparse.attacks.search.defended import Subject, unnoticed_shape
from rsparse.attacks.search.descent import Found, descend
from rsparse.attacks.search.plan import COARSE, UNNOTICED, Part, parts_of
from rsparse.attacks.search.region import Region
from rsparse.attacks.search.shapes import Coarse, Shape
from rsparse.attacks.search.squares import squares

if TYPE_CHECKING:
    from rsparse.attacks.adaptive import Adaptive

Note = dict[str, Any]
UNCHANGED = "no change"


class WorstCase:
    """A search on one batch.

    Parameters
    ----------
    module : torch.nn.Module
        See ``defended.Subject``.
    x : Tensor of shape (n, 3, h, w), float32 in [0, 1]
    goal : Goal
    attack : Adaptive
        Its limit and its choices.
    """

    def __init__(
        self, module: torch.nn.Module, x: torch.Tensor, goal: Goal, attack: Adaptive
    ) -> None:
        self._subject = Subject(module)
        self._x, self._goal, self._attack = x, goal, attack
        self._found = Found(Region.around(x, attack.eps))
        self._notes: list[Note] = [{"by": UNCHANGED} for _ in x]
        self._gradients = [0] * len(x)
        self._tried: list[list[str]] = [[] for _ in x]

    def run(self) -> torch.Tensor:
        """The image of each original that fools, or else comes nearest, (n, 3, h, w)."""
        attack = self._attack
        evades = attack.evade and self._subject.has_policy
        for part in parts_of(attack.steps, self._subject.backwards, evades, attack.fast):
            left = (~self._found.reached).nonzero()[:, 0]
            if len(left):
                self._descend(part, left)
        if attack.queries and not attack.fast:
            self._search_squares()
        return self._found.x_adv

    def notes(self) -> list[Note]:
        """What found each result, and at what cost, as plain JSON types.

        ``reached`` tells whether the result fools. ``by``, ``backward``, ``loss``, ``start`` and
        ``shape`` name the descent that found it; ``steps`` counts its gradient steps up to the
        result, ``gradients`` those of all descents and ``queries`` the images that the defender
        classified. ``lowered`` is the share of the first steps of all descents that lowered the
        loss. ``rules`` are the numbers, from 1, of the policy's rules before and after the
        attack.
        ``fooled`` is how many of ``asked`` draws of a random defense the result fools. ``tried``
        are the backwards of a defense by which the image was attacked, in their order.
        """
        found = self._found
        for i, note in enumerate(self._notes):
            note["reached"] = bool(found.reached[i])
            note["gradients"] = self._gradients[i]
            note["queries"] = int(found.asked[i])
            if self._tried[i]:
                note["tried"] = self._tried[i]
            compared = int(found.compared[i])
            if compared:
                note["lowered"] = round(int(found.lowered[i]) / compared, 4)
        self._note_rules()
        if self._subject.is_random:
            self._resubmit()
        return self._notes

    def _descend(self, part: Part, left: torch.Tensor) -> None:
        """Give the images that are left to a part."""
        x, goal, subject = self._x[left], self._goal.of(left), self._subject
        guide = subject.surrogate if part.transferred else subject.guide
        with subject.differentiated_by(part.backward):
            other = descend(
                subject.ask,
                x,
                goal,
                self._attack.eps,
                part.recipe,
                shape=self._shape(part, x),
                guide=guide,
                stop=True,
            )
        taken = self._found.take_better(other, left)
        for i, place in enumerate(left.tolist()):
            steps = int(other.asked[i]) - 1
            self._gradients[place] += steps
            tried = self._tried[place]
            by_defense = subject.has_defense and not part.transferred
            if steps and by_defense and part.backward not in tried:
                tried.append(part.backward)
            if taken[i]:
                self._notes[place] = _note(part, int(other.steps[i]), subject.has_defense)

    def _shape(self, part: Part, x: torch.Tensor) -> Shape:
        if part.shape == UNNOTICED:
            return unnoticed_shape(x)
        return Coarse() if part.shape == COARSE else Shape()

    def _search_squares(self) -> None:
        left = (~self._found.reached).nonzero()[:, 0]
        levels = math.floor(self._attack.eps)
        if not len(left) or not levels:
            return
        x, goal = (255 * self._x[left]).round() / 255, self._goal.of(left)
        result = squares(self._subject.ask, x, goal, levels / 255, self._attack.queries, stop=True)
        region = Region.around(self._x[left], self._attack.eps)
        other = Found(region)
        tried = region.image(255 * result.x_adv - region.origin)
        with torch.no_grad():
            other.note(
                torch.arange(len(left), device=left.device),
                tried,
                self._subject.ask(tried),
                goal,
                0,
            )
        other.asked[:] = result.queries + 1
        taken = self._found.take_better(other, left)
        for place, queries in zip(
            left[taken].tolist(), result.queries[taken].tolist(), strict=True
        ):
            self._notes[place] = {"by": "square", "steps": queries}

    def _note_rules(self) -> None:
        before = self._subject.branches(self._x)
        after = self._subject.branches(self._found.x_adv)
        if before is not None and after is not None:
            for note, rules in zip(self._notes, zip(before, after, strict=True), strict=True):
                note["rules"] = [number + 1 for number in rules]

    def _resubmit(self) -> None:
        """Ask a random defense again about each result."""
        times = self._attack.resubmissions
        logits = self._subject.resubmitted(self._found.x_adv, times)
        fooled = torch.stack([self._goal.is_reached(each) for each in logits]).sum(0)
        for note, count in zip(self._notes, fooled.tolist(), strict=True):
            note["asked"], note["fooled"] = times, count


def _note(part: Part, steps: int, has_defense: bool) -> Note:
    if steps == 0 and not part.recipe.random_start:
        return {"by": UNCHANGED, "steps": 0}
    return {
        "by": part.by,
        "loss": part.recipe.loss,
        "start": "random" if part.recipe.random_start else "image",
        "shape": part.shape,
        "steps": steps,
        **({"backward": part.backward} if has_defense and not part.transferred else {}),
    }
