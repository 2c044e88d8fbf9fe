"""typer's usage errors in the style of all others: one line that names what would work."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from rsparse.errors import InputError
from rsparse.options.renamed import new_spelling
from rsparse.options.specs import nearest


def is_help(error: Exception) -> bool:
    """Whether the error is only a group without a command, which prints its help."""
    return type(error).__name__ == "NoArgsIsHelpError"


def usage_line(error: Any) -> str:
    """The message of typer's usage error, without ``rsparse: error:``."""
    kind, context = type(error).__name__, error.ctx
    if kind == "NoSuchOption":
        return _unknown_option(error.option_name, context)
    if kind == "MissingParameter":
        return f"{_described(error.param)} is missing; {_see_help(context)}"
    if kind == "BadParameter" and error.param is not None:
        return f"{max(error.param.opts, key=len).lstrip('-')}: {error.message}"
    if kind == "BadOptionUsage":
        takes_none = error.message.endswith("does not take a value.")
        return f"{error.option_name}: {'takes no value' if takes_none else 'needs a value'}"
    extra = re.search(r"unexpected extra argument\S* \((.*)\)$", error.message)
    if extra is not None:
        return f"unexpected argument {extra[1]!r}; {_see_help(context)}"
    return str(error.format_message()).rstrip(".")


def unknown_command(name: str, known: Iterable[str]) -> InputError:
    """The error for an unknown command; it suggests the nearest known one."""
    names = list(known)
    guess = nearest(name, names)
    hint = f"did you mean {guess}?" if guess else f"known: {', '.join(names)}"
    return InputError(f"unknown command {name!r}; {hint}")


def refuse_old_values(context: Any, arguments: Sequence[str]) -> None:
    """Refuse a value that an option no longer accepts.

    Raises
    ------
    InputError
        If there is such a value; the message names the new spelling.
    """
    for place, argument in enumerate(arguments):
        if argument == "--":
            return
        option, equals, value = argument.partition("=")
        if option.startswith("--"):
            following = value if equals else "".join(arguments[place + 1 : place + 2])
            old = f"{option} {following}"
            new = new_spelling(f"{_command_of(context)} {old}", old)
            if new is not None:
                raise InputError(f"{old} is now {new}")


def refuse_several_defenses(context: Any, arguments: Sequence[str]) -> None:
    """Refuse a second --defense or --policy where a command takes only one.

    Raises
    ------
    InputError
        If there is one; of other options, the last one counts.
    """
    single = {
        param.opts[0] for param in context.command.params if not getattr(param, "multiple", True)
    }
    for option in sorted(single & {"--defense", "--policy"}):
        if sum(word.partition("=")[0] == option for word in arguments) > 1:
            raise InputError(
                f"{option}: can be given once; a chain applies several defenses in order, as in "
                "--defense bilateral+jpeg"
            )


def _command_of(context: Any) -> str:
    """The command's name without the program's, such as ``model tag``."""
    return str(context.command_path).partition(" ")[2]


def _see_help(context: Any) -> str:
    return f"see '{context.command_path} --help'"


def _unknown_option(name: str, context: Any) -> str:
    new = new_spelling(f"{_command_of(context)} {name}", name)
    if new is not None:
        return f"{name} is now {new}"
    known = [
        spelling.removeprefix("--")
        for param in context.command.get_params(context)
        for spelling in (*param.opts, *param.secondary_opts)
        if spelling.startswith("--")
    ]
    guess = nearest(name.lstrip("-"), known) if name.startswith("--") else None
    hint = f"did you mean --{guess}?" if guess else _see_help(context)
    return f"unknown option {name}; {hint}"


def _described(param: Any) -> str:
    """The names of a missing parameter: ``--output (-o)``, ``IMAGES``."""
    if param.param_type_name != "option":
        return str(param.metavar or param.name.upper())
    first, *others = sorted(param.opts, key=len, reverse=True)
    return f"{first} ({', '.join(others)})" if others else str(first)
