"""All benchmarks, one after another, into ``docs/benchmarks.md``.

    python benchmarks/report.py [--shared ../shared] [--full]

Prints what it writes. A benchmark that fails leaves its error in the report, and exit code 1.
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
    "learner": "Dictionary learning",
    "purify": "Purifying",
    "defenses": "Defenses",
    "memory": "Memory",
    "startup": "Start-up",
}
OVERRIDES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")  # the BLAS is to know the real processor
HEAD = """# Benchmarks

Written by `make bench`{options}; every figure comes from that one run. Ratios are the
point: both sides of each were measured in the same run, in turn, on one core, by CPU time, so that
they hold beside whatever else the machine does, and on other machines. "Floor" is the arithmetic
that a method cannot do without, at the speed of the machine's own matrix product in the same
rounds. Times by themselves depend on the machine: {machine}

{verdict}
"""


def main() -> int:
    parser = measure.parser(__doc__)
    parser.add_argument("-o", "--output", type=Path, default=REPORT, help="the report")
    options = parser.parse_args()
    arguments = ["--work", str(options.work)]
    arguments += ["--shared", str(options.shared)] if options.shared else []
    arguments += ["--full"] if options.full else []
    environment = {name: os.environ[name] for name in os.environ if name not in OVERRIDES}
    path = os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")]))
    sections, failed = [], False
    for script, title in SECTIONS.items():
        print(f"{script} …", file=sys.stderr)
        done = subprocess.run(
            [sys.executable, str(HERE / f"{script}.py"), *arguments],
            stdout=subprocess.PIPE, text=True, check=False, env={**environment, "PYTHONPATH": path},
        )  # fmt: skip
        failed |= done.returncode != 0
        broken = "\nThis benchmark failed before its end.\n" if done.returncode else ""
        sections.append(f"## {title}\n\n`benchmarks/{script}.py`\n\n{_tidy(done.stdout)}\n{broken}")
        print(sections[-1], flush=True)
    said = " ".join(name for name, given in (("--shared", options.shared),
                                             ("--full", options.full)) if given)  # fmt: skip
    machine = subprocess.run(
        [sys.executable, "-c", "import measure; print(measure.machine())"], cwd=HERE, check=True,
        stdout=subprocess.PIPE, text=True, env={**environment, "PYTHONPATH": path},
    ).stdout.strip()  # fmt: skip
    head = HEAD.format(
        options=f" with `{said}`" if said else "", machine=machine,
        verdict=_verdict("".join(sections)),
    )  # fmt: skip
    text = "\n".join([head, *sections])
    print(head)
    options.output.write_text(text, encoding="utf-8")
    return int(failed)


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
