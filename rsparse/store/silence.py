"""Silence what C libraries of images say on their own."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_STDERR = threading.Lock()


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Silence a C library that writes to the process's stderr; one thread at a time."""
    with _STDERR:
        try:
            stderr = os.dup(2)
        except OSError:  # the process has no stderr
            yield
            return
        try:
            with Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
