"""Define the base of all attacks' parameter sets.

``eps`` is in grey levels 0–255; attacks divide it by 255. The modules that define attacks import
nothing heavy; each ``perturb`` imports what it needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from rsparse.options.attack import BackwardChoice
from rsparse.options.fields import Parameters, levels_parameter, parameter

if TYPE_CHECKING:
    import torch
    from foolbox.models import PyTorchModel

    from rsparse.attacks.goal import Goal
    from rsparse.defenses import Defense, Resources


@dataclass(frozen=True)
class Attack(Parameters):
    """Base of all attacks' parameter sets.

    Attributes
    ----------
    name : str
        Its name in a spec.
    strengths : tuple of str
        The parameters that limit the change; they are always part of its short name.
    seeks_minimum : bool
        Whether it seeks the smallest change that fools the classifier, so that a result which
        does not fool it is a failure. Other attacks use up the change that they are allowed.
    norm : str or None
        The norm of ``limits``: l1, l2 or linf.
    needs_gradients : bool
        Whether it differentiates the classifier.
    whole_levels : bool
        Whether it makes images of whole grey levels, whose change is within eps as a file, too.
        Rounding moves the other attacks' results by up to half a level.
    attacks_through : bool
        Whether it can be made through a defense.
    stops_early : bool
        Whether an image is done as soon as it fools, so that most need far fewer than ``passes``.
    """

    name: ClassVar[str]
    strengths: ClassVar[tuple[str, ...]] = ("eps",)
    seeks_minimum: ClassVar[bool] = False
    norm: ClassVar[str | None] = None
    needs_gradients: ClassVar[bool] = True
    whole_levels: ClassVar[bool] = False
    attacks_through: ClassVar[bool] = True
    stops_early: ClassVar[bool] = False

    def through(
        self,
        twin: torch.nn.Module,
        defense: Defense,
        resources: Resources,
        choice: BackwardChoice = BackwardChoice(),
    ) -> torch.nn.Module:
        """Return the module to attack instead of a classifier's twin, so that it has the defense.

        Parameters
        ----------
        twin : torch.nn.Module
            Takes (n, 3, h, w) float32 RGB in [0, 1] and returns logits (n, n_classes).
        defense : Defense
        resources : Resources
            What the defense needs.
        choice : BackwardChoice
            How the defense is differentiated.

        Returns
        -------
        torch.nn.Module
            Has the same input and output as the twin, and can be differentiated if the twin can.

        Raises
        ------
        InputError
            If the defense has no such backward.
        """
        from rsparse.defenses import NoDefense

        if defense == NoDefense():
            return twin
        from rsparse.attacks.through.module import DefendedModule

        return DefendedModule(twin, defense, resources, choice.backward, choice.draws)

    def perturb(self, model: PyTorchModel, x: torch.Tensor, goal: Goal) -> torch.Tensor:
        """Attack images ``x`` (n, 3, h, w) in [0, 1], without checks.

        ``attacked`` calls this, and ``rsparse.attacks.run_attack`` checks its input and result.
        """
        raise NotImplementedError

    def attacked(
        self, module: torch.nn.Module, x: torch.Tensor, goal: Goal
    ) -> tuple[torch.Tensor, list[dict[str, Any]] | None]:
        """Attack images with all that the attacked module offers, without checks.

        Parameters
        ----------
        module : torch.nn.Module
            The classifier, bare or behind a defense.
        x : Tensor of shape (n, 3, h, w), float32 in [0, 1]
        goal : Goal

        Returns
        -------
        x_adv : Tensor like ``x``
        notes : list of dict, or None
            What the attack tells about each image, as plain JSON types.
        """
        from foolbox.models import PyTorchModel

        return self.perturb(PyTorchModel(module, bounds=(0, 1), device=x.device), x, goal), None

    def check_classes(self, n_classes: int) -> None:
        """Refuse a model that has too few classes for the attack.

        Raises
        ------
        InputError
        """

    def limits(self, x: torch.Tensor) -> torch.Tensor | None:  # noqa: ARG002
        """Return the norm to which to shorten each image's change, (n,), or None to keep it.

        Only for attacks that seek the smallest change; other attacks respect their limits.
        """
        return None

    @property
    def aim(self) -> str | None:
        """The class to reach (the field ``target``), or None if any wrong class will do."""
        target = getattr(self, "target", None)
        return target if isinstance(target, str) else None  # elsewhere it is a level of contrast

    @property
    def passes(self) -> int:
        """Approximate number of forward and backward passes per image, which sets its cost."""
        return 1

    @property
    def average_d(self) -> float | None:
        """The average dissimilarity to which to scale the results of a whole set, if any."""
        return None

    @property
    def factor(self) -> float:
        """The factor by which to multiply the change of each image after the attack."""
        return 1.0

    def unscaled(self) -> Attack:
        """Return the attack without either scaling, which follows when all images are attacked."""
        return self

    def as_record(self) -> dict[str, Any]:
        """Return its name and values as plain JSON types."""
        return {"name": self.name, **super().as_record()}


def eps_parameter(default: float | None = 8.0) -> Any:
    """Declare the limit of a change in L∞."""
    return levels_parameter(default, "Largest change of a pixel in grey levels.", minimum=0)


def steps_parameter(default: int) -> Any:
    """Declare the number of iterations."""
    return parameter(default, "Iterations.", minimum=1, maximum=1_000_000)
