"""Retrain a classifier on images: the same graph with new weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rsparse.attacks.backend import one_torch_thread
from rsparse.errors import InputError
from rsparse.models.onnx.classifier import Classifier
from rsparse.models.onnx.file import OnnxFile
from rsparse.models.torch.twin import check_parity, load_twin
from rsparse.models.torch.weights import Trainable, choose_layers, find_layers, with_weights
from rsparse.options.train import TrainParameters
from rsparse.training.adversaries import Adversaries
from rsparse.training.learner import Learner
from rsparse.training.loop import Training
from rsparse.training.noise import NoisyVersions
from rsparse.training.samples import Sample
from rsparse.work.one_core import one_thread
from rsparse.work.progress import Progress


@dataclass(frozen=True)
class RetrainedModel:
    """A model with new weights, and how it was trained.

    ``written`` holds the validation figures of the weights; ``layers`` is the number of trained
    layers; ``resumed`` is the number of entries in ``history`` that come from an earlier run.
    """

    file: OnnxFile
    history: list[dict[str, Any]]
    written: dict[str, Any]
    layers: int
    resumed: int


def retrain(
    classifier: Classifier,
    file: OnnxFile,
    parts: tuple[Sequence[Sample], Sequence[Sample]],
    purified: Sequence[str],
    adversaries: Adversaries,
    noise: NoisyVersions,
    parameters: TrainParameters,
    *,
    device: str,
    precision: str,
    threads: int,
    checkpoint: Path,
    run: str,
    progress: Progress,
) -> RetrainedModel:
    """Train on the first part, keep the weights that are best on the second, and store them.

    Parameters
    ----------
    classifier : Classifier
    file : OnnxFile
        The classifier's file, softmax included.
    parts : two sequences of Sample
    purified : sequence of str
        The names of the samples' purified versions.
    adversaries : Adversaries
        The adversarial versions, which are attacked during training.
    noise : NoisyVersions
        The noisy versions, which are drawn during training.
    parameters : TrainParameters
    device, precision : str
        Resolved values, not ``auto``.
    threads : int
    checkpoint : Path
    run : str
        Identifies this training.
    progress : Progress

    Raises
    ------
    InputError
        If the graph cannot be trained, or onnxruntime gives different logits for it afterwards.
    """
    trainable = open_trainable(classifier, parameters, device)
    with one_torch_thread(), one_thread():
        learner = Learner(trainable, parameters, precision, threads, adversaries, noise)
        try:
            training = Training(
                learner, classifier, parts, purified, parameters, checkpoint, run, threads
            )
            history, written = training.run(progress)
        finally:
            learner.close()
    trainable.use_batch_statistics(False)
    changed = with_weights(file, trainable.weights())
    _check(classifier, changed, trainable)
    return RetrainedModel(changed, history, written, len(trainable.layers), training.resumed)


def open_trainable(classifier: Classifier, parameters: TrainParameters, device: str) -> Trainable:
    """Return the classifier's twin with the weights of the chosen layers trainable.

    Raises
    ------
    InputError
        If the classifier has no twin, or no such layers.
    """
    twin = load_twin(classifier, device, trainable=True)
    layers = find_layers(classifier, twin)
    where = str(classifier.path)
    chosen = choose_layers(layers, parameters.train_layers, parameters.batch_norm, where)
    trainable = Trainable(twin, chosen)
    if not _depends_on_weights(twin, torch.zeros(1, 3, *classifier.spec.size, device=device)):
        raise InputError(
            f"{where}: cannot be trained: its scores do not depend on the chosen weights in a "
            "differentiable way"
        )
    return trainable


def _depends_on_weights(twin: torch.nn.Module, x: torch.Tensor) -> bool:
    """Whether torch can trace the scores back to weights; statistics of batches do not change."""
    learning = [module for module in twin.modules() if module.training]
    twin.eval()
    found = twin(x).requires_grad
    for module in learning:
        module.training = True
    return bool(found)


def _check(classifier: Classifier, file: OnnxFile, trainable: Trainable) -> None:
    """Check that onnxruntime and torch give the same logits for the retrained graph, on the CPU."""
    try:
        retrained = Classifier(classifier.path, classifier.spec, file=file)
        check_parity(retrained, trainable.twin.to("cpu"))
    except InputError as error:
        raise InputError(f"the retrained model was not written: {error}") from error
