"""A classifier that learns: losses, gradients and steps.

A batch is computed in shards, one core each, and their gradients are summed in the order of the
shards. So the sums are the same for any number of cores, memory follows the shards and not the
batch, and two cores do twice the work, which torch's own threads do not on small convolutions.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rsparse.models.torch.twin import Twin
from rsparse.models.torch.weights import Trainable
from rsparse.options.train import TrainParameters
from rsparse.training.adversaries import Adversaries
from rsparse.training.objective import bim, distillation_loss, label_loss
from rsparse.training.samples import Shard

Gradients = tuple[torch.Tensor, ...]


@dataclass(frozen=True)
class Score:
    """Sums over some images: of losses, of right answers, and how many images they were."""

    loss: float = 0.0
    right: int = 0
    images: int = 0

    def __add__(self, other: Score) -> Score:
        return Score(self.loss + other.loss, self.right + other.right, self.images + other.images)


class Learner:
    """What a training changes, and how.

    Parameters
    ----------
    trainable : Trainable
    parameters : TrainParameters
    precision : str
        ``float32`` or ``bf16``.
    threads : int
        Cores that compute shards. On a GPU they read images, and purify those that are attacked.
    adversaries : Adversaries, optional
        What images are shown behind after they are attacked.
    """

    def __init__(
        self,
        trainable: Trainable,
        parameters: TrainParameters,
        precision: str,
        threads: int,
        adversaries: Adversaries | None = None,
    ) -> None:
        self.trainable = trainable
        self.twin = trainable.twin
        self.teacher = _frozen_copy(trainable.twin) if parameters.distill else None
        self.parameters = parameters
        self.precision = precision
        self.adversaries = adversaries or Adversaries()
        self.device = trainable.twin.mean.device
        self.optimizer = make_optimizer(trainable, parameters)
        serial = self.device.type != "cpu" or trainable.has_statistics
        self._computing = ThreadPoolExecutor(1 if serial else threads, initializer=_one_core)
        self._purifying = ThreadPoolExecutor(threads) if serial else None

    def step(self, shards: Sequence[Shard], rate: float) -> Score:
        """Learn from a batch with a learning rate; the score before the step."""
        n_images = sum(len(shard.labels) for shard in shards)
        total, sums = Score(), None
        for score, gradients in self._computing.map(
            lambda shard: self.gradients(shard, n_images), shards
        ):
            total += score
            sums = gradients if sums is None else tuple(map(torch.add, sums, gradients))
        assert sums is not None
        for parameter, gradient in zip(self.trainable.parameters.values(), sums, strict=True):
            parameter.grad = gradient
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad()
        return total

    def gradients(self, shard: Shard, n_images: int) -> tuple[Score, Gradients]:
        """The gradients of a shard's share of the mean loss over ``n_images``."""
        with self._autocast():
            losses, score = self._losses(shard)
        wanted = list(self.trainable.parameters.values())
        return score, torch.autograd.grad(
            losses.sum() / n_images, wanted, allow_unused=True, materialize_grads=True
        )

    def scores(self, shards: Iterable[Shard]) -> Score:
        """How good the answers to some shards are, nothing of which is learned."""
        with self._own_statistics():
            return sum(self._computing.map(self._score, shards), Score())

    def close(self) -> None:
        """Let the cores go."""
        self._computing.shutdown(cancel_futures=True)
        if self._purifying is not None:
            self._purifying.shutdown(cancel_futures=True)

    def _score(self, shard: Shard) -> Score:
        with torch.no_grad(), self._autocast():
            return self._losses(shard)[1]

    def _losses(self, shard: Shard) -> tuple[torch.Tensor, Score]:
        """The losses of a shard's images, (n,), and their score."""
        x = self._shown(shard)
        logits = self.twin(x).float()
        if self.teacher is None:
            wanted, shares = (
                torch.from_numpy(values).to(self.device) for values in (shard.labels, shard.shares)
            )
            losses = label_loss(logits, wanted, self.parameters.label_smoothing, shares)
        else:
            with torch.no_grad():
                targets = self.teacher(self._tensor(shard.clean)).float()
            wanted = targets.argmax(1)
            losses = distillation_loss(logits, targets, self.parameters.temperature)
        right = int((logits.detach().argmax(1) == wanted).sum())
        return losses, Score(float(losses.detach().double().sum()), right, len(shard.labels))

    def _shown(self, shard: Shard) -> torch.Tensor:
        """The images of a shard, attacked and then purified where it says so.

        They are (n, 3, h, w) in [0, 1].
        """
        x = self._tensor(shard.images)
        attacked = np.flatnonzero(shard.eps)
        if len(attacked):
            rows = torch.from_numpy(attacked).to(self.device)
            eps = torch.from_numpy(shard.eps[attacked]).to(self.device)
            with self._own_statistics():
                x[rows] = bim(self.twin, x[rows], eps, self.parameters.attack_steps)
        behind = [
            n for n, version in enumerate(shard.versions) if self.adversaries.changes(version)
        ]
        if behind:
            x[behind] = self._purified(x[behind], [shard.versions[n] for n in behind])
        return x

    def _purified(self, x: torch.Tensor, versions: Sequence[str]) -> torch.Tensor:
        """Attacked images as they look behind the defenses of their versions."""
        pixels = (x * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()
        over = map if self._purifying is None else self._purifying.map
        return self._tensor(np.stack([*over(self.adversaries.shown, versions, pixels)]))

    def _tensor(self, images: NDArray[np.uint8]) -> torch.Tensor:
        channels_first = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        return torch.from_numpy(channels_first).to(self.device).float() / 255

    def _autocast(self) -> Any:
        kind = self.device.type
        return torch.autocast(kind, torch.bfloat16, enabled=self.precision == "bf16")

    @contextmanager
    def _own_statistics(self) -> Iterator[None]:
        """Let batch normalisations use what they have gathered, and gather nothing."""
        if not self.trainable.has_statistics:
            yield
            return
        self.trainable.use_batch_statistics(False)
        try:
            yield
        finally:
            self.trainable.use_batch_statistics(True)


def make_optimizer(trainable: Trainable, parameters: TrainParameters) -> torch.optim.Optimizer:
    """AdamW or SGD over what can be trained; biases and normalisations do not decay."""
    free = list(trainable.parameters.values())
    groups = [
        {"params": [p for p in free if p.dim() > 1], "weight_decay": parameters.weight_decay},
        {"params": [p for p in free if p.dim() <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    rate = parameters.learning_rate
    if parameters.optimizer == "sgd":
        return torch.optim.SGD(groups, rate, momentum=parameters.momentum)
    return torch.optim.AdamW(groups, rate)


def read_ahead(
    read: Callable[[Any], Shard], batches: Iterable[Sequence[Any]], threads: int
) -> Iterator[list[Shard]]:
    """The shards of each batch, in order; while one batch is in work, the next one is read."""
    with ThreadPoolExecutor(threads) as pool:
        before = None
        try:
            for batch in batches:
                coming = [pool.submit(read, part) for part in batch]
                if before is not None:
                    yield [future.result() for future in before]
                before = coming
            if before is not None:
                yield [future.result() for future in before]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _frozen_copy(twin: Twin) -> Twin:
    """The network as it is now, which nothing changes any more."""
    frozen = copy.deepcopy(twin).eval()
    return frozen.requires_grad_(False)


def _one_core() -> None:
    torch.set_num_threads(1)
