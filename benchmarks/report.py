"""All benchmarks, one after another, into ``docs/benchmarks.md``.

    python benchmarks/report.py [--shared ../shared] [--full] [--only memory]

Prints what it writes. ``--only`` names the benchmarks to run; the sections of the others stay as
they are. A benchmark that fails leaves its error in the report, and exit code 1.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import measure

HERE = Path(__file__).resolve().parent
REPORT = HERE.parent / "docs" / "benchmarks.md"
SECTIONS = {
    "kernel": "Sparse coding",
    "agreement": "Agreement with scikit-learn",
    "learner": "Dictionary learning",
    "purify": "Purifying",
    "defenses": "Defenses",
    "memory": "Memory",
    "startup": "Start-up",
    "cluster": "Past one machine",
}
OVERRIDES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")  # the BLAS is to know the real processor
HEAD = """# Benchmarks

Written by `make bench`. Ratios are the point: both sides of each were measured in the same run, in
turn, on one core, by CPU time, so that they hold beside whatever else the machine does, and on
other machines. "Floor" is the arithmetic that a method cannot do without, at the speed of the
machine's own matrix product in the same rounds. Times by themselves depend on the machine, which
each section names.

{verdict}
"""


def main() -> int:
    parser = measure.parser(__doc__)
    parser.add_argument("-o", "--output", type=Path, default=REPORT, help="the report")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, help="run these benchmarks")
    options = parser.parse_args()
    arguments = ["--shared", str(options.shared)] if options.shared else []
    arguments += ["--full"] if options.full else []
    environment = {name: os.environ[name] for name in os.environ if name not in OVERRIDES}
    path = os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")]))
    environment["PYTHONPATH"] = path
    machine = subprocess.run(
        [sys.executable, "-c", "import measure; print(measure.machine())"], cwd=HERE, check=True,
        stdout=subprocess.PIPE, text=True, env=environment,
    ).stdout.strip()  # fmt: skip
    said = " ".join(argument for argument in arguments if argument.startswith("--"))
    sections, failed = _sections_of(options.output), False
    for script in options.only or SECTIONS:
        print(f"{script} …", file=sys.stderr)
        done = subprocess.run(
            [sys.executable, str(HERE / f"{script}.py"), *arguments, "--work", str(options.work)],
            stdout=subprocess.PIPE, text=True, check=False, env=environment,
        )  # fmt: skip
        failed |= done.returncode != 0
        broken = "\nThis benchmark failed before its end.\n" if done.returncode else ""
        how = " ".join(filter(None, [f"benchmarks/{script}.py", said]))
        sections[SECTIONS[script]] = f"`{how}`; {machine}\n\n{_tidy(done.stdout)}\n{broken}"
        print(sections[SECTIONS[script]], flush=True)
        text = [f"## {t}\n\n{sections[t]}" for t in SECTIONS.values() if t in sections]
        head = HEAD.format(verdict=_verdict("".join(text)))
        options.output.write_text("\n".join([head, *text]), encoding="utf-8")
    print(head)
    return int(failed)


def _sections_of(report: Path) -> dict[str, str]:
    """What an earlier report says, by title."""
    text = report.read_text(encoding="utf-8") if report.exists() else ""
    parts = [part.partition("\n\n") for part in f"\n{text}".split("\n## ")[1:]]
    return {title: content.rstrip() + "\n" for title, _, content in parts}


def _verdict(text: str) -> str:
    """How many of the targets were met, and which were not."""
    targets = [line for line in text.splitlines() if line.startswith("- **")]
    missed = [line for line in targets if line.startswith("- **missed**")]
    first = f"{len(targets) - len(missed)} of {len(targets)} targets are met"
    return "\n".join([first + ("; these are not:\n" if missed else "."), *missed]) + "\n"


def _tidy(text: str) -> str:
    """Lines without trailing blanks."""
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


if __name__ == "__main__":
    sys.exit(main())
