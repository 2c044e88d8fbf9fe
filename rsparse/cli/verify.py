"""The command ``rsparse verify``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rsparse.cli.command import command
from rsparse.cli.console import answer_json, answer_table, progress_bar, say
from rsparse.cli.generated import argument
from rsparse.cli.options import Json

if TYPE_CHECKING:
    from rsparse.commands.verify.verify import Verified

MOST_ROWS = 40
NAMED = 2  # inputs that are not at hand, in a row


@command(
    "rsparse verify adv-purified/",
    "rsparse verify eval/ dict.h5 pred.csv",
    "rsparse verify eval/ --json | jq .problems",
)
def verify(
    artifacts: Annotated[
        list[Path],
        argument("ARTIFACT", "Artifacts, or folders that contain some."),
    ],
    as_json: Json = False,
) -> None:
    """Check that artifacts are as they were written, and that their records hold.

    Every file is compared with its checksum: the images of a folder with its manifest, a CSV file
    with its record, an HDF5 or ONNX file with the checksum in it, and the tables of an evaluation
    with evaluation.h5. Inputs that a record names are looked for beside each ARTIFACT and
    compared with it, and so are their own inputs. The exit code is 1 if something differs or is
    missing, or is no artifact while others are.
    """
    from rsparse.commands.verify.verify import verify_artifacts

    with progress_bar() as progress:
        results = verify_artifacts(artifacts, progress)
    problems = list(dict.fromkeys(text for result in results for text in result.problems))
    if as_json:
        shown = [result.as_json() for result in results]
        answer_json({"artifacts": shown, "problems": problems})
    else:
        _print_table(results)
    for text in problems:
        say(f"rsparse: {text}")
    if problems:
        raise typer.Exit(1)


def _print_table(results: list[Verified]) -> None:
    """Print a row for each artifact; if there are many, only for those with problems."""
    rows = [result for result in results if result.problems or len(results) <= MOST_ROWS]
    answer_table(
        ("artifact", "format", "files", "MB", "inputs", "not at hand", "result"),
        [
            (
                str(result.path),
                result.format,
                str(result.files),
                f"{result.size / 1e6:.1f}",
                str(result.inputs_found),
                _names_text(result.inputs_absent),
                _result_text(len(result.problems)),
            )
            for result in rows
        ],
        [
            (
                f"{len(results)} in all",
                "",
                str(sum(result.files for result in results)),
                f"{sum(result.size for result in results) / 1e6:.1f}",
                str(sum(result.inputs_found for result in results)),
                str(sum(len(result.inputs_absent) for result in results)),
                _result_text(sum(len(result.problems) for result in results)),
            )
        ],
        numbers=("files", "MB", "inputs"),
        width=None if sys.stdout.isatty() else 100_000,  # lines are not broken in a pipe
    )


def _names_text(names: list[str]) -> str:
    """The first names, and the number of others; 0 if there are none."""
    distinct = list(dict.fromkeys(names))
    others = f" and {len(distinct) - NAMED} more" if len(distinct) > NAMED else ""
    return ", ".join(distinct[:NAMED]) + others if distinct else "0"


def _result_text(problems: int) -> str:
    return "whole" if not problems else f"{problems} problem{'s' * (problems > 1)}"
