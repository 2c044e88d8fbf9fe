"""How a stage tells how far it is, without knowing who looks."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """What a stage calls while it works."""

    def start(self, what: str, total: int, done: int = 0) -> None:
        """A piece of work of ``total`` items begins; ``done`` of them were finished before."""

    def advance(self, items: int = 1) -> None:
        """So many more items are finished."""

    def tell(self, what: str) -> None:
        """The piece of work is called so from now on: how it goes has changed."""

    def say(self, sentence: str) -> None:
        """A line that stays, above what moves."""


class Silent:
    """Progress that nobody looks at."""

    def start(self, what: str, total: int, done: int = 0) -> None:
        """Ignore it."""

    def advance(self, items: int = 1) -> None:
        """Ignore it."""

    def tell(self, what: str) -> None:
        """Ignore it."""

    def say(self, sentence: str) -> None:
        """Ignore it."""


SILENT = Silent()
