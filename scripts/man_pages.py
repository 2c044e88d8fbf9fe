"""Write the manual pages, one for each command, from the program.

``scripts/update_docs.py`` calls it. The pages have the text and the order of ``--help-all``. Equal
programs give equal bytes: a page names no date and no version.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from update_docs import CommandPath, command_paths, program

from rsparse.cli.help import examples_of, sections_of

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDER = REPOSITORY / "man"
STATUS = {
    "0": "success",
    "1": "some images failed and are listed, while the others are done; or what --require asks for "
    "is not met; or verify found a difference",
    "2": "unusable input or options; nothing was written",
    "3": "a failure of the machine, such as a full disk; the same command goes on later",
    "129, 130, 143": "stopped by SIGHUP, SIGINT or SIGTERM",
}
_ESCAPES = str.maketrans({  # characters that troff would change, so that text can be copied
    "\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti",
})  # fmt: skip
_NAMES = re.compile(r"(?<![\w-])--?[a-zA-Z][\w-]*")


def pages() -> dict[str, str]:
    """The manual pages by the names of their files."""
    return {f"{'-'.join(('rsparse', *path))}.1": page(path) for path in command_paths()}


def page(path: CommandPath) -> str:
    """The manual page of a command, of a group of commands, or of the program itself."""
    command = program()
    context = command.make_context("rsparse", [], resilient_parsing=True)
    for name in path:
        command = command.commands[name]
        context = command.make_context(name, [], parent=context, resilient_parsing=True)
    return "\n".join(_lines(command, context, path)) + "\n"


def _lines(command: Any, context: Any, path: CommandPath) -> Iterator[str]:
    name = "-".join(("rsparse", *path))
    first, *paragraphs = (command.help or "").split("\n\n")
    yield f'.TH "{name.upper()}" "1" "" "rsparse" "rsparse"'
    yield from (".SH NAME", rf"{_escaped(name)} \- {_escaped(_joined(first).rstrip('.'))}")
    usage = " ".join(command.collect_usage_pieces(context))
    yield from (".SH SYNOPSIS", rf"\fB{' '.join(('rsparse', *path))}\fR {_escaped(usage)}")
    for number, paragraph in enumerate(paragraphs):
        yield from (".PP" if number else ".SH DESCRIPTION", _text(paragraph))
    for title, rows in _sections(command, context, path).items():
        yield f".SH {title.upper()}"
        for names, text in rows:
            yield from (".TP", _bold_names(names), _text(text))
    examples = list(examples_of(command))
    if examples:
        yield from (".SH EXAMPLES", ".nf", *map(_escaped, "\n".join(examples).splitlines()), ".fi")
    yield ".SH EXIT STATUS"
    for code, meaning in STATUS.items():
        yield from (".TP", rf"\fB{code}\fR", _text(meaning))
    yield from (".SH SEE ALSO", ",\n".join(_related(path)))


def _sections(command: Any, context: Any, path: CommandPath) -> dict[str, list[tuple[str, str]]]:
    """The options of a command by section; the commands of a group."""
    if not hasattr(command, "commands"):
        return sections_of(command, context, is_whole=True)
    options = [param.get_help_record(context) for param in command.get_params(context)]
    commands = [
        (" ".join((*path, name)), each.get_short_help_str(200))
        for name, each in command.commands.items()
    ]
    return {"Options": [record for record in options if record], "Commands": commands}


def _related(path: CommandPath) -> list[str]:
    """The pages of the commands above and below, as references."""
    known = command_paths()
    near = [path[:-1]] if path else []
    near += [other for other in known if other and other[:-1] == path]
    return [rf"\fB{_escaped('-'.join(('rsparse', *other)))}\fR(1)" for other in near]


def _joined(text: str) -> str:
    return " ".join(text.split())


def _text(text: str) -> str:
    """A paragraph on one line, which may not look like a request."""
    line = _escaped(_joined(text))
    return rf"\&{line}" if line.startswith(".") else line


def _escaped(text: str) -> str:
    return text.translate(_ESCAPES)


def _bold_names(names: str) -> str:
    """The names of an option in bold, its placeholder in italics."""
    bold, end = "", 0
    for match in _NAMES.finditer(names):
        bold += _italic(names[end : match.start()]) + rf"\fB{_escaped(match[0])}\fR"
        end = match.end()
    return bold + _italic(names[end:])


def _italic(text: str) -> str:
    word = text.strip(" ,/")
    return text.replace(word, rf"\fI{_escaped(word)}\fR") if word else text


def write() -> None:
    """Write the pages, and remove those of commands that no longer exist."""
    FOLDER.mkdir(exist_ok=True)
    made = pages()
    for old in FOLDER.glob("*.1"):
        if old.name not in made:
            old.unlink()
    for name, text in made.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
