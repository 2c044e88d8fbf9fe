"""Commands on a terminal and in process groups: Ctrl-C, hang-ups, kills, and who is left."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 3.0
"""Seconds within which all processes of a stopped command are gone."""
_HIDE, _SHOW = b"\x1b[?25l", b"\x1b[?25h"


@dataclass
class Session:
    """What a command on a terminal showed, and how it ended."""

    shown: bytes
    status: int
    seconds_to_end: float
    left: list[str]

    @property
    def text(self) -> str:
        """What is left without escape sequences."""
        plain = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07", b"", self.shown)
        return plain.decode(errors="replace").replace("\r\n", "\n")

    @property
    def shows_cursor(self) -> bool:
        """Whether the cursor is visible at the end."""
        return self.shown.rfind(_HIDE) <= self.shown.rfind(_SHOW)


def processes_of(session: int) -> list[str]:
    """The living processes of a session, by command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            if int(fields[3]) == session and fields[0] != "Z":
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                found.append(line.decode(errors="replace")[:120])
    return found


def on_terminal(
    arguments: Sequence[object],
    actions: Sequence[tuple[Callable[[bytes], bool], bytes | signal.Signals]],
    *,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    limit: float = 60.0,
) -> Session:
    """Run a command on a pseudo-terminal of its own.

    Each action waits until its condition on what was shown holds, then types its bytes, sends its
    signal to the command's process, or hangs up the line for SIGHUP.
    """
    command = [sys.executable, "-m", "rsparse", *map(str, arguments)]
    child, line = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.execve(sys.executable, command, {**os.environ, "TERM": "xterm", **(environment or {})})
    shown, todo, deadline = b"", list(actions), time.monotonic() + limit
    acted, closed = time.monotonic(), False
    while time.monotonic() < deadline:
        if todo and todo[0][0](shown):
            action = todo.pop(0)[1]
            acted = time.monotonic()
            if isinstance(action, bytes):
                os.write(line, action)
            elif action == signal.SIGHUP:
                os.close(line)
                closed = True
                break
            else:
                os.kill(child, action)
        if select.select([line], [], [], 0.02)[0]:
            try:
                part = os.read(line, 65536)
            except OSError:
                break
            if not part:
                break
            shown += part
    status = _wait(child, deadline)
    seconds = time.monotonic() - acted
    left = _wait_for_others(child)
    if not closed:
        os.close(line)
    return Session(shown, status, seconds, left)


def _wait(child: int, deadline: float) -> int:
    while time.monotonic() < deadline:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -999


def _wait_for_others(session: int) -> list[str]:
    deadline = time.monotonic() + PATIENCE
    while (left := processes_of(session)) and time.monotonic() < deadline:
        time.sleep(0.02)
    if left:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(session, signal.SIGKILL)
    return left


def stopped(
    arguments: Sequence[object], number: signal.Signals, when: Callable[[], bool], *, folder: Path,
    again: float | None = None, whole_group: bool = False, limit: float = 60.0,
) -> Session:  # fmt: skip
    """Start a command in a session of its own, without a terminal, and send it a signal.

    ``again`` sends the signal a second time after so many seconds.
    """
    command = [sys.executable, "-m", "rsparse", *map(str, arguments)]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               start_new_session=True, cwd=folder)  # fmt: skip
    deadline = time.monotonic() + limit
    while not when() and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    acted = time.monotonic()
    send = os.killpg if whole_group else os.kill
    with contextlib.suppress(ProcessLookupError):
        send(running.pid, number)
        if again is not None:
            time.sleep(again)
            send(running.pid, number)
    try:
        running.wait(timeout=limit)
        seconds = time.monotonic() - acted
        left = _wait_for_others(running.pid)
    except subprocess.TimeoutExpired:
        seconds, left = limit, processes_of(running.pid)
        os.killpg(running.pid, signal.SIGKILL)
    _, shown = running.communicate()
    return Session(shown, running.returncode, seconds, left)
