"""Update the help texts in README.md and docs/, and the manual pages, from the program.

A block starts with a comment that names the command; an empty name means ``rsparse`` itself:

    <!-- help: purify -->
    ```text
    ...
    ```

    python scripts/update_docs.py              # rewrites the files
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

import typer

from rsparse.cli import app

REPOSITORY = Path(__file__).resolve().parent.parent
WIDTH = 98  # what a terminal of 100 columns or more shows

CommandPath = tuple[str, ...]

_BLOCK = re.compile(
    r"^(?P<head><!-- help:(?P<command>[a-z -]*)-->\n\n?```text\n)(?P<text>.*?)(?P<end>^```$)",
    re.MULTILINE | re.DOTALL,
)


def documents() -> list[Path]:
    """The files that may contain help texts."""
    return [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]


def command_paths() -> list[CommandPath]:
    """The program itself, its commands and their subcommands, in the order of its help."""
    return [(), *_below(program())]


@cache
def program() -> Any:
    """The program as typer makes it, which takes a second."""
    return typer.main.get_command(app)


def printed(*arguments: str, width: int = WIDTH) -> str:
    """What the program prints for these arguments on a terminal of that width.

    Raises
    ------
    ValueError
        If it fails.
    """
    settings = {"prog_name": "rsparse", "standalone_mode": False, "terminal_width": width}
    with redirect_stdout(StringIO()) as out:
        if program().main([*arguments], **settings):
            raise ValueError(f"rsparse {' '.join(arguments)} failed")
    return out.getvalue()


def _below(group: Any, path: CommandPath = ()) -> Iterator[CommandPath]:
    for name, command in getattr(group, "commands", {}).items():
        yield (*path, name)
        yield from _below(command, (*path, name))


def documented(text: str) -> list[CommandPath]:
    """The commands whose help a document shows."""
    return [tuple(match["command"].split()) for match in _BLOCK.finditer(text)]


def help_of(command: CommandPath) -> str:
    """What ``rsparse COMMAND --help-all`` prints, regardless of the terminal's width."""
    lines = printed(*command, "--help-all").strip().splitlines()
    return "\n".join(line.rstrip() for line in lines) + "\n"


def refreshed(text: str) -> str:
    """Return a document with all its help texts up to date."""

    def block(match: re.Match[str]) -> str:
        return match["head"] + help_of(tuple(match["command"].split())) + match["end"]

    return _BLOCK.sub(block, text)


if __name__ == "__main__":
    import man_pages

    man_pages.write()
    for path in documents():
        path.write_text(refreshed(path.read_text(encoding="utf-8")), encoding="utf-8")
