"""Run a training: epochs, validation after each, the best weights kept, resumable at any point."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rsparse.errors import InputError
from rsparse.models.onnx.classifier import Classifier
from rsparse.options.train import TrainParameters
from rsparse.training.checkpoints import State, Tensors, load_checkpoint, save_checkpoint
from rsparse.training.learner import Learner, Score, read_ahead
from rsparse.training.samples import (
    Sample,
    Shard,
    View,
    draw,
    epoch_order,
    load_shard,
    shares_of,
    validation_view,
)
from rsparse.training.schedule import best_epoch, is_stuck, learning_rate
from rsparse.work.progress import Progress
from rsparse.work.workers import chunked

SAVE_EVERY = 64
"""Steps between two checkpoints within an epoch."""

SHARD_SIZE = 4
"""Number of images that a core computes together; more are slower, since they exceed its cache."""


class TrainingResult(NamedTuple):
    """Result of a training: its figures by epoch, and those of the weights to write."""

    history: list[dict[str, Any]]
    written: dict[str, Any]


class Training:
    """A training on a split of images.

    Parameters
    ----------
    learner : Learner
    classifier : Classifier
        It fits images to the network's input.
    parts : two sequences of Sample
        The training set and the validation set.
    purified : sequence of str
        The purified versions, in addition to the clean one and those that the learner makes.
    parameters : TrainParameters
    checkpoint : Path
        The file that stores the state.
    run : str
        Identifies this training.
    threads : int
        Cores that read images.
    """

    def __init__(
        self,
        learner: Learner,
        classifier: Classifier,
        parts: tuple[Sequence[Sample], Sequence[Sample]],
        purified: Sequence[str],
        parameters: TrainParameters,
        checkpoint: Path,
        run: str,
        threads: int,
    ) -> None:
        self.learner, self.classifier = learner, classifier
        self.shown, self.held_out = parts
        self.parameters = parameters
        self.purified = [*purified, *learner.noise.sigmas]
        self.adversarial = [*learner.adversaries.defenses]
        self.shares = shares_of(self.purified, self.adversarial, parameters)
        self.checkpoint, self.run_name, self.threads = checkpoint, run, threads
        self.n_batches = math.ceil(len(self.shown) / parameters.batch_size)
        self.original = self._weights() if parameters.original_share else {}
        found = load_checkpoint(checkpoint, run, learner.trainable, learner.optimizer)
        self.state = found or State()
        self.resumed = len(self.state.history)

    def run(self, progress: Progress) -> TrainingResult:
        """Train to the end, and leave the weights to be written in the twin."""
        state = self.state
        if not state.history:
            progress.start("validate", len(self.held_out) * len(self.shares))
            self._note(None, self._validate(progress))
        while state.epoch < self.parameters.epochs and not is_stuck(
            losses_of(state.history), self.parameters.patience
        ):
            self._train_epoch(progress)
            self._note(state.score, self._validate(progress))
        best = best_epoch(losses_of(state.history))
        share = self.parameters.original_share
        if share == 0 or best == 0:
            self.learner.trainable.load(state.best)
            return TrainingResult(state.history, state.history[best]["validation"])
        self.learner.trainable.load(averaged(state.best, self.original, share))
        progress.start("validate", len(self.held_out) * len(self.shares))
        return TrainingResult(state.history, self._figures(self._validate(progress)))

    def _train_epoch(self, progress: Progress) -> None:
        """Run the remaining batches of an epoch."""
        state, values = self.state, self.parameters
        n_validated = len(self.held_out) * len(self.shares)
        done = state.batch * values.batch_size
        progress.start(self._status(), len(self.shown) + n_validated, done)
        for shards in self._read(self._batches(state.epoch, state.batch)):
            step = state.epoch * self.n_batches + state.batch
            rate = learning_rate(
                step, values.epochs * self.n_batches, values.learning_rate, values.warmup_share
            )
            score = self.learner.step(shards, rate)
            state.score += score
            state.batch += 1
            progress.advance(score.images)
            progress.describe(self._status())
            if state.batch % SAVE_EVERY == 0 and state.batch < self.n_batches:
                self._save()

    def _status(self) -> str:
        """``epoch 3 of 10: loss 1.234, accuracy 71 %``; with ``distill``, agreement."""
        state = self.state
        text = f"epoch {state.epoch + 1} of {self.parameters.epochs}"
        if not state.score.images:
            return text
        figures = figures_of(state.score)
        share = f"{self.parameters.score} {100 * figures['accuracy']:.0f} %"
        return f"{text}: loss {figures['loss']:.3f}, {share}"

    def _batches(self, epoch: int, start: int) -> Iterator[Sequence[View]]:
        """Yield the views of an epoch's batches, from batch ``start`` on."""
        values = self.parameters
        order = epoch_order(len(self.shown), values.seed, epoch)
        for numbers in list(chunked(order.tolist(), values.batch_size))[start:]:
            yield [
                draw(self.shown[n], self.purified, self.adversarial, values, epoch) for n in numbers
            ]

    def _validate(self, progress: Progress) -> dict[str, Score]:
        """Score all versions of the validation set, uncropped and attacked with the full eps."""
        scores = {}
        for version in self.shares:
            views = [
                validation_view(sample, version, self.adversarial, self.parameters)
                for sample in self.held_out
            ]
            scores[version] = Score()
            for shards in self._read(chunked(views, self.parameters.batch_size)):
                score = self.learner.scores(shards)
                scores[version] += score
                progress.advance(score.images)
        return scores

    def _read(self, batches: Iterator[Sequence[View]]) -> Iterator[list[Shard]]:
        size = self.parameters.shard_size or self._shard_size()
        parts = (list(chunked(batch, size)) for batch in batches)
        needs_clean = self.parameters.distill
        read: Callable[[Any], Shard] = lambda part: load_shard(part, self.classifier, needs_clean)  # noqa: E731
        return read_ahead(read, parts, self.threads)

    def _shard_size(self) -> int:
        """The size of a shard: the whole batch if it has to be, or is better, computed at once."""
        learner = self.learner
        whole = learner.trainable.has_statistics or learner.device.type != "cpu"
        return self.parameters.batch_size if whole else SHARD_SIZE

    def _note(self, trained: Score | None, validated: dict[str, Score]) -> None:
        """Add an epoch's figures, keep its weights if they are the best, and save."""
        state, figures = self.state, self._figures(validated)
        if not math.isfinite(figures["loss"]):
            self.checkpoint.unlink(missing_ok=True)  # training cannot continue from here
            raise InputError(
                f"the validation loss is not finite after epoch {len(state.history)}; "
                "try a lower --learning-rate"
            )
        state.history.append(
            {
                "epoch": len(state.history),
                "training": None if trained is None else figures_of(trained),
                "validation": figures,
            }
        )
        if best_epoch(losses_of(state.history)) == len(state.history) - 1:
            state.best = self._weights()
        if trained is not None:
            state.epoch, state.batch, state.score = state.epoch + 1, 0, Score()
        self._save()

    def _figures(self, validated: dict[str, Score]) -> dict[str, Any]:
        """The validation loss, and the figures of each version."""
        by_version = {version: figures_of(score) for version, score in validated.items()}
        loss = sum(share * by_version[version]["loss"] for version, share in self.shares.items())
        return {"loss": loss, "versions": by_version}

    def _weights(self) -> Tensors:
        return {name: t.clone() for name, t in self.learner.trainable.tensors().items()}

    def _save(self) -> None:
        learner = self.learner
        save_checkpoint(
            self.checkpoint, self.run_name, self.state, learner.trainable, learner.optimizer
        )


def averaged(best: Tensors, original: Tensors, share: float) -> Tensors:
    """Mix ``share`` of the original weights with 1 − ``share`` of the best ones, by name."""
    return {name: (1 - share) * best[name] + share * original[name] for name in best}


def losses_of(history: Sequence[dict[str, Any]]) -> list[float]:
    """The validation losses by epoch."""
    return [entry["validation"]["loss"] for entry in history]


def figures_of(score: Score) -> dict[str, float]:
    """Mean loss and accuracy."""
    n = max(score.images, 1)
    return {"loss": score.loss / n, "accuracy": score.right / n}
