"""The command ``rsparse train``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rsparse.cli.command import command
from rsparse.cli.console import (
    Stopwatch,
    count,
    finish,
    progress_bar,
    summary,
    table,
    tell_ignored_levels,
)
from rsparse.cli.options import (
    FOUND_LABELS,
    Dictionaries,
    Images,
    Json,
    Model,
    Overwrite,
    PolicyNames,
    labels_option,
    output_option,
    path_option,
)
from rsparse.defenses import parse_defenses
from rsparse.models.spec import InputOptions
from rsparse.options.specs import named_files
from rsparse.options.train import TrainParameters
from rsparse.work.workers import Workers

if TYPE_CHECKING:
    from rsparse.commands.train.run import TrainOutcome


@command(
    "rsparse train imgs/ -m m.onnx --distill --defense regionsparse:sparsity=1 -d dict.h5 "
    "-o n.onnx",
    "rsparse train imgs/ -m m.onnx --labels labels.csv --defense jpeg -o new.onnx",
    "rsparse train imgs/ -m m.onnx --train-on adversarial --attack-eps 16 --plot curve.png "
    "-o n.onnx",
    "rsparse train imgs/ -m m.onnx --distill --train-on adversarial --adversarial-defense median "
    "-o n.onnx",
    "rsparse train imgs/ -m m.onnx --train-on both --purified-images purified/ --train-layers head "
    "-o n.onnx",
    "rsparse train imgs/ -m m.onnx --distill --purified-images adv-purified/ -o new.onnx",
)
def train(
    *,
    images: Images,
    model: Model,
    output: Annotated[Path, output_option("FILE", "File for the retrained classifier (ONNX).")],
    defenses: Annotated[
        list[str] | None,
        typer.Option(
            "--defense",
            metavar="NAME:PARAMETER=VALUE,…",
            show_default=False,
            help="How images are purified for --train-on purified and both, as in purify but at "
            "the model's input size; several make a version each. Name a sparsity of regionsparse: "
            "most policies leave clean images as they are.",
        ),
    ] = None,
    adversarial_defenses: Annotated[
        list[str] | None,
        typer.Option(
            "--adversarial-defense",
            metavar="NAME:PARAMETER=VALUE,…",
            show_default=False,
            help="What adversarial images are shown behind, for --train-on adversarial and both: "
            "they are attacked on the weights as they change and then purified, as they will be "
            "where the classifier stands behind a defense. Several make a version each; none shows "
            "them as they are, which is the default.",
        ),
    ] = None,
    policies: PolicyNames = None,
    dictionaries: Dictionaries = None,
    purified: Annotated[
        list[Path] | None,
        typer.Option(
            "--purified-images",
            metavar="FOLDER",
            show_default=False,
            help="Purified versions of the images that are there already, joined by name: what "
            "purify wrote, of clean or of attacked images.",
        ),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            "--purified-cache",
            metavar="FOLDER",
            show_default=False,
            help="Where the purified images stay, for other trainings; without it they go when "
            "the training is done.",
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        labels_option(FOUND_LABELS),
    ] = None,
    plot: Annotated[
        Path | None,
        path_option("PNG", "Also draw loss and accuracy by epoch into this file."),
    ] = None,
    parameters: TrainParameters,
    input_options: InputOptions,
    workers: Workers,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Retrain a classifier on clean, purified or adversarial images.

    What comes out is the same graph with other weights, checked by onnxruntime, which every
    other command reads. The weights with the lowest validation loss are kept; clean and other
    images count in it as they do in training. --original-share averages them with those that the
    classifier had before. An interrupted training goes on where it stopped; the same images and
    seed give the same file on a CPU, for any number of --jobs.
    """
    chosen = parse_defenses(defenses or [], policies or [])
    behind = parse_defenses(adversarial_defenses or [])
    files = named_files(dictionaries)
    tell_ignored_levels(files, (*chosen, *behind))
    from rsparse.commands.train.retraining import train_on

    watch = Stopwatch()
    with progress_bar() as progress:
        outcome = train_on(
            images,
            model,
            output,
            parameters,
            input_options,
            defenses=chosen,
            dictionaries=files,
            adversarial_defenses=behind,
            purified=purified or [],
            cache=cache,
            labels=labels,
            plot=plot,
            workers=workers,
            overwrite=overwrite,
            progress=progress,
        )
    _report(outcome, parameters, watch)
    finish(outcome, as_json)


def _report(outcome: TrainOutcome, parameters: TrainParameters, watch: Stopwatch) -> None:
    epochs = str(len(outcome.history) - 1)
    if outcome.resumed_epochs:
        epochs += f" ({max(outcome.resumed_epochs - 1, 0)} in an earlier run)"
    best, score = outcome.best_epoch, parameters.score
    kept = f"epoch {best}" if best else "the weights as they were: no epoch was better"
    if best and parameters.original_share:
        kept += f", averaged with the original by {100 * parameters.original_share:g} %"
    summary(
        "retrained",
        {
            "images": count(outcome),
            "to train on, to validate on": f"{outcome.shown}, {outcome.held_out}",
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
