"""Run all benchmarks in sequence and write ``docs/benchmarks.md``.

    python benchmarks/report.py [--shared ../shared] [--full] [--only memory]

``--only`` names the benchmarks to run; the sections of the others do not change. All targets are in
a CSV file next to the report, which lists missed targets. If a benchmark fails, the report says
so and the exit code is 1.
"""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import NamedTuple

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
MACHINES = "Machines"
HEAD = """# Benchmarks

`make bench` writes this page. Ratios matter most: both sides of each ratio were measured in the
same run, interleaved, on one core, as CPU time, so they also hold on busy and on other machines.
"Floor" is the least arithmetic of a method at the speed of the machine's own matrix product in the
same rounds. [benchmarks/README.md](../benchmarks/README.md) describes the scripts;
[benchmarks.csv](benchmarks.csv) has all targets.

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
    given = " ".join(argument for argument in arguments if argument.startswith("--"))
    sections, failed = sections_of(options.output), False
    for script in options.only or SECTIONS:
        print(f"{script} …", file=sys.stderr)
        done = subprocess.run(
            [sys.executable, str(HERE / f"{script}.py"), *arguments, "--work", str(options.work)],
            stdout=subprocess.PIPE, text=True, check=False, env=environment,
        )  # fmt: skip
        failed |= done.returncode != 0
        broken = "\nThis benchmark failed before its end.\n" if done.returncode else ""
        command = " ".join(filter(None, [f"benchmarks/{script}.py", given]))
        title = SECTIONS[script]
        text, targets = split(done.stdout)
        sections[title] = Section(command, machine, text + broken, targets)
        print(done.stdout, flush=True)
        write(options.output, sections)
    print(page(sections).partition("\n## ")[0])
    return int(failed)


class Section(NamedTuple):
    """What a benchmark printed, how it was called, on what machine, and its targets."""

    command: str
    machine: str
    text: str
    targets: tuple[str, ...]  # ``met: what: measured, wanted ≥ limit``


def write(report: Path, sections: Mapping[str, Section]) -> None:
    """The report, and beside it a CSV file of all targets."""
    report.write_text(page(sections), encoding="utf-8")
    with report.with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["section", "outcome", "target"])
        for title in SECTIONS.values():
            for target in sections[title].targets if title in sections else ():
                writer.writerow([title, *target.split(": ", 1)])


def page(sections: Mapping[str, Section]) -> str:
    """The whole report; each machine is described once, at the end."""
    known = [sections[title] for title in SECTIONS.values() if title in sections]
    machines = list(dict.fromkeys(section.machine for section in known))
    parts = [HEAD.format(verdict=_verdict(known))]
    for title in SECTIONS.values():
        if title in sections:
            command, machine, text, _ = sections[title]
            letter = ascii_uppercase[machines.index(machine)]
            parts.append(f"## {title}\n\n`{command}` on machine {letter}\n\n{text.strip()}\n")
    described = (f"- {ascii_uppercase[i]}: {machine}" for i, machine in enumerate(machines))
    return "\n".join([*parts, f"## {MACHINES}\n", *described]) + "\n"


def sections_of(report: Path) -> dict[str, Section]:
    """What an earlier report holds, by title."""
    if not report.exists():
        return {}
    targets: dict[str, list[str]] = {}
    with report.with_suffix(".csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            targets.setdefault(row["section"], []).append(f"{row['outcome']}: {row['target']}")
    text = report.read_text(encoding="utf-8")
    parts = dict(part.split("\n\n", 1) for part in text.split("\n## ")[1:])
    machines = dict(re.findall(r"^- ([A-Z]): (.*)$", parts.pop(MACHINES), re.MULTILINE))
    found = {}
    for title, part in parts.items():
        first, _, rest = part.partition("\n")
        command, letter = first.removeprefix("`").split("` on machine ")
        own = tuple(targets.get(title, ()))
        found[title] = Section(command, machines[letter], rest.strip(), own)
    return found


def split(text: str) -> tuple[str, tuple[str, ...]]:
    """What a benchmark printed without its targets, and these."""
    lines = [line.rstrip() for line in text.strip().splitlines()]
    targets = [line.removeprefix("- **").replace("**", "") for line in lines if _is_target(line)]
    kept = "\n".join(line for line in lines if not _is_target(line))
    return re.sub(r"\n{3,}", "\n\n", kept).strip(), tuple(targets)


def _is_target(line: str) -> bool:
    return line.startswith(("- **met**", "- **missed**"))


def _verdict(sections: Sequence[Section]) -> str:
    """How many of the targets were met, and which were not."""
    targets = [target for section in sections for target in section.targets]
    missed = [f"- {target}" for target in targets if target.startswith("missed")]
    first = f"{len(targets) - len(missed)} of {len(targets)} targets are met"
    return "\n".join([first + ("; these are not:\n" if missed else "."), *missed])


if __name__ == "__main__":
    sys.exit(main())
