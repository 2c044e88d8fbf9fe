"""Exact messages of refused input."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager

import pytest

from rsparse.errors import InputError


def refused(message: str) -> AbstractContextManager[pytest.ExceptionInfo[InputError]]:
    """Expect an ``InputError`` that says exactly ``message``, on one line."""
    assert "\n" not in message
    return pytest.raises(InputError, match=rf"\A{re.escape(message)}\Z")
