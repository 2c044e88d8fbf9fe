"""Notes on stderr after a command's summary."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from rsparse.cli.console import say

if TYPE_CHECKING:
    from rsparse.cli.console import Stopwatch

_LONG = 60.0
"""Seconds after which a run without compiled loops is explained."""


def tell_of_compiled_loops(watch: Stopwatch) -> None:
    """After a long run without numba, say how to get it."""
    if watch.seconds > _LONG and find_spec("numba") is None:
        say("rsparse: compiled loops would be 2 to 4 times as fast: pip install 'rsparse[fast]'")
