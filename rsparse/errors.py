"""Define ``InputError``, the one error for what a user can fix, and format its message."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

Result = TypeVar("Result")


class InputError(Exception):
    """Input that cannot be used; the message is one line.

    The message names the file or option, says what was expected and what was found, and what to
    do. The command line prints it and exits with code 2. Library callers can catch it.
    """


def one_line(message: str) -> str:
    """Escape line breaks and control characters in a message, since file names may contain any."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message)


def reason(error: OSError) -> str:
    """Return the operating system's reason for an error, without the path."""
    return (error.strerror or str(error)).lower()


def attempt(function: Callable[..., Result], *arguments: Any) -> Result | InputError:
    """The function's result, or the ``InputError`` that it raises, so that others go on."""
    try:
        return function(*arguments)
    except InputError as error:
        return error


def for_usable(
    function: Callable[[Sequence[Any]], Sequence[Result | InputError]],
    items: Sequence[Any],
) -> list[Result | InputError]:
    """What the function makes of the items that are usable; an ``InputError`` stays where it is."""
    usable = [item for item in items if not isinstance(item, InputError)]
    made = iter(function(usable) if usable else ())
    return [item if isinstance(item, InputError) else next(made) for item in items]
