"""Define the parameters of attacks: the paper's four, with its values as defaults, and noise.

``eps`` is in grey levels 0–255 and is divided by 255 only here. This module imports nothing
heavy; each ``perturb`` imports what it needs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from rsparse.errors import InputError
from rsparse.options.fields import Parameters, parameter

if TYPE_CHECKING:
    import torch
    from foolbox.models import PyTorchModel

    from rsparse.defenses import Defense, Resources

RELATIVE_STEP = 0.2  # foolbox's; CleverHans's is 0.17 for BIM and 0.2 for MI-FGSM


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
    attacks_through : bool
        Whether it can be made through a defense; such an attack has ``through``.
    """

    name: ClassVar[str]
    strengths: ClassVar[tuple[str, ...]] = ("eps",)
    seeks_minimum: ClassVar[bool] = False
    norm: ClassVar[str | None] = None
    attacks_through: ClassVar[bool] = False

    def through(
        self, twin: torch.nn.Module, defense: Defense, resources: Resources
    ) -> torch.nn.Module:
        """The module to attack in place of a classifier's twin, so that the defense is attacked.

        Parameters
        ----------
        twin : torch.nn.Module
            Takes (n, 3, h, w) float32 RGB in [0, 1] and gives logits (n, n_classes).
        defense : Defense
        resources : Resources
            What the defense needs.

        Returns
        -------
        torch.nn.Module
            Takes and gives what the twin does, and can be differentiated; how (such as by BPDA)
            is the attack's own choice.
        """
        raise NotImplementedError

    def perturb(self, model: PyTorchModel, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Adversarial versions of ``x`` (n, 3, h, w) in [0, 1] with labels ``y`` (n,), unchecked.

        ``rsparse.attacks.run_attack`` calls this, and checks its input and its result.
        """
        raise NotImplementedError

    def limits(self, x: torch.Tensor) -> torch.Tensor | None:  # noqa: ARG002
        """The norm to which each image's change is cut back, (n,), or None to leave it.

        Only for attacks that seek the smallest change; the others respect their limits.
        """
        return None

    @property
    def passes(self) -> int:
        """Approximate number of forward and backward passes per image, which sets its cost."""
        return 1

    @property
    def average_d(self) -> float | None:
        """The average dissimilarity to scale the results of a whole set to, if any."""
        return None

    def unscaled(self) -> Attack:
        """The same attack without that scaling, which happens after all images are attacked."""
        return self

    def as_record(self) -> dict[str, Any]:
        """Name and values as plain JSON types."""
        return {"name": self.name, **super().as_record()}


def _eps(default: float | None = 8.0) -> Any:
    return parameter(default, "Largest change of a pixel in grey levels.", minimum=0, maximum=255)


def _steps(default: int) -> Any:
    return parameter(default, "Iterations.", minimum=1, maximum=1_000_000)


@dataclass(frozen=True)
class Fgsm(Attack):
    """One step of size eps along the sign of the gradient (eq. 1; Goodfellow 2015)."""

    name: ClassVar[str] = "fgsm"

    eps: float = _eps()

    def perturb(self, model: PyTorchModel, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Run foolbox's ``LinfFastGradientAttack``."""
        from foolbox.attacks import LinfFastGradientAttack

        from rsparse.attacks.foolbox_calls import perturb_within

        return perturb_within(LinfFastGradientAttack(), model, x, y, self.eps / 255)


@dataclass(frozen=True)
class Bim(Attack):
    """FGSM in small steps, kept within eps of the original (eq. 2; Kurakin 2017).

    The paper writes ε for both the step and the limit. With ten steps of a fifth of eps, five
    suffice to reach the limit and five remain to move along it.
    """

    name: ClassVar[str] = "bim"

    eps: float = _eps()
    steps: int = _steps(10)
    step_size: float | None = parameter(
        None, "Change in one step, in grey levels; none is a fifth of eps.", above=0, maximum=255
    )

    def perturb(self, model: PyTorchModel, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Run foolbox's ``LinfBasicIterativeAttack``."""
        from foolbox.attacks import LinfBasicIterativeAttack

        from rsparse.attacks.foolbox_calls import perturb_within

        attack = LinfBasicIterativeAttack(
            rel_stepsize=RELATIVE_STEP,
            abs_stepsize=None if self.step_size is None else self.step_size / 255,
            steps=self.steps,
        )
        return perturb_within(attack, model, x, y, self.eps / 255)

    @property
    def passes(self) -> int:
        """See ``Attack.passes``."""
        return self.steps


@dataclass(frozen=True)
class MiFgsm(Attack):
    """BIM with momentum (eq. 3–4; Dong 2018), limited in L∞ (``eps``) or in L₂ (``d``).

    The default is d = 0.05, since the paper reports MI-FGSM in L₂.
    """

    name: ClassVar[str] = "mi-fgsm"
    strengths: ClassVar[tuple[str, ...]] = ("eps", "d")

    eps: float | None = _eps(None)
    d: float | None = parameter(
        None,
        "Largest L2 norm of the change, relative to the image's own norm.",
        minimum=0,
        maximum=1,
    )
    steps: int = _steps(10)
    step_size: float | None = parameter(
        None,
        "Change in one step, in the unit of eps or d; none is a fifth of it.",
        above=0,
        maximum=255,
    )
    momentum: float = parameter(
        1.0, "Share mu of the gathered gradient kept in each step.", minimum=0, maximum=1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.eps is not None and self.d is not None:
            raise InputError(
                "eps and d cannot be used together: eps limits the L∞ norm, d the L2 norm"
            )
        if self.eps is None and self.d is None:
            object.__setattr__(self, "d", 0.05)

    def perturb(self, model: PyTorchModel, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Run eq. 3–4 (see ``rsparse.attacks.momentum``)."""
        from rsparse.attacks.momentum import momentum_attack

        limit = self.eps if self.eps is not None else self.d
        assert limit is not None  # by __post_init__
        relative = self.step_size / limit if self.step_size and limit else RELATIVE_STEP
        norm = "linf" if self.eps is not None else "l2"
        limit = limit / 255 if norm == "linf" else limit
        return momentum_attack(
            model,
            x,
            y,
            norm,
            limit,
            steps=self.steps,
            rel_stepsize=relative,
            momentum=self.momentum,
        )

    @property
    def passes(self) -> int:
        """See ``Attack.passes``."""
        return self.steps


@dataclass(frozen=True)
class CwL2(Attack):
    """Carlini and Wagner's L₂ attack (2017): the smallest change that fools, found by Adam.

    It minimises ‖δ‖₂² + λ·max(κ + margin, 0). The paper's κ = 0 is ``confidence`` and its
    λ_f = 0.1 is ``initial_const``. Which λ is large enough depends on the scale of a model's
    logits. Images for which nothing is found are tried again with ten times the weight
    (``retries=0`` keeps λ_f fixed). With ``binary_search_steps`` above 1 the attack also searches
    for the smallest λ of each image, at the cost of as many runs.

    The learning rate is CleverHans's. Foolbox would stop as soon as the loss of the whole batch
    rises, which happens in the first steps. The change would then be more than twice as large as
    necessary and depend on the other images. Therefore all ``steps`` are run.

    ``d`` is the paper's scaling: the perturbations of a whole folder are multiplied by one
    constant τ ≥ 1 so that their average dissimilarity is d.
    """

    name: ClassVar[str] = "cw-l2"
    strengths: ClassVar[tuple[str, ...]] = ("d",)
    seeks_minimum: ClassVar[bool] = True

    d: float | None = parameter(
        None,
        "Average dissimilarity to which all perturbations are scaled up; none does not.",
        above=0,
        maximum=1,
    )
    confidence: float = parameter(
        0.0, "Margin kappa by which the wrong class must lead.", minimum=0, maximum=1e6
    )
    initial_const: float = parameter(
        0.1, "Weight lambda of the deception against the change's size.", above=0, maximum=1e10
    )
    binary_search_steps: int = parameter(
        1, "Weights tried for each image in search of the smallest.", minimum=1, maximum=100
    )
    retries: int = parameter(
        3,
        "Times that images for which nothing was found are tried with ten times the weight.",
        minimum=0,
        maximum=10,
    )
    steps: int = _steps(100)
    step_size: float = parameter(0.005, "Adam's learning rate.", above=0, maximum=10)

    def perturb(self, model: PyTorchModel, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Run foolbox's ``L2CarliniWagnerAttack``; black images mark its failures."""
        found = self._search(model, x, y, self.initial_const)
        for retry in range(1, self.retries + 1):
            missing = (found == 0).flatten(1).all(1)
            if not missing.any():
                break
            weight = self.initial_const * 10**retry
            found[missing] = self._search(model, x[missing], y[missing], weight)
        return found

    def _search(
        self, model: PyTorchModel, x: torch.Tensor, y: torch.Tensor, weight: float
    ) -> torch.Tensor:
        from foolbox.attacks import L2CarliniWagnerAttack

        from rsparse.attacks.foolbox_calls import minimal_perturbation

        attack = L2CarliniWagnerAttack(
            binary_search_steps=self.binary_search_steps,
            steps=self.steps,
            stepsize=self.step_size,
            confidence=self.confidence,
            initial_const=weight,
            abort_early=False,
        )
        return minimal_perturbation(attack, model, x, y)

    @property
    def passes(self) -> int:
        """See ``Attack.passes``; retries do not count, since few images need them."""
        return self.steps * self.binary_search_steps

    @property
    def average_d(self) -> float | None:
        """See ``Attack.average_d``."""
        return self.d

    def unscaled(self) -> Attack:
        """See ``Attack.unscaled``."""
        return replace(self, d=None)


@dataclass(frozen=True)
class Noise(Attack):
    """Random noise of ±size in every channel: a control for what a change of that size does.

    An attack that is not stronger than noise of the same norm does not work (Carlini et al. 2019,
    Section 5.3). ``eps`` sets the L∞ norm, ``d`` the L₂ norm; the default is eps = 8.
    """

    name: ClassVar[str] = "noise"
    strengths: ClassVar[tuple[str, ...]] = ("eps", "d")

    eps: float | None = _eps(None)
    d: float | None = parameter(
        None, "L2 norm of the change, relative to the image's own norm.", minimum=0, maximum=1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.eps is not None and self.d is not None:
            raise InputError(
                "eps and d cannot be used together: eps sets the L∞ norm, d the L2 norm"
            )
        if self.eps is None and self.d is None:
            object.__setattr__(self, "eps", 8.0)

    def perturb(self, model: PyTorchModel, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        """Add ±size to each number; the random numbers are drawn on the CPU."""
        import torch

        signs = (2 * torch.randint(0, 2, x.shape) - 1).to(x)
        if self.eps is not None:
            return (x + signs * (self.eps / 255)).clip(0, 1)
        assert self.d is not None  # by __post_init__
        sizes = self.d * x.flatten(1).norm(dim=1) / x[0].numel() ** 0.5
        return (x + signs * sizes.reshape(-1, 1, 1, 1)).clip(0, 1)

    @property
    def passes(self) -> int:
        """Zero: it does not use the model."""
        return 0
