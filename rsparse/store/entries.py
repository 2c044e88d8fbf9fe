"""The entries of images in a manifest, and the checks of those that are read from disk."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rsparse.errors import InputError

Test = Callable[[Any], bool]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_class(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**31


def _is_size(value: Any) -> bool:
    """A finite number that is not negative."""
    number = type(value) in (int, float)
    return number and 0 <= value < 1e300 and math.isfinite(value)


def _is_size_or_null(value: Any) -> bool:
    return value is None or _is_size(value)


_ALWAYS: dict[str, Test] = {"name": _is_text, "file": _is_text, "sha256": _is_text}
_OTHERS: dict[str, Test] = {
    "source_sha256": _is_text,
    "label": _is_class,
    "found": _is_flag,
    "detected": _is_flag,
    "noise": _is_size,
    "done": _is_text,
    "unchanged": _is_flag,
    "psnr": _is_size_or_null,
    "area": _is_size,
    "overlay_sha256": _is_text,
    "mask_sha256": _is_text,
    "prediction_before": _is_class,
    "prediction_float": _is_class,
    "prediction": _is_class,
    "success_float": _is_flag,
    "success": _is_flag,
    "defended_before": _is_class,
    "defended": _is_class,
    "success_defended": _is_flag,
    "nothing_found": _is_flag,
    "linf": _is_size,
    "l2": _is_size,
    "d": _is_size_or_null,
    "tau": _is_size,
    "float_file": _is_text,
}
_NEEDED = {
    "select": ("source_sha256", "label", "prediction"),
    "localize": ("source_sha256", "found", "area"),
    "purify": ("source_sha256",),
    "attack": (
        "source_sha256",
        "label",
        "prediction_before",
        "prediction_float",
        "prediction",
        "success_float",
        "success",
        "nothing_found",
        "linf",
        "l2",
        "d",
        "tau",
    ),
}
"""The keys that later stages read, by the stage that writes them."""


def are_entries(entries: Any) -> bool:
    """Whether these are the entries of a manifest, each of another name."""
    if not isinstance(entries, list) or not all(map(_is_entry, entries)):
        return False
    return len({entry["name"] for entry in entries}) == len(entries) > 0


def _is_entry(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and all(test(entry.get(key)) for key, test in _ALWAYS.items())
        and all(test(entry[key]) for key, test in _OTHERS.items() if key in entry)
    )


def require_keys(manifest: Mapping[str, Any], folder: Path) -> None:
    """Check that the entries of a manifest have all keys that its stage writes.

    Raises
    ------
    InputError
    """
    needed = _NEEDED.get(manifest["stage"], ())
    for entry in manifest["images"]:
        for key in needed:
            if key not in entry:
                raise InputError(
                    f"{folder}: its manifest is damaged: {entry['name']!r} has no {key}"
                )


def are_failures(entries: Any) -> bool:
    """Whether these are the failed images that a manifest lists."""
    return isinstance(entries, list) and all(
        isinstance(entry, dict) and _is_text(entry.get("name")) and _is_text(entry.get("error"))
        for entry in entries
    )
