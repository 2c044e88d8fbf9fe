"""Run a stranger's first session in an empty environment, and write docs/first-session.md.

    python scripts/first_session.py                                 # print what happens
    python scripts/first_session.py --shared ../shared --write      # and write the page

The wheel is built first. Then each command runs in a shell in an empty folder, with an empty HOME
and nothing of this environment but pip's configuration. The folder has what the stranger brings: a
few photographs, photographs in a subfolder per class, and an ONNX classifier; with ``--shared``
real ones and MobileNet-v2, else those of the demonstration.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import release_check

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))
from measure import machine

from rsparse.data import demo_model, demo_photos

REPOSITORY = Path(__file__).resolve().parent.parent
PAGE = REPOSITORY / "docs" / "first-session.md"
CLASSES, SUSPICIOUS = 6, 4
MOST = 12
"""Commands that a first session may take."""
_HEAD = """# A first session

What a stranger sees who has Python, a wheel of rsparse, a folder of photographs, a few photographs
in a subfolder per class, and a classifier: from an empty environment to an answer about their own
model. Nothing else is looked up. `scripts/first_session.py` ran these commands and wrote this page.

"""


@dataclass(frozen=True)
class Step:
    """A command, what it printed, and its wall and CPU seconds."""

    command: str
    output: str
    wall: float
    cpu: float

    @property
    def failed(self) -> bool:
        """Whether the command ended with an error."""
        return any(word in self.output for word in ("Traceback", "(exit code"))


def main() -> int:
    """Run the session; the exit code is 1 if a command failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, help="folder with photos/ and models/")
    parser.add_argument("--write", action="store_true", help="write docs/first-session.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        here = Path(temporary) / "home"
        wheel = bring(here, options.shared)
        steps: list[Step] = []
        for command in commands(wheel, options.shared is not None):
            steps.append(run(command, here))
            print(_shown(steps[-1]), flush=True)
            if steps[-1].failed:
                return 1
    if options.write:
        PAGE.write_text(_HEAD + told(steps), encoding="utf-8")
    return 0


def bring(here: Path, shared: Path | None) -> str:
    """Put the stranger's files and the wheel into the empty home; return the wheel's name."""
    here.mkdir()
    with tempfile.TemporaryDirectory() as folder:
        built = release_check.build(Path(folder) / "dist")
        (wheel,) = (path for path in built if path.suffix == ".whl")
        shutil.copy(wheel, here)
    shutil.copy(REPOSITORY / "constraints.txt", here)
    photos = _of_the_demo() if shared is None else _of_the_folder(shared)
    (here / "holiday").mkdir()
    for number, (label, file) in enumerate(photos):
        if number < SUSPICIOUS:
            shutil.copy(file, here / "holiday" / f"{label}-{file.name}")
        (here / "photos" / label).mkdir(parents=True, exist_ok=True)
        shutil.copy(file, here / "photos" / label)
    model = demo_model() if shared is None else shared / "models" / "mobilenet_v2_224.onnx"
    shutil.copy(model, here / "mine.onnx")
    if shared is not None:
        shutil.copy(shared / "models" / "imagenet_labels.txt", here / "names.txt")
    return wheel.name


def commands(wheel: str, real: bool) -> list[str]:
    """The session, in order."""
    tag = ["rsparse model tag mine.onnx --preset mobilenet-v2 --class-names names.txt -o m.onnx"]
    model = "m.onnx" if real else "mine.onnx"
    return [
        "python3 -m venv env",
        f"env/bin/pip install -q -c constraints.txt './{wheel}[attack]'",
        "rsparse purify holiday/",
        *(tag if real else []),
        f"rsparse evaluate photos/ --model {model} --attack bim:eps=2,8 --policy default "
        "--scenario gray-box --scenario adaptive:fast=yes -o judged/",
        "rsparse report judged/ -o page/",
        "rsparse view judged/ --no-browser",
    ]


def run(command: str, here: Path) -> Step:
    """Run a command in the stranger's shell."""
    kept = {name: os.environ[name] for name in os.environ if name.startswith(("PIP_", "SSL_"))}
    path = f"{here}/env/bin{os.pathsep}{os.defpath}{os.pathsep}{Path(sys.executable).parent}"
    environment = {**kept, "HOME": str(here), "PATH": path, "COLUMNS": "96", "LANG": "C.UTF-8"}
    before, start = os.times(), time.perf_counter()
    process = subprocess.Popen(
        ["/bin/sh", "-c", f"exec {command}"], cwd=here, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if " view " in command:
        output = _looked_at(process)
    else:
        output = process.communicate()[0]
    after, end = os.times(), time.perf_counter()
    cpu = (after.children_user + after.children_system) - (
        before.children_user + before.children_system
    )
    if process.returncode not in (0, 130, -signal.SIGINT):
        output += f"(exit code {process.returncode})\n"
    return Step(command, output, end - start, cpu)


def told(steps: list[Step]) -> str:
    """The session as the page's block."""
    total = sum(step.wall for step in steps[2:])
    installation = sum(step.wall for step in steps[:2])
    cpu = sum(step.cpu for step in steps)
    text = [
        f"{len(steps)} commands: {installation:.0f} s to install and {total:.0f} s for the rest; "
        f"all of them took {cpu:.0f} s of CPU time. On average {os.getloadavg()[2]:.0f} processes "
        f"wanted the machine's cores, so an idle one takes less.\n\nMachine: {machine()}\n"
    ]
    text += [f"```console\n{_shown(step)}```\n" for step in steps]
    return "\n".join(text)


def _shown(step: Step) -> str:
    lines = [line.rstrip() for line in step.output.splitlines()]
    output = "\n".join(line for line in lines if not line.startswith(("WARNING", "[notice]")))
    return f"$ {step.command}\n{output.strip()}\n(wall {step.wall:.1f} s, CPU {step.cpu:.1f} s)\n"


def _looked_at(process: subprocess.Popen[str]) -> str:
    """Open the page that a server names, then press Ctrl-C."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        address = re.search(r"http://\S+", line)
        if address:
            with urllib.request.urlopen(address[0]) as answer:
                size = len(answer.read())
            lines.append(f"(the page was opened: {size:,} bytes; then Ctrl-C)\n")
            process.send_signal(signal.SIGINT)
    process.wait()
    return "".join(lines)


def _of_the_demo() -> list[tuple[str, Path]]:
    files = sorted(demo_photos("test").rglob("*.png"))
    return [(file.parent.name, file) for file in files][:: max(1, len(files) // CLASSES)]


def _of_the_folder(shared: Path) -> list[tuple[str, Path]]:
    with (shared / "photos" / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = [list(row.values()) for row in csv.DictReader(file)]
    step = len(rows) // CLASSES
    return [(f"{int(row[1]):03d}", shared / "photos" / row[0]) for row in rows[::step]][:CLASSES]


if __name__ == "__main__":
    sys.exit(main())
