"""The command ``rsparse classify``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rsparse.cli.command import command
from rsparse.cli.console import Stopwatch, count, finish, progress_bar, summary
from rsparse.cli.input_options import InputOptions
from rsparse.cli.options import (
    DEFAULT_LABELS,
    Images,
    Json,
    Model,
    Overwrite,
    labels_option,
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
    labels: Annotated[
        Path | None,
        labels_option(DEFAULT_LABELS),
    ] = None,
    parameters: ClassifyParameters,
    input_options: InputOptions,
    workers: Workers,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Classify images with an ONNX model and report the accuracy.

    Images of any size are resized to the model's input without cropping. Without -o, predictions
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
    finish(outcome, as_json, None if output is not None else _predictions_text(outcome))


def accuracy_text(outcome: ClassifyOutcome) -> str:
    """``85.5 % (171 of 200; 95 % interval 80.0–89.7 %)``."""
    accuracy = outcome.accuracy()
    if accuracy is None:
        return "unknown without labels"
    value, low, high = (f"{100 * x:.1f}" for x in accuracy.numbers)
    return f"{value} % ({accuracy.correct} of {accuracy.n}; 95 % interval {low}–{high} %)"


def _predictions_text(outcome: ClassifyOutcome) -> str:
    """A table on a terminal, CSV in a pipe."""
    if sys.stdout.isatty():
        return _table_text(outcome)
    from rsparse.store.predictions import csv_lines

    return "".join(csv_lines(outcome.predictions or [], outcome.class_names)).rstrip("\n")


def _table_text(outcome: ClassifyOutcome) -> str:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    sheet = Table(box=box.SIMPLE_HEAD)
    for column in ("image", "label", "prediction", "probability"):
        is_number = column == "probability"
        sheet.add_column(column, justify="right" if is_number else "left", no_wrap=is_number)
    names = outcome.class_names
    for row in outcome.predictions or []:
        label = "" if row.label is None else names[row.label]
        style = {None: "", True: "green", False: "red"}[row.is_correct]
        image = row.name
        for index, probability in zip(row.classes, row.probabilities, strict=True):
            cells = (escape(image), escape(label), Text(f"{names[index]} ({index})", style))
            sheet.add_row(*cells, f"{probability:.1%}")
            image = label = style = ""
    console = Console(highlight=False)
    with console.capture() as captured:
        console.print(sheet)
    return captured.get().rstrip("\n")
