"""Turn any attack class of foolbox into a parameter dataclass, based on its constructor."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import typing
from typing import TYPE_CHECKING, Any

from rsparse.attacks.attack import Attack
from rsparse.attacks.backend import require_foolbox
from rsparse.attacks.goal import LEAST_LIKELY, target_parameter
from rsparse.errors import InputError
from rsparse.options.fields import (
    field_type,
    levels_parameter,
    parameter,
    relative_parameter,
)

if TYPE_CHECKING:
    import torch
    from foolbox.models import PyTorchModel

    from rsparse.attacks.goal import Goal

_NORMS = {0: "l0", 1: "l1", 2: "l2", float("inf"): "linf"}
_NORM_BY_DEFAULT = {"HopSkipJumpAttack": "l2"}  # the class says L1, the constructor's default is L2
_IGNORED_ARGUMENTS = ("init_attack", "tensorboard", "distance", "channel_axis", "reduced_dims")
_BINARY_SEARCHES = ("L2CarliniWagnerAttack", "EADAttack")
_WITHOUT_GRADIENTS = (
    "BoundaryAttack",
    "ContrastReductionAttack",
    "GaussianBlurAttack",
    "HopSkipJumpAttack",
    "InversionAttack",
    "NoiseAttack",
    "PointwiseAttack",
    "SpatialAttack",
)
"""How the names of the classes end that only ask for predictions."""
_REFUSED = {
    "BinarizationRefinementAttack": "it refines the result of another attack",
    "DatasetAttack": "it needs a set of images to choose from",
}
_TARGETED = (
    "BaseGradientDescent",
    "DDNAttack",
    "EADAttack",
    "FMNAttackLp",
    "L2CarliniWagnerAttack",
)
_UNTARGETED = ("L1FastGradientAttack", "L2FastGradientAttack", "LinfFastGradientAttack")


@dataclasses.dataclass(frozen=True)
class FoolboxAttack(Attack):
    """An attack of foolbox, with its own name and arguments.

    Besides the constructor's arguments, a subclass has the field ``eps`` (L∞) or ``d`` (L₁, L₂) if
    the attack's change can be limited. The field is optional for an attack that seeks the smallest
    change, whose result is then cut back to the limit; for other attacks it is required.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the class by its name, since it is created at run time."""
        return _rebuild, (self.name, dataclasses.asdict(self))

    def perturb(self, model: PyTorchModel, x: torch.Tensor, goal: Goal) -> torch.Tensor:
        """Run the attack; see ``FoolboxAttack`` for limits."""
        from rsparse.attacks.foolbox_calls import minimal_perturbation

        attack = self._build()
        if self.seeks_minimum:
            return minimal_perturbation(attack, model, x, goal)
        return self._use_up_limits(attack, model, x, goal)

    @property
    def passes(self) -> int:
        """See ``Attack.passes``; some classes stop early, some take several passes per step."""
        counts = ["steps", "repeats", "directions"]
        if self.name in _BINARY_SEARCHES:
            counts.append("binary_search_steps")
        return math.prod(getattr(self, name, 1) for name in counts)

    def limits(self, x: torch.Tensor) -> torch.Tensor | None:
        """See ``Attack.limits``."""
        values = {name: getattr(self, name, None) for name in ("eps", "d")}
        if values["eps"] is not None:
            return x.new_full((len(x),), values["eps"] / 255)
        if values["d"] is not None:
            return values["d"] * x.flatten(1).norm(p=1 if self.norm == "l1" else 2, dim=1)
        return None

    def _build(self) -> Any:
        import foolbox.attacks

        arguments = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in self.strengths and not _is_aim(field)
        }
        return getattr(foolbox.attacks, self.name)(**arguments)

    def _use_up_limits(
        self, attack: Any, model: PyTorchModel, x: torch.Tensor, goal: Goal
    ) -> torch.Tensor:
        """Run the attack up to its limits; foolbox takes one limit per call."""
        import torch

        from rsparse.attacks.foolbox_calls import perturb_within

        limits = self.limits(x)
        assert limits is not None  # such a class requires eps or d
        if self.norm == "linf":
            return perturb_within(attack, model, x, goal, limits[0].item())
        singles = [
            perturb_within(attack, model, x[i : i + 1], goal.of(slice(i, i + 1)), limit)
            for i, limit in enumerate(limits.tolist())
        ]
        return torch.cat(singles)


def _rebuild(name: str, values: dict[str, Any]) -> FoolboxAttack:
    kind = foolbox_attack(name)
    assert kind is not None
    return kind(**values)


@functools.cache
def foolbox_attack(name: str) -> type[FoolboxAttack] | None:
    """Return the parameter dataclass of a foolbox attack class, or None if there is none.

    Raises
    ------
    InputError
        If the class cannot be built from plain numbers, or foolbox is not installed.
    """
    classes = _classes()
    if name not in classes:
        return None
    if name in _REFUSED:
        raise InputError(f"foolbox's {name} cannot be used here: {_REFUSED[name]}")
    if _forgets_adam(classes[name]):
        raise InputError(
            f"foolbox's {name} never uses Adam and equals {name.replace('Adam', '')}; "
            f"use that or {name.replace('BasicIterativeAttack', 'PGD')}"
        )
    return _dataclass_of(name, classes[name])


def usable_names() -> list[str]:
    """Return the names of all foolbox attacks that ``foolbox_attack`` accepts."""
    return [
        name for name, cls in _classes().items() if name not in _REFUSED and not _forgets_adam(cls)
    ]


def class_names() -> list[str]:
    """Return the names of all foolbox attacks, also of those that cannot be used."""
    return list(_classes())


def _classes() -> dict[str, type]:
    require_foolbox()
    import foolbox.attacks

    return {
        name: cls
        for name, cls in sorted(vars(foolbox.attacks).items())
        if inspect.isclass(cls)
        and issubclass(cls, foolbox.attacks.Attack)
        and not inspect.isabstract(cls)
    }


def _forgets_adam(cls: Any) -> bool:
    """Whether a class accepts Adam's parameters but runs plain gradient descent.

    Two classes of foolbox 3.3 do.
    """
    from foolbox.attacks.gradient_descent_base import BaseGradientDescent

    return (
        "Adam" in cls.__name__
        and issubclass(cls, BaseGradientDescent)
        and cls.get_optimizer is BaseGradientDescent.get_optimizer
    )


def _dataclass_of(name: str, cls: type) -> type[FoolboxAttack]:
    from foolbox.attacks.base import FixedEpsilonAttack

    norm = _norm_of(name, cls)
    seeks_minimum = not issubclass(cls, FixedEpsilonAttack)
    strength = _strength(norm, seeks_minimum)
    made = dataclasses.make_dataclass(
        name,
        [*strength, *_arguments(cls), *_target(cls)],
        bases=(FoolboxAttack,),
        frozen=True,
        kw_only=True,
        namespace={
            "__doc__": (inspect.getdoc(cls) or name).splitlines()[0],
            "__module__": __name__,
            "name": name,
            "norm": norm,
            "strengths": tuple(field[0] for field in strength),
            "seeks_minimum": seeks_minimum,
            "needs_gradients": not name.endswith(_WITHOUT_GRADIENTS),
        },
    )
    return typing.cast(type[FoolboxAttack], made)


def _norm_of(name: str, cls: Any) -> str | None:
    """The norm that a class limits or minimises; some classes know it only on an instance."""
    if name in _NORM_BY_DEFAULT:
        return _NORM_BY_DEFAULT[name]
    distance = getattr(cls, "distance", None)
    if isinstance(distance, property):
        try:
            distance = cls().distance
        except (AttributeError, ValueError):  # the class has no norm, or the caller chooses it
            return None
    return None if distance is None else _NORMS[distance.p]


def _strength(norm: str | None, seeks_minimum: bool) -> list[tuple[str, str, Any]]:
    annotation = "float | None" if seeks_minimum else "float"
    if norm == "linf":
        default = None if seeks_minimum else 8.0
        return [("eps", annotation, levels_parameter(default, "Grey levels.", minimum=0))]
    if norm in ("l1", "l2"):
        default = None if seeks_minimum else 0.05
        text = f"Largest {norm.upper()} norm of the change, relative to the image's own."
        return [("d", annotation, relative_parameter(default, text, minimum=0))]
    return []


def _arguments(cls: type) -> list[tuple[str, str, Any]]:
    """The constructor's arguments with plain values, with their types and defaults."""
    constructor = typing.cast(Any, cls).__init__
    hints = typing.get_type_hints(constructor)
    fields = []
    for argument in inspect.signature(constructor).parameters.values():
        if argument.name not in hints or argument.name in _IGNORED_ARGUMENTS:
            continue
        annotation, choices = _plain_type(hints[argument.name])
        needed = argument.default is inspect.Parameter.empty
        default = dataclasses.MISSING if needed else argument.default
        fields.append((argument.name, annotation, parameter(default, choices=choices)))
    return fields


def _is_aim(field: dataclasses.Field[Any]) -> bool:
    """Whether a field is the class to reach; some constructors have another "target"."""
    return field.name == "target" and field_type(field) is str


def _target(cls: type) -> list[tuple[str, str, Any]]:
    """The field ``target`` of a class that can reach a chosen class; GenAttack always does."""
    if cls.__name__ == "GenAttack":
        return [("target", "str", target_parameter(LEAST_LIKELY))]
    bases = {base.__name__ for base in cls.__mro__}
    if bases.isdisjoint(_TARGETED) or not bases.isdisjoint(_UNTARGETED):
        return []
    return [("target", "str | None", target_parameter())]


def _plain_type(hint: Any) -> tuple[str, tuple[str, ...] | None]:
    """A type hint in the form that ``field_type`` reads, and the choices if it lists them."""
    members = typing.get_args(hint) if typing.get_origin(hint) is typing.Union else (hint,)
    kinds = [member for member in members if member is not type(None)]
    texts = tuple(
        text
        for kind in kinds
        if typing.get_origin(kind) is typing.Literal
        for text in typing.get_args(kind)
    )
    base = "str" if texts else kinds[0].__name__
    return base + (" | None" if len(kinds) < len(members) else ""), texts or None
