"""Run the command line in a separate process that tests can watch, interrupt and kill."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rsparse.store.folders import JOURNAL

SLOW = ("--stride", 1, "--sparsity", 16, "--no-localize")


def start(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    """Start ``python -m rsparse`` in its own process group, with its output piped."""
    command = [sys.executable, "-m", "rsparse", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, **{**pipes, "start_new_session": True, **options})


def finished(*arguments: object, **options: Any) -> tuple[int, str, str]:
    """Return the exit code, standard output and standard error of a complete run."""
    with start(*arguments, **options) as running:
        stdout, stderr = running.communicate(timeout=100)
    return running.returncode, stdout, stderr


def when_done(running: subprocess.Popen[str], output: Path, items: int, signal: int) -> None:
    """Send ``signal`` to the run's processes once its journal holds ``items`` items."""
    journal, deadline = output / JOURNAL, time.monotonic() + 100
    while not journal.exists() or journal.read_bytes().count(b"\n") < items + 1:
        assert running.poll() is None, running.stderr and running.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.killpg(running.pid, signal)


def read_terminal(file: int) -> bytes:
    """Read the next bytes, or none after the other end is closed (an error on Linux)."""
    try:
        return os.read(file, 65536)
    except OSError:
        return b""
