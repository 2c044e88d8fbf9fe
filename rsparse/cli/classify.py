"""The command ``rsparse classify``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rsparse.cli.command import command
from rsparse.cli.console import (
    Stopwatch,
    answer,
    answer_table,
    cell,
    count,
    finish,
    progress_bar,
    summary,
)
from rsparse.cli.input_options import InputOptions
from rsparse.cli.label_options import LabelOptions
from rsparse.cli.options import (
    Images,
    Json,
    Model,
    Overwrite,
    output_option,
)
from rsparse.options.classify import ClassifyParameters
from rsparse.work.workers import Workers

if TYPE_CHECKING:
    from rsparse.commands.classify import ClassifyOutcome


@command(
    "rsparse classify imgs/ --model tagged.onnx",
    "rsparse classify imgs/ --model m.onnx --preset inception-v3 --labels labels.csv",
    "rsparse classify adv-purified/ --model m.onnx -o pred.h5",
    "rsparse classify imgs/ --model m.onnx --device cuda --batch-size 64 -o pred.csv",
    "rsparse classify cat.jpg --model m.onnx --json | jq .predictions[0].top[0]",
)
def classify(
    *,
    images: Images,
    model: Model,
    output: Annotated[
        Path | None,
        output_option(
            "FILE", "File for the predictions, .h5 or .csv; the default is standard output."
        ),
    ] = None,
    labels: LabelOptions,
    parameters: ClassifyParameters,
    input_options: InputOptions,
    workers: Workers,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Classify images with an ONNX model and report the accuracy.

    Images of any size are brought to the model's input, whole or cut. Without -o, predictions
    go to standard output: a table on a terminal, CSV in a pipe.
    """
    from rsparse.commands.classify import classify_images

    watch = Stopwatch()
    with progress_bar() as progress:
        outcome = classify_images(
            images,
            model,
            output,
            parameters,
            input_options,
            labels=labels,
            workers=workers,
            overwrite=overwrite,
            progress=progress,
        )
    summary(
        "classified",
        {
            "images": count(outcome),
            "accuracy": accuracy_text(outcome),
            "labels": outcome.label_origin,
            "time": str(watch),
        },
    )
    finish(outcome, as_json, None if output is not None else lambda: _show_predictions(outcome))


def accuracy_text(outcome: ClassifyOutcome) -> str:
    """``85.5 % (171 of 200; 95 % interval 80.0–89.7 %)``."""
    accuracy = outcome.accuracy()
    if accuracy is None:
        return "unknown without labels"
    value, low, high = (f"{100 * x:.1f}" for x in accuracy.numbers)
    return f"{value} % ({accuracy.correct} of {accuracy.n}; 95 % interval {low}–{high} %)"


def _show_predictions(outcome: ClassifyOutcome) -> None:
    """Print a table on a terminal, CSV in a pipe."""
    if sys.stdout.isatty():
        _print_table(outcome)
        return
    from rsparse.store.predictions import csv_lines

    answer("".join(csv_lines(outcome.predictions or [], outcome.class_names)).removesuffix("\n"))


def _print_table(outcome: ClassifyOutcome) -> None:
    names, rows = outcome.class_names, []
    for row in outcome.predictions or []:
        label = "" if row.label is None else names[row.label]
        style = {None: "", True: "green", False: "red"}[row.is_correct]
        image = row.name
        for index, probability in zip(row.classes, row.probabilities, strict=True):
            prediction = cell(f"{names[index]} ({index})", style)
            rows.append((image, label, prediction, f"{probability:.1%}"))
            image = label = style = ""
    answer_table(("image", "label", "prediction", "probability"), rows, numbers=("probability",))
