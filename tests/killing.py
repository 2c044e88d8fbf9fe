"""Kill a process, or make it fail, at its Nth change to the file system.

``python -m tests.killing N ARGUMENTS`` runs the command line and kills it before its Nth change
below the folder in ``KILL_BELOW``; with ``KILL_BY=ENOSPC``, the change and all later ones fail.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from pathlib import Path
from typing import Any

CHANGES = ("mkdir", "open", "remove", "rename", "rmdir", "truncate")


def kill_at(number: int, below: str, name: str) -> None:
    """Install an audit hook, which Python calls before each file system change."""
    count = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if not _changes(event, arguments, below):
            return
        count += 1
        if name == "KILL" and count == number:
            os.kill(os.getpid(), signal.SIGKILL)
        if name != "KILL" and count >= number:
            raise OSError(getattr(errno, name), os.strerror(getattr(errno, name)))

    sys.addaudithook(hook)


def _changes(event: str, arguments: tuple[Any, ...], below: str) -> bool:
    what = event.removeprefix("os.")
    if what not in CHANGES or not isinstance(arguments[0], str | bytes | os.PathLike):
        return False
    if what == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        return False
    return str(Path(os.fsdecode(arguments[0])).absolute()).startswith(below)


def main() -> None:
    """Run the command line with the hook installed."""
    from rsparse.cli import main as run

    kill_at(int(sys.argv[1]), os.environ["KILL_BELOW"], os.environ.get("KILL_BY", "KILL"))
    sys.argv = ["rsparse", *sys.argv[2:]]
    run()


if __name__ == "__main__":
    main()
