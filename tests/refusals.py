"""Checks of exact error messages."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager

import pytest

from rsparse.attacks import ATTACKS, PUBLISHED
from rsparse.errors import InputError, MachineError

GOES_ON = "once this is fixed, run the same command again to continue"


def fails(message: str) -> AbstractContextManager[pytest.ExceptionInfo[MachineError]]:
    """Expect a ``MachineError`` with exactly this one-line message."""
    assert "\n" not in message
    return pytest.raises(MachineError, match=rf"\A{re.escape(message)}\Z")


def refused(message: str) -> AbstractContextManager[pytest.ExceptionInfo[InputError]]:
    """Expect an ``InputError`` with exactly this one-line message."""
    assert "\n" not in message
    return pytest.raises(InputError, match=rf"\A{re.escape(message)}\Z")


KNOWN_ATTACKS = f"Known: {', '.join([*ATTACKS, *PUBLISHED])}, or an attack class of foolbox"
"""The end of the error for an unknown attack."""
