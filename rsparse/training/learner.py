"""Train a classifier: compute losses and gradients, and take optimisation steps.

A batch is split into shards. Each core computes a shard at a time, and gradients are summed in the
order of the shards. The sums are therefore the same for any number of cores, and memory depends on
the shards, not on the batch. Two cores do twice the work; torch's own threads do not achieve that
for small convolutions.
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
from rsparse.training.noise import NoisyVersions
from rsparse.training.objective import bim, distillation_loss, label_loss
from rsparse.training.samples import Shard
from rsparse.work.workers import ParallelMap

Gradients = tuple[torch.Tensor, ...]


@dataclass(frozen=True)
class Score:
    """Sums over images: of their losses, of correct predictions, and the number of images."""

    loss: float = 0.0
    right: int = 0
    images: int = 0

    def __add__(self, other: Score) -> Score:
        return Score(self.loss + other.loss, self.right + other.right, self.images + other.images)


class Learner:
    """Computes scores and gradients, and updates the weights.

    Parameters
    ----------
    trainable : Trainable
    parameters : TrainParameters
    precision : str
        ``float32`` or ``bf16``.
    threads : int
        Cores that compute shards. With a GPU, they read images and purify attacked ones.
    adversaries : Adversaries, optional
        The defenses that purify images after they are attacked.
    noise : NoisyVersions, optional
        The noise, and the denoiser behind it.
    """

    def __init__(
        self,
        trainable: Trainable,
        parameters: TrainParameters,
        precision: str,
        threads: int,
        adversaries: Adversaries | None = None,
        noise: NoisyVersions | None = None,
    ) -> None:
        self.trainable = trainable
        self.twin = trainable.twin
        self.teacher = _frozen_copy(trainable.twin) if parameters.distill else None
        self.parameters = parameters
        self.precision = precision
        self.adversaries = adversaries or Adversaries()
        self.noise = noise or NoisyVersions()
        self.device = trainable.twin.mean.device
        self.optimizer = make_optimizer(trainable, parameters)
        serial = self.device.type != "cpu" or trainable.has_statistics
        self._computing = ThreadPoolExecutor(1 if serial else threads, initializer=_one_core)
        self._purifying = ThreadPoolExecutor(threads) if serial else None

    def step(self, shards: Sequence[Shard], rate: float) -> Score:
        """Learn from a batch with a learning rate; return the score before the step."""
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
        """Return a shard's score, and the gradients of its part of the mean loss."""
        with self._autocast():
            losses, score = self._losses(shard)
        parameters = list(self.trainable.parameters.values())
        return score, torch.autograd.grad(
            losses.sum() / n_images, parameters, allow_unused=True, materialize_grads=True
        )

    def scores(self, shards: Iterable[Shard]) -> Score:
        """Score some shards without learning from them."""
        with self._own_statistics():
            return sum(self._computing.map(self._score, shards), Score())

    def close(self) -> None:
        """Stop the threads."""
        self._computing.shutdown(cancel_futures=True)
        if self._purifying is not None:
            self._purifying.shutdown(cancel_futures=True)

    def _score(self, shard: Shard) -> Score:
        with torch.no_grad(), self._autocast():
            return self._losses(shard)[1]

    def _losses(self, shard: Shard) -> tuple[torch.Tensor, Score]:
        """Return the losses (n,) of a shard's images, and their score."""
        x = self._shown(shard)
        logits = self.twin(x).float()
        if self.teacher is None:
            targets, shares = (
                torch.from_numpy(values).to(self.device) for values in (shard.labels, shard.shares)
            )
            losses = label_loss(logits, targets, self.parameters.label_smoothing, shares)
        else:
            with torch.no_grad():
                teacher_logits = self.teacher(self._tensor(shard.clean)).float()
            targets = teacher_logits.argmax(1)
            losses = distillation_loss(logits, teacher_logits, self.parameters.distill_temperature)
        right = int((logits.detach().argmax(1) == targets).sum())
        return losses, Score(float(losses.detach().double().sum()), right, len(shard.labels))

    def _shown(self, shard: Shard) -> torch.Tensor:
        """The images of a shard, (n, 3, h, w), attacked and purified, or noisy, as it says."""
        x = self._tensor(shard.images)
        for through, attacked in self._attacked(shard):
            rows = torch.from_numpy(attacked).to(self.device)
            eps = torch.from_numpy(shard.eps[attacked]).to(self.device)
            network = self.adversaries.attacked(through, self.twin)
            with self._own_statistics():
                x[rows] = bim(network, x[rows], eps, self.parameters.attack_steps)
        defended = [
            n for n, version in enumerate(shard.versions) if self.adversaries.changes(version)
        ]
        if defended:
            x[defended] = self._purified(x[defended], [shard.versions[n] for n in defended])
        noisy = [n for n, version in enumerate(shard.versions) if version in self.noise.sigmas]
        if noisy:
            x[noisy] = self._denoised(shard, noisy)
        return x

    def _denoised(self, shard: Shard, rows: Sequence[int]) -> torch.Tensor:
        """Some images of a shard with their noise, denoised; (n, 3, h, w)."""
        shown = self._map(
            lambda n: self.noise.shown(shard.versions[n], shard.images[n], shard.seeds[n]), rows
        )
        return self._to_device(np.stack(list(shown)))

    def _attacked(self, shard: Shard) -> Iterator[tuple[str, NDArray[np.intp]]]:
        """Yield the images of a shard to attack together, with the version to attack through."""
        attacked = np.flatnonzero(shard.eps)
        known = [v if v in self.adversaries.through else "" for v in shard.versions]
        for version in dict.fromkeys(known[n] for n in attacked):
            yield version, np.array([n for n in attacked if known[n] == version])

    def _purified(self, x: torch.Tensor, versions: Sequence[str]) -> torch.Tensor:
        """Purify attacked images with the defenses of their versions."""
        pixels = (x * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()
        with torch.autocast(self.device.type, enabled=False):  # a defense is computed in full
            shown = self.adversaries.shown(versions, list(pixels), self._map)
        return self._tensor(np.stack(shown))

    @property
    def _map(self) -> ParallelMap:
        """Map over images: on many cores, unless one core computes the whole shard."""
        return map if self._purifying is None else self._purifying.map

    def _tensor(self, images: NDArray[np.uint8]) -> torch.Tensor:
        return self._to_device(images).float() / 255

    def _to_device(self, images: NDArray[Any]) -> torch.Tensor:
        channels_first = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        return torch.from_numpy(channels_first).to(self.device)

    def _autocast(self) -> Any:
        kind = self.device.type
        return torch.autocast(kind, torch.bfloat16, enabled=self.precision == "bf16")

    @contextmanager
    def _own_statistics(self) -> Iterator[None]:
        """Let batch normalisations use their running statistics without updating them."""
        if not self.trainable.has_statistics:
            yield
            return
        self.trainable.use_batch_statistics(False)
        try:
            yield
        finally:
            self.trainable.use_batch_statistics(True)


def make_optimizer(trainable: Trainable, parameters: TrainParameters) -> torch.optim.Optimizer:
    """Create AdamW or SGD for the trainable weights; biases and normalisations do not decay."""
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
    """Yield the shards of each batch in order; the next batch is read while one is processed."""
    with ThreadPoolExecutor(threads) as pool:
        current = None
        try:
            for batch in batches:
                upcoming = [pool.submit(read, part) for part in batch]
                if current is not None:
                    yield [future.result() for future in current]
                current = upcoming
            if current is not None:
                yield [future.result() for future in current]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _frozen_copy(twin: Twin) -> Twin:
    """Return a frozen copy of the network."""
    frozen = copy.deepcopy(twin).eval()
    return frozen.requires_grad_(False)


def _one_core() -> None:
    torch.set_num_threads(1)
