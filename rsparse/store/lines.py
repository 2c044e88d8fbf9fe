"""Lines of JSON, with and without a checksum.

A line with a checksum is a JSON array: the first 16 hex digits of the SHA-256 of its value, and the
value, an object.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

_DIGITS = 16
_START, _BETWEEN, _END = b'["', b'", ', b"]\n"
_BEFORE = len(_START) + _DIGITS + len(_BETWEEN)


def to_line(value: Mapping[str, Any]) -> bytes:
    """One JSON line with sorted keys; what UTF-8 cannot encode is an escape of JSON."""
    line = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return line.encode(errors="backslashreplace") + b"\n"


def to_checked_line(value: Mapping[str, Any]) -> bytes:
    """One line with a checksum."""
    content = to_line(value)[:-1]
    return _START + _digest(content) + _BETWEEN + content + _END


def text_of_checked_line(line: bytes) -> bytes | None:
    """The JSON text of a line's value, or None if the line is not as it was written."""
    content = line[_BEFORE : -len(_END)]
    return content if line == _START + _digest(content) + _BETWEEN + content + _END else None


def from_checked_line(line: bytes) -> dict[str, Any] | None:
    """The value of a line, or None if the line is not as it was written."""
    content = text_of_checked_line(line)
    try:
        value = None if content is None else json.loads(content)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest()[:_DIGITS].encode()
