"""The command ``rsparse detect``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rsparse.cli import completion
from rsparse.cli.command import command
from rsparse.cli.console import (
    Stopwatch,
    answer,
    answer_json,
    answer_table,
    cell,
    count,
    finish,
    progress_bar,
    say,
    summary,
    wide_table,
)
from rsparse.cli.generated import option
from rsparse.cli.help import DETAILS
from rsparse.cli.input_options import InputOptions
from rsparse.cli.options import Dictionaries, Images, Json, Overwrite, output_option, path_option
from rsparse.errors import InputError
from rsparse.options.detect import DetectParameters
from rsparse.options.sections import INPUT_OUTPUT
from rsparse.store.published import dictionary_files
from rsparse.work.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rsparse.commands.detect.results import DetectOutcome
    from rsparse.commands.detect.setup import DetectorFiles
    from rsparse.core.metrics import Estimate
    from rsparse.detection.score import Score
    from rsparse.work.runs import Outcome


@command(
    "rsparse detect imgs/ --reference benign/ --resize-to 224",
    "rsparse detect imgs/ --reference benign/ --model m.onnx -o found.csv",
    "rsparse detect benign/ --calibrate --model m.onnx -o reference.h5",
    "rsparse detect imgs/ --reference reference.h5 --model m.onnx -o found.csv",
    "rsparse detect other-benign/ --reference reference.h5 --attacked adv/ --json",
    "rsparse purify imgs/ --only-detected found.csv --dict dict.h5",
)
def detect(
    *,
    images: Images,
    reference: Annotated[
        Path | None,
        path_option(
            "FOLDER|FILE",
            "Clean images to compare with, 100 or more of the same origin and size; or a file "
            "that --calibrate made from them.",
        ),
    ] = None,
    calibrate: Annotated[
        bool,
        option(None, "Make a reference, an HDF5 file, from clean IMAGES.", "--calibrate"),
    ] = False,
    model: Annotated[
        Path | None,
        path_option("FILE", "A classifier, an ONNX file, for scores of answers.", "--model", "-m"),
    ] = None,
    dictionaries: Dictionaries = None,
    score_specs: Annotated[
        list[str] | None,
        option(
            "SPEC",
            "Score to use, several times. Of the image alone: noise, period, color. With --model: "
            f"instability, lead, swing, squeezers; with --dict too: disagreement.{DETAILS}The "
            "default is noise, period, color and, with --model, instability and lead; or all of "
            "the reference file. A score may have parameters, as in NAME:PARAMETER=VALUE.",
            "--score",
            complete=completion.SCORES,
        ),
    ] = None,
    attacked: Annotated[
        list[Path] | None,
        option(
            "FOLDER",
            "Folder of images that are known to be attacked, several times; shows the share that "
            f"is found.{DETAILS}IMAGES then count as clean, and the area under the ROC curve is "
            "shown, too.",
            "--attacked",
            section=INPUT_OUTPUT,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        output_option(
            "FILE",
            "File for the result, .csv; the default is standard output. With --calibrate, "
            "reference.h5 by default.",
        ),
    ] = None,
    parameters: DetectParameters,
    input_options: InputOptions,
    workers: Workers,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Find images that look attacked, by a reference of clean ones.

    Each image gets a p-value: the probability that a clean image is at least as unusual, from the
    tail probabilities of several scores among the clean images. An attacker who knows the detector
    evades it.
    """
    from rsparse.commands.detect.setup import DetectorFiles
    from rsparse.detection.registry import parse_scores

    scores = parse_scores(score_specs or [])
    files = DetectorFiles(model, input_options, dictionary_files(dictionaries))
    if calibrate:
        _refuse_with_calibrate(reference, attacked)
        outcome = _calibrated(images, output, parameters, scores, files, workers, overwrite)
        finish(outcome, as_json)
        return
    if reference is None:
        raise InputError(
            "detect needs clean images to compare with: --reference benign/, or a file made by "
            "--calibrate"
        )
    from rsparse.commands.detect.detect import detect_images
    from rsparse.detection.evasion import EVASION

    watch = Stopwatch()
    with progress_bar() as progress:
        found = detect_images(
            images,
            reference,
            output,
            parameters,
            scores,
            files,
            attacked=attacked or (),
            workers=workers,
            overwrite=overwrite,
            progress=progress,
        )
    _show_summary(found, str(watch))
    say(EVASION)
    if as_json:
        finish(found, False, lambda: answer_json({**found.as_json(), "caveat": EVASION}))
    else:
        finish(found, False, None if output is not None else lambda: _show_images(found))


def _refuse_with_calibrate(reference: Path | None, attacked: list[Path] | None) -> None:
    for name, value in (("--reference", reference), ("--attacked", attacked)):
        if value:
            raise InputError(f"--calibrate and {name} cannot be used together")


def _calibrated(
    images: list[Path],
    output: Path | None,
    parameters: DetectParameters,
    scores: Sequence[Score],
    files: DetectorFiles,
    workers: Workers,
    overwrite: bool,
) -> Outcome:
    from rsparse.commands.detect.calibrate import calibrate_images

    watch = Stopwatch()
    with progress_bar() as progress:
        outcome = calibrate_images(
            images,
            output or Path("reference.h5"),
            parameters,
            scores,
            files,
            workers=workers,
            overwrite=overwrite,
            progress=progress,
        )
        for note in outcome.notes:
            progress.message(note)
    summary("calibrated", {"clean images": count(outcome), "time": str(watch)})
    return outcome


def _show_summary(found: DetectOutcome, time: str) -> None:
    level = f"{100 * found.false_alarms:g} %"
    values = {
        "images": count(found),
        "reference": f"{found.n_reference} clean images",
        "false alarms": f"{level} at most, of clean images like these",
        "detected": _share(found.detected),
        "time": time,
    }
    summary("examined", values)
    if found.attacked:
        rows = [["the images, as clean", _share(found.detected), ""]]
        rows += [[f.folder, _share(f.found), _area(f.area)] for f in found.attacked]
        wide_table("", ["folder", f"detected at {level}", "area under ROC"], rows)


def _share(share: Estimate) -> str:
    """``4.5 % (9 of 200; 2.4–8.3)``."""
    value, low, high = (f"{100 * number:.1f}" for number in share.numbers)
    return f"{value} % ({share.correct} of {share.n}; {low}–{high})"


def _area(area: Estimate) -> str:
    return f"{area.value:.3f} ({area.low:.3f}–{area.high:.3f})"


def _show_images(found: DetectOutcome) -> None:
    """Print a table on a terminal, the most suspicious images first; CSV in a pipe."""
    if not sys.stdout.isatty():
        from rsparse.store.detections import detection_lines

        answer("".join(detection_lines(found.rows, found.columns)).removesuffix("\n"))
        return
    rows = sorted(found.rows, key=lambda row: -row.combined)
    answer_table(
        ("image", "p-value", *found.columns),
        [
            (
                cell("/".join(filter(None, (row.folder, row.name))), "red" * row.detected),
                f"{row.p_value:.3g}",
                *(f"{value:.3g}" for value in row.scores),
            )
            for row in rows
        ],
        numbers=("p-value", *found.columns),
    )
