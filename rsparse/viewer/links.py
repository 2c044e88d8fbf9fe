"""Which files may be shown: those within the artifacts, whatever links lead to."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rsparse.errors import InputError, system_error


class Bounds:
    """The folders and files from which images may be read.

    Parameters
    ----------
    roots : iterable of Path
        What the user named; it may itself be a link.
    follow_links : bool
        Also read images that links within the roots lead to elsewhere.
    """

    def __init__(self, roots: Iterable[Path], follow_links: bool = False) -> None:
        self._roots = [root.resolve() for root in roots]
        self._follow_links = follow_links

    def resolve(self, path: Path) -> Path:
        """The file that a path leads to.

        Raises
        ------
        InputError
            If it is missing or lies outside.
        """
        try:
            place = path.resolve(strict=True)
        except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
            failure = error if isinstance(error, OSError) else OSError(str(error))
            raise system_error(failure, f"{path}: cannot be read") from error
        if not self._follow_links and not any(map(place.is_relative_to, self._roots)):
            raise InputError(
                f"{path}: is a link that leads out of its folder; --follow-links shows it"
            )
        return place
