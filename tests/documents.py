"""The shell in documents: found, and run as a reader would run it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from rsparse.data import demo_model, demo_photos

CLASSES = ("brick", "cat", "rocket")


def shell_blocks(page: Path) -> list[tuple[str | None, str]]:
    """Each block of shell in a page, with the reason for which it is not run."""
    return [
        (match[1], match[2])
        for match in re.finditer(
            r"(?:^<!-- not run: (.*?) -->\n)?^```sh\n(.*?)^```$",
            page.read_text(encoding="utf-8"),
            re.MULTILINE | re.DOTALL,
        )
    ]


def take_sample(folder: Path) -> None:
    """What Start has the reader take, with fewer classes."""
    for split, name in (("train", "benign"), ("test", "photos"), ("test", "suspicious")):
        for label in CLASSES:
            shutil.copytree(demo_photos(split) / label, folder / name / label)
    shutil.copy(demo_model(), folder / "classifier.onnx")


def run_shell(script: str, folder: Path) -> None:
    """Run lines in one bash, as in one terminal; every output that they name is then there."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", script],
        cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for name in re.findall(r"-o (\S+)", script):
        assert (folder / name).exists(), name
