"""CPU time of a command's ``--help``, compared with starting Python and typer.

    python benchmarks/startup.py

The figures are medians of interleaved runs of real processes on one core.
"""

from __future__ import annotations

import os
import sys
from functools import partial

import measure

from rsparse.report.markdown_tables import table_text

COMMANDS = ("learn-dict", "localize", "purify", "attack", "classify", "activations", "attention",
            "evaluate", "report", "train", "fetch", "show", "demo", "model show",
            "model tag")  # fmt: skip
WANTED = 0.2
ROUNDS = 10


def main() -> None:
    measure.parser(__doc__).parse_args()
    measure.pin()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installation holds its modules compiled
    lines = {
        "python -c pass": [sys.executable, "-c", "pass"],
        'python -c "import typer"': [sys.executable, "-c", "import typer"],
        "rsparse --help": measure.rsparse("--help"),
        **{f"rsparse {name} --help": measure.rsparse(*name.split(), "--help") for name in COMMANDS},
    }
    seconds = measure.interleaved(
        {name: partial(_seconds, line) for name, line in lines.items()}, rounds=ROUNDS
    )
    typer = seconds['python -c "import typer"']
    rows = [[f"`{name}`", f"{value:.3f}", f"{value / typer:.1f}×"]
            for name, value in seconds.items()]  # fmt: skip
    print(f"### Starting\n\nCPU seconds: the median of {ROUNDS} runs.\n")
    print(table_text(["command", "CPU-s", "/ import typer"], rows))
    slowest = max(value for name, value in seconds.items() if name.startswith("rsparse"))
    print(measure.target("CPU-s of the slowest `--help`", slowest, WANTED, at_least=False), "\n")


def _seconds(command: list[str]) -> float:
    return measure.child_cpu(command)[0]


if __name__ == "__main__":
    main()
