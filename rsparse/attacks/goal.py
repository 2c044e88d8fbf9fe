"""What an attack is to achieve: that an image leaves its class, or that it reaches a target class.

A target is ``least-likely`` (the class with the smallest logit for the benign image), ``random``
(any other class, drawn from the attack's seed) or a class index.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rsparse.errors import InputError
from rsparse.options.fields import parameter
from rsparse.options.specs import hint_of

if TYPE_CHECKING:
    import torch
    from foolbox.models import PyTorchModel

    from rsparse.attacks.attack import Attack

LEAST_LIKELY = "least-likely"
RANDOM = "random"


def target_parameter(default: str | None = None) -> Any:
    """Declare the class that an attack is to reach."""
    return parameter(
        default,
        "Class to reach: least-likely, random, a class index or a class name; none only leaves "
        "the right class.",
        what=f"{LEAST_LIKELY}, {RANDOM}, a class index or a class name",
    )


def with_class_index(attack: Attack, class_names: Sequence[str]) -> Attack:
    """The attack with the index of its target class if the target is given by a name.

    Raises
    ------
    InputError
        If the attack needs more classes, there is no class with that index, or not exactly one
        with that name.
    """
    attack.check_classes(len(class_names))
    target = attack.aim
    if target is None or target in (LEAST_LIKELY, RANDOM):
        return attack
    if target.isdecimal():
        _check_index(target, len(class_names), f"{attack.name}: ")
        return attack
    index = class_index(target, class_names)
    if index is None:
        hint = hint_of(target, [LEAST_LIKELY, RANDOM, "a class index"], class_names)
        raise InputError(f"{attack.name}: target: no single class is named {target!r}; {hint}")
    return dataclasses.replace(attack, target=str(index))  # type: ignore[call-arg]


def _check_index(target: str, n_classes: int, where: str = "") -> None:
    if not target.isdecimal() or int(target) >= n_classes:
        raise InputError(
            f"{where}target: expected {LEAST_LIKELY}, {RANDOM} or a class from 0 to "
            f"{n_classes - 1}, got {target!r}"
        )


def class_index(name: str, class_names: Sequence[str]) -> int | None:
    """The only class with a name, or with it as one of several names ("tench, Tinca tinca")."""
    word = name.casefold()
    whole = [i for i, known in enumerate(class_names) if known.casefold() == word]
    parts = [
        i
        for i, known in enumerate(class_names)
        if word in (part.strip() for part in known.casefold().split(","))
    ]
    found = whole or parts
    return found[0] if len(found) == 1 else None


@dataclass(frozen=True)
class Goal:
    """The goal of an attack for each image of a batch.

    Attributes
    ----------
    labels : Tensor of shape (n,), int64
        The right classes.
    targets : Tensor of shape (n,), int64, or None
        The classes to reach; None if any wrong class will do.
    """

    labels: torch.Tensor
    targets: torch.Tensor | None = None

    @property
    def criterion(self) -> Any:
        """The goal in the form that foolbox takes."""
        if self.targets is None:
            return self.labels
        from foolbox.criteria import TargetedMisclassification

        return TargetedMisclassification(self.targets)

    def of(self, some: Any) -> Goal:
        """The goal of some images, given by a slice or a mask."""
        targets = None if self.targets is None else self.targets[some]
        return Goal(self.labels[some], targets)

    def is_reached(self, logits: torch.Tensor) -> torch.Tensor:
        """Which images with these logits (n, n_classes) meet the goal, (n,) bool."""
        predicted = logits.argmax(1)
        return predicted != self.labels if self.targets is None else predicted == self.targets


def choose_goal(
    target: str | None, model: PyTorchModel, x: torch.Tensor, labels: torch.Tensor, n_classes: int
) -> Goal:
    """The goal for benign images ``x`` (n, 3, h, w); random targets are drawn on the CPU.

    Raises
    ------
    InputError
        If ``target`` is not a class of the model.
    """
    import torch

    if target is None:
        return Goal(labels)
    if n_classes < 2:
        raise InputError(f"target: the model has only {n_classes} class")
    if target == LEAST_LIKELY:
        with torch.no_grad():
            logits = model(x).scatter(1, labels[:, None], float("inf"))
        return Goal(labels, logits.argmin(1))
    if target == RANDOM:
        steps = torch.randint(1, n_classes, (len(x),)).to(labels)
        return Goal(labels, (labels + steps) % n_classes)
    _check_index(target, n_classes)
    return Goal(labels, torch.full_like(labels, int(target)))
