"""The command ``rsparse demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from rsparse.cli.command import command
from rsparse.cli.console import Stopwatch, answer, answer_json, progress_bar, say, table
from rsparse.cli.options import Jobs, Json, Overwrite, output_option


@command("rsparse demo", "rsparse demo -o try/ --overwrite")
def demo(
    output: Annotated[
        Path, output_option("FOLDER", "Folder for all artifacts; the default is demo/.")
    ] = Path("demo"),
    jobs: Jobs = 0,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Run the whole pipeline on the embedded photographs and classifier.

    The demo learns a dictionary, attacks photographs that the classifier has not seen, purifies
    them, classifies them before and after, and draws the results on one contact sheet. It needs
    the extra `attack`.
    """
    from rsparse.commands.demo import ATTACK, run_demo

    watch = Stopwatch()
    with progress_bar() as progress:
        results = run_demo(output, jobs=jobs, overwrite=overwrite, progress=progress)
    table(
        f"Top-1 accuracy of the embedded classifier, attack {ATTACK}, {results['benign'].n} "
        "photographs that it has not seen",
        ["photographs", "right", "accuracy", "95 % interval"],
        [
            [
                name,
                f"{share.correct}/{share.n}",
                f"{share.value:.0%}",
                f"{share.low:.0%} to {share.high:.0%}",
            ]
            for name, share in results.items()
        ],
    )
    say(f"time {watch}; all artifacts are in {output}, start with:")
    sheet = output / "contact-sheet.png"
    for name in ("dict.png", "activations.png"):
        say(f"  {output / name}")
    if as_json:
        sets = {
            name: {
                "correct": share.correct,
                "total": share.n,
                "accuracy": share.value,
                "interval_95": [share.low, share.high],
            }
            for name, share in results.items()
        }
        answer_json({"output": str(output), "contact_sheet": str(sheet), "sets": sets})
    else:
        answer(sheet)
