"""``rsparse train``: images and a classifier in, a retrained classifier out.

The images may come with purified versions. The output is the same graph with new weights: the
names of its nodes, its input and its metadata are unchanged. Two entries are added to the
metadata: the record (``rsparse.record``) and the figures of each epoch (``rsparse.training``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rsparse.commands.train.checks import check_outputs
from rsparse.commands.train.run import (
    TrainingRun,
    TrainOutcome,
    checkpoint_beside,
    remove_leftovers,
    remove_purified,
)
from rsparse.errors import InputError
from rsparse.models.fit import Fit
from rsparse.models.spec import InputOptions
from rsparse.options.labels import LabelOptions
from rsparse.options.train import TrainParameters
from rsparse.pictures.curve import draw_curve
from rsparse.store.journal import journal_beside
from rsparse.store.together import appear_together
from rsparse.training.adversaries import AdversarialDefenses
from rsparse.work.progress import SILENT, Progress
from rsparse.work.workers import LocalWorkers, Workers


def train_model(
    paths: Sequence[Path],
    model: Path,
    output: Path,
    parameters: TrainParameters,
    input_options: InputOptions | None = None,
    *,
    purified: Mapping[str, Path] | None = None,
    adversarial_defenses: AdversarialDefenses | None = None,
    labels: LabelOptions = LabelOptions(),
    plot: Path | None = None,
    workers: Workers = LocalWorkers(),
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> TrainOutcome:
    """Retrain a classifier and write it to ``output``.

    Parameters
    ----------
    paths : sequence of Path
        Folders of clean images, or single images.
    model : Path
        The ONNX file.
    output : Path
    parameters : TrainParameters
    input_options : InputOptions, optional
        The model's input, as given by the user.
    purified : mapping of str to Path, optional
        Folders of purified versions of the same images, by the name of the version. Images are
        joined by name.
    adversarial_defenses : AdversarialDefenses, optional
        The defenses that purify adversarial images; none by default.
    labels : LabelOptions
        The file of the correct classes; by default the images' own labels. Not needed with
        ``distill``.
    plot : Path, optional
        PNG file for the training curve.
    workers, overwrite, progress
        As for every stage; the training itself uses the cores of this machine.

    Raises
    ------
    InputError
        If an input cannot be used, the model cannot be retrained, or the output exists.
    """
    remove_leftovers(output)
    check_outputs(output, plot, [model, *paths, *(purified or {}).values()], overwrite)
    if parameters.is_purified and not purified:
        raise InputError(
            f"--train-on {parameters.train_on} needs purified images; make them with --defense "
            "SPEC, or pass a folder written by purify with --purified-images FOLDER"
        )
    run = TrainingRun(
        paths,
        model,
        parameters,
        input_options,
        purified or {},
        adversarial_defenses,
        labels,
        workers,
    )
    run.classifier.tell(progress)
    plots = [] if plot is None else [plot]
    with journal_beside(output, run.job.identity(), overwrite, plots) as journal:
        outcome, content = run.train(output, journal, progress)
        with appear_together(output, journal) as members:
            members.write(output, content)
            if plot is not None:
                members.write(plot, _curve(outcome, model, parameters))
    checkpoint_beside(output).unlink(missing_ok=True)
    return outcome


def _curve(outcome: TrainOutcome, model: Path, parameters: TrainParameters) -> bytes:
    """The training curve as PNG."""
    both = parameters.train_on == "both"
    shown = "purified and adversarial" if both else parameters.train_on
    title = f"{model.name} retrained on {shown} images"
    return draw_curve(outcome.history, outcome.best_epoch, title, f"{parameters.score}, %")


def check_training(
    paths: Sequence[Path],
    model: Path,
    output: Path,
    parameters: TrainParameters,
    input_options: InputOptions | None = None,
    *,
    adversarial_defenses: AdversarialDefenses | None = None,
    labels: LabelOptions = LabelOptions(),
    plot: Path | None = None,
    overwrite: bool = False,
) -> Fit:
    """Check outputs, options, labels and layers before any image is purified.

    Returns
    -------
    Fit
        How the model fits images to its input; they are purified in this form.

    Raises
    ------
    InputError
        As ``train_model`` does.
    """
    from rsparse.training.retrained import open_trainable

    remove_leftovers(output)
    if not overwrite:
        remove_purified(output)
    check_outputs(output, plot, [model, *paths], overwrite)
    run = TrainingRun(
        paths, model, parameters, input_options, {}, adversarial_defenses, labels, LocalWorkers(1)
    )
    open_trainable(run.classifier, parameters, run.device.torch)
    return run.classifier.spec.fit
