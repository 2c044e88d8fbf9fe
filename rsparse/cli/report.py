"""The command ``rsparse report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rsparse.cli import completion
from rsparse.cli.command import command
from rsparse.cli.console import answer, answer_json, progress_bar, say
from rsparse.cli.generated import argument, option
from rsparse.cli.input_options import InputOptions
from rsparse.cli.options import (
    Dictionaries,
    Json,
    Overwrite,
    Required,
    output_option,
    path_option,
)
from rsparse.options.report import ReportParameters
from rsparse.options.sections import INPUT_OUTPUT
from rsparse.store.published import dictionary_files


@command(
    "rsparse report eval/ -o report/",
    "rsparse report eval/ -o report/ --dict dict.h5 --model m.onnx --preset inception-v3",
    "rsparse report eval/ -o report/ --certificates cert/",
    "rsparse report eval/ -o tables/ --format md --format csv",
    "rsparse report eval/ -o ci/ --format junit --require 'adaptive.eps=2>=0.1'",
)
def report(
    evaluation: Annotated[
        Path,
        argument("EVAL", "Folder that 'rsparse evaluate' wrote."),
    ],
    output: Annotated[Path, output_option("FOLDER", "Folder for the report.")],
    parameters: ReportParameters,
    input_options: InputOptions,
    formats: Annotated[
        list[str] | None,
        option(
            "FORMAT",
            "Format of the report: html (with the data as CSV), md, png, csv, or junit (for "
            "continuous integration); can be given several times.  [default: html]",
            "--format",
            complete=completion.complete_words(["html", "md", "png", "csv", "junit"]),
            section=INPUT_OUTPUT,
        ),
    ] = None,
    dictionaries: Dictionaries = None,
    model: Annotated[
        Path | None,
        path_option(
            "FILE",
            "The evaluated classifier; without it, the report has no attention maps and no "
            "activations.",
            "--model",
            "-m",
        ),
    ] = None,
    judged: Annotated[
        str | None,
        option(
            "NAME",
            "Short name of the defense that the verdict describes; the default is the first "
            "RegionSparse or policy of the plan.",
            "--verdict-defense",
        ),
    ] = None,
    certificates: Annotated[
        Path | None,
        path_option(
            "FOLDER",
            "Folder that 'rsparse certify' wrote, with the evaluation's images and model; adds the "
            "certified radii.",
        ),
    ] = None,
    required: Required = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Write the results of an evaluation as one self-contained page, or as tables and figures.

    The page has a verdict, figures with their data, pictures, checks and provenance; it loads
    nothing from elsewhere. To show images cleaned by RegionSparse, alone or in a policy, it needs
    the dictionary. Parts that cannot be made are left out and named; if that is because judged
    images are missing or damaged, the exit code is 1.
    """
    from rsparse.commands.report.writing import write_report

    with progress_bar() as progress:
        outcome = write_report(
            evaluation,
            output,
            parameters,
            formats=formats or ["html"],
            dictionaries=dictionary_files(dictionaries),
            model=model,
            input_options=input_options,
            judged=judged,
            certificates=certificates,
            requirements=required or [],
            overwrite=overwrite,
            progress=progress,
        )
    for sentence in (*outcome.sentences, *outcome.left_out):
        say(sentence)
    for each in outcome.requirements:
        say(each.sentence)
    if as_json:
        answer_json(outcome.as_json())
    else:
        answer(outcome.main)
    if outcome.failed or not all(each.is_met for each in outcome.requirements):
        raise typer.Exit(1)
