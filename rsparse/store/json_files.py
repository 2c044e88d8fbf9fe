"""Read JSON that others may have written or damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rsparse.errors import InputError
from rsparse.store.files import read_bytes


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises
    ------
    InputError
        If it cannot be read or is not JSON.
    """
    return parse_json(read_bytes(path), str(path))


def parse_json(text: bytes | str, place: str) -> Any:
    """``json.loads``; ``place`` names the text in the error.

    Raises
    ------
    InputError
        If it is not JSON.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise InputError(f"{place}: is not valid JSON: it is nested too deeply") from error
    except ValueError as error:
        raise InputError(f"{place}: is not valid JSON: {error}") from error
