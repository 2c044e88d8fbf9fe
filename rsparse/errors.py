"""The errors that are no bugs: ``InputError`` and ``MachineError``, and their messages."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

Result = TypeVar("Result")

_OF_THE_MACHINE = frozenset(
    getattr(errno, name)
    for name in (
        *("ENOSPC", "EDQUOT", "EFBIG", "EROFS"),  # no space, or not for this user or file
        *("EMFILE", "ENFILE", "ENOMEM", "EAGAIN", "ENOBUFS"),  # a limit of the system
        *("EIO", "EUCLEAN", "EBADMSG", "ENOMEDIUM"),  # a failing device
        *("ESTALE", "EREMOTEIO", "EHOSTDOWN", "ENOTCONN", "ETIMEDOUT"),  # a lost file server
        *("EPIPE", "ECONNRESET"),  # a lost process
    )
    if hasattr(errno, name)
)
_OF_THE_NAME = frozenset({
    errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.EISDIR, errno.ENOTDIR, errno.EEXIST,
})  # fmt: skip
_OUT_OF_MEMORY = (
    "bad_alloc",
    "Insufficient memory",
    "can't allocate memory",
    "allocate memory for",
    "failed to map segment",
    "Cannot allocate memory",
)


class InputError(Exception):
    """Input that cannot be used; the message is one line.

    The message names the file or option, says what was expected and what was found, and what to
    do. The command line prints it and exits with code 2. Library callers can catch it. In a
    folder, it skips an image.
    """


class TooLargeError(InputError):
    """An image that needs more memory than is available."""


class MachineError(Exception):
    """A failure of the machine, not of an input; the message is one line.

    Examples are a full disk, too many open files, a device that does not answer, and a killed
    process. No image is at fault, so a run stops without a finished artifact, and the same command
    resumes it later. The command line prints the message and exits with code 3.
    """


def missing_package(need: str, package: str, extra: str) -> InputError:
    """The error for a package of an extra that is not installed.

    Parameters
    ----------
    need : str
        What needs it, with the verb: ``attacks need``.
    package : str
        Its name, as pip knows it, or one of its modules.
    extra : str
        The extra of rsparse that installs it.
    """
    name = package.partition(".")[0]
    return InputError(f"{need} {name}, which is not installed: {installing(extra)}")


def installing(extra: str) -> str:
    """The commands that install an extra: from an index of packages, and in a clone."""
    return f"pip install 'rsparse[{extra}]', or in a clone: pip install '.[{extra}]'"


def is_of_machine(error: BaseException) -> bool:
    """Whether the operating system failed because of the machine, and not of the file."""
    return isinstance(error, OSError) and error.errno in _OF_THE_MACHINE


def system_error(error: OSError, what: str) -> InputError | MachineError:
    """The error for a failed call of the operating system.

    Parameters
    ----------
    error : OSError
    what : str
        The start of the message, such as ``out.png: cannot be read``.
    """
    kind = MachineError if is_of_machine(error) else InputError
    return kind(f"{what}: {reason(error)}")


def write_error(error: OSError, what: str) -> InputError | MachineError:
    """The error for an output that failed during a run.

    Outputs are checked at the start, so only a name can be the fault of the input.
    """
    kind = InputError if error.errno in _OF_THE_NAME else MachineError
    return kind(f"{what}: {reason(error)}")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out; some libraries do not raise ``MemoryError``, or not directly."""
    return lack_of_memory(error) is not None


def lack_of_memory(error: BaseException) -> Exception | None:
    """The error in a chain of causes that says that memory ran out, if any."""
    cause: BaseException | None = error
    while isinstance(cause, Exception):
        if isinstance(cause, MemoryError) or any(text in str(cause) for text in _OUT_OF_MEMORY):
            return cause
        cause = cause.__cause__ or cause.__context__
    return None


def one_line(message: str) -> str:
    """Escape line breaks and control characters in a message, since file names may contain any.

    Bytes of a file name that are not UTF-8 are escaped as bytes.
    """
    return "".join(c if c.isprintable() else _escaped(c) for c in message)


def _escaped(character: str) -> str:
    byte = ord(character) - 0xDC00  # how Python reads a byte that is not UTF-8
    if 0x80 <= byte <= 0xFF:
        return f"\\x{byte:02x}"
    return character.encode("unicode_escape").decode()


def as_text(name: str) -> str:
    """A file's name as valid text: bytes in it that are not UTF-8 are escaped."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def reason(error: OSError) -> str:
    """Return the operating system's reason for an error, without the path."""
    if error.errno == errno.EISDIR:
        return "is a folder; name a file"
    return (error.strerror or str(error)).lower()


def attempt(function: Callable[..., Result], *arguments: Any) -> Result | InputError:
    """The function's result, or the ``InputError`` that it raises, so that others go on.

    A lack of memory is returned as ``TooLargeError``.
    """
    try:
        return function(*arguments)
    except InputError as error:
        return error
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return TooLargeError("needs more memory than is available")


def for_usable(
    function: Callable[[Sequence[Any]], Sequence[Result | InputError]],
    items: Sequence[Any],
) -> list[Result | InputError]:
    """What the function makes of the items that are usable; an ``InputError`` stays where it is."""
    usable = [item for item in items if not isinstance(item, InputError)]
    made = iter(function(usable) if usable else ())
    return [item if isinstance(item, InputError) else next(made) for item in items]
