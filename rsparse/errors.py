"""Define ``InputError``, the one error for what a user can fix, and format its message."""


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
