"""The one kind of failure that is the user's to fix, and how it is put on one line."""


class InputError(Exception):
    """Input that cannot be used; the message is one line.

    It names the file or option, says what was expected and what came, and what would work.
    The command line prints it and exits with code 2; a library caller catches it like a
    ``ValueError``.
    """


def one_line(message: str) -> str:
    """``message`` with line breaks and control characters written out: names may hold any."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message)


def reason(error: OSError) -> str:
    """The operating system's reason, in its own words and without the path."""
    return (error.strerror or str(error)).lower()
