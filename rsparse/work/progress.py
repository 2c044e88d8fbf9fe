"""The interface through which a stage reports its progress."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class Progress(Protocol):
    """Methods that a stage calls while it works.

    Attributes
    ----------
    is_shown : bool
        Whether anyone sees it; if not, the work of items need not be known.
    """

    is_shown: bool

    def start(
        self,
        task: str,
        total: int,
        done: int = 0,
        *,
        work: float | None = None,
        at_once: int = 1,
    ) -> None:
        """Start a task of ``total`` items, ``done`` of which are already finished.

        ``work`` is the work of those that are left, in any unit; None if all items are alike.
        ``at_once`` is how many are worked on at the same time.
        """

    def advance(self, items: int = 1, work: float | None = None) -> None:
        """Count finished items, and their work if ``start`` had the work of all."""

    def describe(self, task: str) -> None:
        """Change the text of the current task, for example to show its latest loss."""

    def message(self, sentence: str) -> None:
        """Print a line above the progress bar; it remains visible."""


class Silent:
    """Progress that shows nothing."""

    is_shown = False

    def start(
        self,
        task: str,
        total: int,
        done: int = 0,
        *,
        work: float | None = None,
        at_once: int = 1,
    ) -> None:
        """Do nothing."""

    def advance(self, items: int = 1, work: float | None = None) -> None:
        """Do nothing."""

    def describe(self, task: str) -> None:
        """Do nothing."""

    def message(self, sentence: str) -> None:
        """Do nothing."""


SILENT = Silent()


def tell(progress: Progress, sentences: Iterable[str]) -> None:
    """Print each sentence on a line of its own."""
    for sentence in sentences:
        progress.message(sentence)
