"""Define AutoAttack, the usual set of attacks, through the package of its authors."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar, cast

from rsparse.attacks.attack import Attack, eps_parameter
from rsparse.errors import InputError, missing_package
from rsparse.options.fields import parameter

if TYPE_CHECKING:
    import torch
    from foolbox.models import PyTorchModel

    from rsparse.attacks.goal import Goal

PACKAGE = "pyautoattack"
_LOGGER = "auto-attack"
_TARGETS = 9
_FEWEST = 4


@dataclass(frozen=True)
class AutoAttack(Attack):
    """AutoAttack in L∞, as its authors publish it (Croce, Hein 2020).

    The version ``standard`` is APGD with cross-entropy, targeted APGD, targeted FAB and Square with
    5,000 queries, one after the other on the images that are left. ``rand`` is for random defenses:
    APGD with two losses, over the mean of 20 gradients. ``autoattack-parts`` runs the parts that we
    have on images of 8 bits, without FAB.

    References
    ----------
    Croce, Hein (2020), "Reliable evaluation of adversarial robustness with an ensemble of diverse
    parameter-free attacks".
    """

    name: ClassVar[str] = "autoattack"
    stops_early: ClassVar[bool] = True

    eps: float = eps_parameter()
    version: str = parameter(
        "standard",
        "The set of attacks: standard, or rand for defenses that draw random numbers.",
        choices=("standard", "rand"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if find_spec(PACKAGE) is None:
            raise missing_package("autoattack needs", PACKAGE, "autoattack")

    def check_classes(self, n_classes: int) -> None:
        """See ``Attack.check_classes``; its losses compare the largest logits."""
        if n_classes < _FEWEST:
            raise InputError(
                f"autoattack: needs a model of {_FEWEST} classes or more, got {n_classes}; "
                "use autoattack-parts"
            )

    def attacked(
        self, module: torch.nn.Module, x: torch.Tensor, goal: Goal
    ) -> tuple[torch.Tensor, list[dict[str, Any]] | None]:
        """Run the package; what it doubts is noted, once each. See ``Attack.attacked``."""
        import torch
        from pyautoattack import AutoAttack as Published

        with torch.no_grad():
            n_classes = module(x[:1]).shape[1]
        seed = int(torch.randint(2**31, ()))
        device, eps = x.device, self.eps / 255
        with _what_it_says() as said:
            attack = Published(module, eps=eps, seed=seed, device=device, version=self.version)
            attack.apgd_targeted.n_target_classes = min(_TARGETS, n_classes - 1)
            attack.fab.n_target_classes = min(_TARGETS, n_classes - 1)
            found, _ = attack.run_standard_evaluation(x, goal.labels, batch_size=len(x))
        notes = [{"doubts": said} for _ in x] if said else None
        return found.detach(), notes

    def perturb(self, model: PyTorchModel, x: torch.Tensor, goal: Goal) -> torch.Tensor:
        """See ``attacked``; the package calls the model as it would a module."""
        return self.attacked(cast("torch.nn.Module", model), x, goal)[0]

    @property
    def passes(self) -> int:
        """See ``Attack.passes``: of an image that withstands all parts."""
        if self.version == "rand":
            return 2 * 20 * 100
        return 100 + _TARGETS * 100 + 2 * _TARGETS * 100 + -(-5000 // 3)


@contextmanager
def _what_it_says() -> Iterator[list[str]]:
    """The warnings that the package logs, which are not printed; tracing goes on after it."""
    said: list[str] = []
    logger, trace = logging.getLogger(_LOGGER), sys.gettrace()
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(  # type: ignore[method-assign]
        record.getMessage().partition(" See ")[0].strip()
    )
    before = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield said
    finally:
        logger.removeHandler(handler)
        logger.propagate = before
        sys.settrace(trace)
