"""The command ``rsparse train``."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rsparse.cli import completion
from rsparse.cli.command import command, given_options
from rsparse.cli.console import (
    Stopwatch,
    count,
    finish,
    progress_bar,
    summary,
    table,
    tell_of_embedded,
    warn_of_ignored_levels,
)
from rsparse.cli.generated import option
from rsparse.cli.help import DETAILS
from rsparse.cli.input_options import InputOptions
from rsparse.cli.label_options import LabelOptions
from rsparse.cli.options import (
    Dictionaries,
    Images,
    Json,
    Model,
    Overwrite,
    PolicyNames,
    output_option,
    path_option,
)
from rsparse.defenses import parse_defenses
from rsparse.errors import InputError
from rsparse.options.sections import ATTACK, INPUT_OUTPUT
from rsparse.options.train import TrainParameters
from rsparse.store.published import dictionary_files
from rsparse.work.workers import Workers

if TYPE_CHECKING:
    from rsparse.commands.train.run import TrainOutcome


@command(
    "rsparse train imgs/ -m m.onnx --distill --defense regionsparse:sparsity=1 \\",
    "  -d dict.h5 -o n.onnx",
    "rsparse train imgs/ -m m.onnx --labels labels.csv --defense jpeg -o new.onnx",
    "rsparse train imgs/ -m m.onnx --train-on adversarial --attack-eps 16 \\",
    "  --plot curve.png -o n.onnx",
    "rsparse train imgs/ -m m.onnx --distill --train-on adversarial \\",
    "  --adversarial-defense median -o n.onnx",
    "rsparse train imgs/ -m m.onnx --distill --train-on adversarial \\",
    "  --through policy:default -d dict.h5 -o n.onnx",
    "rsparse train imgs/ -m m.onnx --train-on both --purified-images purified/ \\",
    "  --train-layers head -o n.onnx",
    "rsparse train imgs/ -m m.onnx --distill --purified-images adv-purified/ -o new.onnx",
    "rsparse train imgs/ -m m.onnx --distill --noise 0.12 --denoiser unrolled -o new.onnx",
)
def train(
    *,
    context: typer.Context,
    images: Images,
    model: Model,
    output: Annotated[Path, output_option("FILE", "File for the retrained classifier (ONNX).")],
    defenses: Annotated[
        list[str] | None,
        option(
            "SPEC",
            "Defense for --train-on purified and both, as in 'rsparse purify'; several times for "
            f"more.{DETAILS}It is "
            "applied at the model's input size; each one given makes a purified version of the "
            "images. Use regionsparse with a sparsity, since most policies do not change clean "
            "images.",
            "--defense",
            complete=completion.DEFENSES,
        ),
    ] = None,
    adversarial_defenses: Annotated[
        list[str] | None,
        option(
            "SPEC",
            "Defense that purifies the adversarial images of --train-on adversarial and both, as "
            "in deployment behind a defense; each one given makes a version of the images. The "
            "default, none, does not purify them.",
            "--adversarial-defense",
            complete=completion.DEFENSES,
            section=ATTACK,
            rare=True,
        ),
    ] = None,
    through: Annotated[
        list[str] | None,
        option(
            "SPEC",
            "Defense through which the adversarial images of --train-on adversarial and both "
            "are made, as in attack --through, and which then purifies them: training against an "
            "attacker who knows the defense; each one given makes a version of the images.",
            complete=completion.DEFENSES,
            section=ATTACK,
            rare=True,
        ),
    ] = None,
    policies: PolicyNames = None,
    dictionaries: Dictionaries = None,
    purified: Annotated[
        list[Path] | None,
        option(
            "FOLDER",
            "Folder that 'rsparse purify' wrote from the images, clean or attacked; matched by "
            "name.",
            "--purified-images",
            section=INPUT_OUTPUT,
            rare=True,
        ),
    ] = None,
    cache: Annotated[
        Path | None,
        option(
            "FOLDER",
            "Folder that keeps the purified images for other trainings; without it, they are "
            "removed after the training.",
            "--purified-cache",
            section=INPUT_OUTPUT,
            rare=True,
        ),
    ] = None,
    labels: LabelOptions,
    plot: Annotated[
        Path | None,
        path_option("PNG", "Also draw loss and accuracy by epoch to this file.", rare=True),
    ] = None,
    parameters: TrainParameters,
    input_options: InputOptions,
    workers: Workers,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Retrain a classifier on clean, purified, adversarial or noisy images.

    The result is the same graph with new weights, those with the lowest validation loss; every
    other command can read it. An interrupted training continues where it stopped.
    """
    parameters = _with_noise(parameters, given_options(context, TrainParameters))
    purifying = parse_defenses(defenses or [], policies or [])
    adversarial = parse_defenses(adversarial_defenses or [])
    known = parse_defenses(through or [])
    files = dictionary_files(dictionaries)
    warn_of_ignored_levels(files, (*purifying, *adversarial, *known))
    from rsparse.commands.train.retraining import purify_and_train

    watch = Stopwatch()
    with progress_bar() as progress:
        outcome = purify_and_train(
            images,
            model,
            output,
            parameters,
            input_options,
            defenses=purifying,
            dictionaries=files,
            adversarial_defenses=adversarial,
            through=known,
            purified=purified or [],
            cache=cache,
            labels=labels,
            plot=plot,
            workers=workers,
            overwrite=overwrite,
            progress=progress,
        )
    tell_of_embedded(files, (*purifying, *adversarial, *known))
    _report(outcome, parameters, watch)
    finish(outcome, as_json)


def _with_noise(parameters: TrainParameters, given: Collection[str]) -> TrainParameters:
    """``--noise`` alone means ``--train-on noisy``; only that uses a denoiser."""
    if parameters.noise is not None and "--train-on" not in given:
        parameters = replace(parameters, train_on="noisy")
    if "--denoiser" in given and not parameters.is_noisy:
        raise InputError("--denoiser: cleans noisy images; add their noise with --noise 0.12")
    return parameters


def _report(outcome: TrainOutcome, parameters: TrainParameters, watch: Stopwatch) -> None:
    epochs = str(len(outcome.history) - 1)
    if outcome.resumed_epochs:
        epochs += f" ({max(outcome.resumed_epochs - 1, 0)} in an earlier run)"
    best, score = outcome.best_epoch, parameters.score
    kept = f"epoch {best}" if best else "the original weights: no epoch was better"
    if best and parameters.original_share:
        kept += f", averaged with {100 * parameters.original_share:g} % of the original"
    summary(
        "retrained",
        {
            "images": count(outcome),
            "training, validation": f"{outcome.shown}, {outcome.held_out}",
            "targets": outcome.label_origin,
            "layers": str(outcome.layers),
            "epochs": epochs,
            "kept": kept,
            "time": str(watch),
        },
    )
    before, after = outcome.history[0]["validation"]["versions"], outcome.written["versions"]
    table(
        "Validation, before → after",
        ["images", "loss", f"{score} %"],
        [
            [
                version,
                f"{before[version]['loss']:.3f} → {after[version]['loss']:.3f}",
                f"{100 * before[version]['accuracy']:.1f} → {100 * after[version]['accuracy']:.1f}",
            ]
            for version in before
        ],
    )
