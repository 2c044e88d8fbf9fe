"""Run an attack on a batch and check its result.

Foolbox checks its input with bare asserts, returns black images when some attacks fail, and gives
up a whole batch if it finds no starting point for one image. This module handles all of that.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from traceback import walk_tb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsparse.attacks.attack import Attack
from rsparse.attacks.backend import require_foolbox
from rsparse.attacks.goal import Goal, choose_goal
from rsparse.core.engines.torch.precision import float32_in_full
from rsparse.errors import InputError

require_foolbox()

import torch  # noqa: E402
from foolbox.models import PyTorchModel  # noqa: E402

Notes = list[dict[str, Any]]


@dataclass(frozen=True)
class AttackResult:
    """Result of an attack on a batch. The caller decides whether it fools a classifier.

    Attributes
    ----------
    x_adv : ndarray of shape (n, h, w, 3), float32 in [0, 1]
        The adversarial images; the originals for which the attack failed.
    failed : ndarray of shape (n,), bool
        True if the attack found nothing or returned no image.
    targets : ndarray of shape (n,), int64, or None
        The classes that a targeted attack was to reach.
    notes : list of dict, or None
        What the attack tells about each image, as plain JSON types. For an attack without
        gradients, ``queries`` is the number of images that it had classified for each.
    """

    x_adv: NDArray[np.float32]
    failed: NDArray[np.bool_]
    targets: NDArray[np.int64] | None = None
    notes: list[dict[str, Any]] | None = None


def run_attack(
    twin: torch.nn.Module,
    x: NDArray[np.float32],
    y: NDArray[np.integer],
    attack: Attack,
    seed: int = 0,
) -> AttackResult:
    """Attack a batch of images with known labels.

    Parameters
    ----------
    twin : torch.nn.Module
        In evaluation mode; takes (n, 3, h, w) float32 RGB in [0, 1], returns logits
        (n, n_classes) and can be differentiated.
    x : ndarray of shape (n, h, w, 3), float32 in [0, 1]
    y : ndarray of shape (n,), integer class indices
        The classes to move away from.
    attack : Attack
        Scaling to an average dissimilarity (``CwL2.d``) is left to the caller, who has all
        images: see ``rsparse.attacks.scaling``.
    seed : int
        Seed of torch's and NumPy's random numbers during the attack; their states are restored.

    Returns
    -------
    AttackResult
        Equal for equal arguments on the CPU. The batch matters too: the other images in it affect
        the model's rounding, the random numbers, and when some attacks stop.

    Raises
    ------
    InputError
        If an array has the wrong shape, type or range, if foolbox refuses the parameters, or if a
        GPU's memory is too small for the batch.
    """
    _check_images(x)
    if twin.training:
        raise InputError("twin: is in training mode; call twin.eval() first")
    with warnings.catch_warnings(), _random_state(seed), float32_in_full():
        warnings.simplefilter("ignore")  # foolbox warns about what ``failed`` reports
        model = PyTorchModel(twin, bounds=(0, 1), device=_device_of(twin))
        originals = _to_tensor(x, model)
        n_classes = _n_classes(twin, model, originals)
        attack.check_classes(n_classes)
        labels = _checked_labels(y, n_classes, originals)
        goal = choose_goal(attack.aim, model, originals, labels, n_classes)
        found, notes = _perturb(attack, twin, originals, goal)
        failed = _failed(attack, model, originals, found, goal)
        found = torch.where(failed.reshape(-1, 1, 1, 1), originals, found)
        limits = attack.limits(originals) if attack.seeks_minimum else None
        if limits is not None:
            found = _cut_back(originals, found, limits, attack.norm)
        if attack.factor != 1:
            found = originals + attack.factor * (found - originals)
        found = found.clip(0, 1)
    x_adv = np.ascontiguousarray(found.cpu().numpy().transpose(0, 2, 3, 1))
    targets = None if goal.targets is None else goal.targets.cpu().numpy()
    return AttackResult(x_adv, failed.cpu().numpy(), targets, notes)


def _perturb(
    attack: Attack, module: torch.nn.Module, x: torch.Tensor, goal: Goal
) -> tuple[torch.Tensor, Notes | None]:
    """Run the attack; images for which it finds no starting point are returned unchanged."""
    try:
        with _counted(module) as asked:
            found, notes = attack.attacked(module, x, goal)
        if notes is None and not attack.needs_gradients and asked:
            notes = [{"queries": -(-sum(asked) // len(x))} for _ in x]  # all are asked alike
        return found.detach(), notes
    except torch.OutOfMemoryError as error:
        raise InputError(
            f"{attack.name}: the memory of {x.device} is too small for a batch of {len(x)} images "
            f"of {x.shape[3]}×{x.shape[2]} pixels; use a smaller --batch-size"
        ) from error
    except (AssertionError, ValueError, NotImplementedError, TypeError) as error:
        if not _raised_by_foolbox(error):
            raise
        if not (attack.seeks_minimum and _found_no_start(error)):
            detail = " ".join(str(error).split()) or type(error).__name__
            raise InputError(f"{attack.name}: refused by foolbox: {detail}") from error
        if len(x) == 1:
            return x, None
        singles = [
            _perturb(attack, module, x[i : i + 1], goal.of(slice(i, i + 1))) for i in range(len(x))
        ]
        all_notes = [notes[0] if notes else {} for _, notes in singles]
        return torch.cat([found for found, _ in singles]), all_notes if any(all_notes) else None


@contextmanager
def _counted(module: torch.nn.Module) -> Iterator[list[int]]:
    """The numbers of images that the module is asked about meanwhile, one a call."""
    asked: list[int] = []
    hook = module.register_forward_hook(lambda _module, given, _out: asked.append(len(given[0])))
    try:
        yield asked
    finally:
        hook.remove()


def _raised_by_foolbox(error: BaseException) -> bool:
    """Whether foolbox, and not the attacked module or an attack of our own, raised an error.

    The innermost of the two decides; what they call, such as torch, raises for its caller.
    """
    packages = [
        str(frame.f_globals.get("__name__", "")).partition(".")[0]
        for frame, _ in walk_tb(error.__traceback__)
    ]
    known = [package for package in packages if package in ("foolbox", "rsparse")]
    return known[-1:] == ["foolbox"]


def _found_no_start(error: Exception) -> bool:
    """Whether a decision attack found no misclassified image to start from."""
    return isinstance(error, AssertionError) or "init_attack failed" in str(error)


def _failed(
    attack: Attack,
    model: PyTorchModel,
    x: torch.Tensor,
    found: torch.Tensor,
    goal: Goal,
) -> torch.Tensor:
    """Which images have no result, (n,): not finite, black, or an unsuccessful search.

    Foolbox returns black to say that nothing was found (Carlini-Wagner, EAD). A black image often
    fools the classifier, so it has to be recognised.
    """
    failed = ~found.isfinite().flatten(1).all(1)
    if attack.seeks_minimum:
        failed |= (found == 0).flatten(1).all(1) & (x != 0).flatten(1).any(1)
        failed |= ~goal.is_reached(model(found))
    return failed


def _cut_back(
    x: torch.Tensor, x_adv: torch.Tensor, limits: torch.Tensor, norm: str | None
) -> torch.Tensor:
    """Move ``x_adv`` towards ``x`` until the norm of its change is at most ``limits`` (n,)."""
    radii = limits.reshape(-1, 1, 1, 1)
    change = x_adv - x
    if norm == "linf":
        return x + change.clip(-radii, radii)
    norms = change.flatten(1).norm(p=1 if norm == "l1" else 2, dim=1).reshape(-1, 1, 1, 1)
    return x + change * (radii / norms.clamp(min=1e-12)).clamp(max=1)


def _check_images(x: NDArray[np.float32]) -> None:
    if x.ndim != 4 or x.shape[-1] != 3 or x.dtype != np.float32 or not len(x):
        raise InputError(
            f"x: expected float32 images (n, h, w, 3), n at least 1, got {x.dtype} {x.shape}"
        )
    low, high = float(x.min()), float(x.max())
    if not (low >= 0 and high <= 1):  # catches NaN too
        raise InputError(f"x: expected values from 0 to 1, got {low:g} to {high:g}")


def _n_classes(twin: torch.nn.Module, model: PyTorchModel, x: torch.Tensor) -> int:
    """The number of classes: a twin knows it, any other module has to be run."""
    known = getattr(twin, "n_classes", None)
    return model(x[:1]).shape[1] if known is None else known


def _checked_labels(y: NDArray[np.integer], n_classes: int, x: torch.Tensor) -> torch.Tensor:
    y = np.asarray(y)
    if y.shape != (len(x),) or y.dtype.kind not in "iu":
        raise InputError(f"y: expected {len(x)} whole numbers, got {y.dtype} {y.shape}")
    if y.min() < 0 or y.max() >= n_classes:
        raise InputError(
            f"y: expected classes from 0 to {n_classes - 1}, got {y.min()} to {y.max()}"
        )
    return torch.as_tensor(y.astype(np.int64), device=x.device)


def _to_tensor(x: NDArray[np.float32], model: PyTorchModel) -> torch.Tensor:
    channels_first = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    return torch.from_numpy(channels_first).to(model.device)


def _device_of(twin: torch.nn.Module) -> torch.device:
    for tensor in (*twin.parameters(), *twin.buffers()):
        return tensor.device
    return torch.device("cpu")


@contextmanager
def _random_state(seed: int) -> Iterator[None]:
    """Seed torch and NumPy, which foolbox draws from, and restore their states afterwards."""
    state = np.random.get_state()  # noqa: NPY002 - foolbox uses the legacy generator
    deterministic = torch.backends.cudnn.deterministic
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        torch.backends.cudnn.deterministic = True
        try:
            yield
        finally:
            np.random.set_state(state)  # noqa: NPY002
            torch.backends.cudnn.deterministic = deterministic
