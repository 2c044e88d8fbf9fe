"""From a classifier and images to the same graph with other weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from rsparse.training.samples import Sample
from rsparse.work.progress import Progress
from rsparse.work.workers import one_thread


@dataclass(frozen=True)
class Retrained:
    """A model with other weights, and how it got them.

    ``written`` is what validation said of the weights; ``layers`` were trained; ``resumed``
    entries of the ``history`` are an earlier run's.
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
    parameters: TrainParameters,
    *,
    device: str,
    precision: str,
    threads: int,
    checkpoint: Path,
    run: str,
    progress: Progress,
) -> Retrained:
    """Train on the first part, keep what was best on the second, and put it into the graph.

    Parameters
    ----------
    classifier : Classifier
    file : OnnxFile
        Of the classifier, its softmax included.
    parts : two sequences of Sample
    purified : sequence of str
        How the samples' purified versions are called.
    adversaries : Adversaries
        The versions that are attacked as they are shown.
    parameters : TrainParameters
    device, precision : str
        As they were found, not ``auto``.
    threads : int
    checkpoint : Path
    run : str
        What tells this training from others.
    progress : Progress

    Raises
    ------
    InputError
        If the graph cannot be trained, or onnxruntime gives other logits for it afterwards.
    """
    trainable = open_trainable(classifier, parameters, device)
    with one_torch_thread(), one_thread():
        learner = Learner(trainable, parameters, precision, threads, adversaries)
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
    return Retrained(changed, history, written, len(trainable.layers), training.resumed)


def open_trainable(classifier: Classifier, parameters: TrainParameters, device: str) -> Trainable:
    """The classifier's twin with the weights of the chosen layers free.

    Raises
    ------
    InputError
        If it has no twin, or no such layers.
    """
    twin = load_twin(classifier, device, trainable=True)
    layers = find_layers(classifier, twin)
    where = str(classifier.path)
    chosen = choose_layers(layers, parameters.layers, parameters.batch_norm, where)
    return Trainable(twin, layers, chosen)


def _check(classifier: Classifier, file: OnnxFile, trainable: Trainable) -> None:
    """See that onnxruntime gives the retrained graph's logits as torch does, on the CPU."""
    try:
        retrained = Classifier(classifier.path, classifier.spec, file=file)
        check_parity(retrained, trainable.twin.to("cpu"))
    except InputError as error:
        raise InputError(f"the retrained model is not written: {error}") from error
