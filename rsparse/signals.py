"""End on SIGINT, SIGTERM and SIGHUP: one line on stderr, within seconds, wherever the program is.

The signals are taken over before anything heavy is imported. Until a command runs, a signal ends
the program at once. While it runs, a signal raises ``Interrupted``, so that the command closes its
files and ends its processes. A thread watches that this happens, because the exception can get
lost in a destructor, and because no handler runs while the main thread computes in a library. The
thread ends the program ``_PATIENCE`` seconds after the first signal, and at once on a second one.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from rsparse.errors import is_of_machine

_PATIENCE = 2.0  # seconds
_SHOW_CURSOR = "\x1b[?25h"  # a progress bar hides it
_WHAT = {
    getattr(signal, name): what
    for name, what in (
        ("SIGINT", "interrupted"),
        ("SIGTERM", "ended by SIGTERM"),
        ("SIGHUP", "ended by SIGHUP"),  # not on Windows
    )
    if hasattr(signal, name)
}


class Interrupted(KeyboardInterrupt):
    """A signal asks the program to end."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class _Signals:
    """What has been done about the signals."""

    def __init__(self) -> None:
        self.are_taken_over = False
        self.raises = False
        self.is_over = False
        self.first = 0
        self._told = threading.Lock()

    def take_over(self) -> None:
        if self.are_taken_over:
            return
        self.are_taken_over = True
        try:
            reader, writer = map(_above_standard_streams, os.pipe())
            os.set_blocking(writer, False)
            threading.Thread(target=self._watch, args=(reader,), daemon=True).start()
            signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        except (OSError, RuntimeError, ImportError):
            pass  # no descriptor or thread is left, or on Windows: the handlers alone have to do
        sys.unraisablehook = self._meet_lost
        for number in _WHAT:
            if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
                signal.signal(number, self._handle)

    def _handle(self, number: int, _: object) -> None:
        """Run in the main thread, between two instructions of Python."""
        if self.is_over:
            return
        if self.first or not self.raises:
            self.end(self.first or number)
        self.first = number
        raise Interrupted(number)

    def _watch(self, reader: int) -> None:
        """Run in a thread, which reads each signal's number as soon as the signal arrives."""
        first = 0
        while True:
            arrived = select.select([reader], [], [], _PATIENCE if first else None)[0]
            number = os.read(reader, 1)[0] if arrived else first
            if number not in _WHAT or self.is_over:
                continue
            if first:
                self.end(first)
            first = number

    def _meet_lost(self, lost: Any) -> None:
        """Meet an error that was raised where Python can only report it, in a destructor.

        ``Interrupted`` ends the program. A failing disk, where a library clears up, is not
        reported, since the error that made it clear up is told on one line.
        """
        if issubclass(lost.exc_type, Interrupted):
            self.end(self.first)
        if lost.exc_value is None or not is_of_machine(lost.exc_value):
            sys.__unraisablehook__(lost)

    def line(self, number: int) -> str | None:
        """The line about a signal; None if it has been printed."""
        if self.are_taken_over and not self._told.acquire(blocking=False):
            return None
        what = _WHAT[signal.Signals(number)]
        return f"rsparse: {what}; run the same command again to continue"

    def end(self, number: int) -> NoReturn:
        """End the program without waiting for its threads."""
        line = self.line(number)
        if line is not None:
            cursor = _SHOW_CURSOR if os.isatty(2) else ""
            try:
                os.write(2, f"{cursor}{line}\n".encode())
            except OSError:
                pass  # nobody reads it
        os._exit(128 + number)

    def close(self) -> None:
        """Ignore further signals, since the program is about to end; end after an earlier one."""
        if not self.first:
            self.is_over = True
            return
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                pass  # closed
        self.end(self.first)


def _above_standard_streams(descriptor: int) -> int:
    """A descriptor of the same file that does not take the place of a closed standard stream.

    On Windows this is an ``ImportError``; a thread could not wait for it there.
    """
    import fcntl

    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(descriptor)
    return moved


_signals = _Signals()


def take_over() -> None:
    """Handle the signals from now on, except those that this process is to ignore."""
    _signals.take_over()


@contextmanager
def as_exceptions() -> Iterator[None]:
    """Raise ``Interrupted`` on a signal during the block; after it, the program ends."""
    _signals.raises = True
    try:
        yield
    finally:
        _signals.raises = False
        _signals.is_over = _signals.are_taken_over and not _signals.first


def told(error: KeyboardInterrupt) -> tuple[str | None, int]:
    """The line to print for an interrupt, unless it has been printed, and the exit code."""
    number = error.number if isinstance(error, Interrupted) else int(signal.SIGINT)
    return _signals.line(number), 128 + number


def close() -> None:
    """Let the program end, after a signal without waiting for threads."""
    if _signals.are_taken_over:
        _signals.close()
