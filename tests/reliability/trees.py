"""Everything below a folder as a value: to put it back, and to compare it."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable
from pathlib import Path

Tree = dict[str, bytes]
"""Content by path; a folder's path ends in a slash, its content is empty."""

_TIMES = ("seconds", "seconds_an_image")


def tree_of(folder: Path) -> Tree:
    """Everything below a folder; a link counts as its target's text."""
    found: Tree = {}
    for parent, folders, files in os.walk(folder):
        place = Path(parent)
        for name in folders:
            found[f"{(place / name).relative_to(folder).as_posix()}/"] = b""
        for name in files:
            path = place / name
            content = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
            found[path.relative_to(folder).as_posix()] = content
    return found


def restore(folder: Path, tree: Tree) -> None:
    """Write a tree into an empty folder."""
    for name, content in sorted(tree.items()):
        path = folder / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def visible(tree: Tree) -> Tree:
    """Without names that begin with a dot, and what is below them, and without folders."""
    return {
        name: content
        for name, content in tree.items()
        if not name.endswith("/") and not any(p.startswith(".") for p in name.split("/"))
    }


def untimed(tree: Tree) -> Tree:
    """With the measured times of evaluations left out, the one thing that differs between runs."""
    return {name: _without_times(name, content) for name, content in tree.items()}


def _without_times(name: str, content: bytes) -> bytes:
    base = name.rsplit("/", 1)[-1]
    change: dict[str, Callable[[bytes], bytes]] = {
        "timing.json": _untimed_json, "results.csv": _untimed_csv, "defenses.csv": _untimed_csv,
    }  # fmt: skip
    if base not in change:
        return content
    try:
        return change[base](content)
    except (ValueError, KeyError, TypeError, AttributeError):
        return content  # damaged, which the comparison is to tell


def _untimed_json(content: bytes) -> bytes:
    return json.dumps(sorted(json.loads(content)["seconds_an_image"])).encode()


def _untimed_csv(content: bytes) -> bytes:
    rows = list(csv.reader(io.StringIO(content.decode())))
    timed = {i for i, title in enumerate(rows[0]) if title in _TIMES} if rows else set()
    return json.dumps([[c for i, c in enumerate(row) if i not in timed] for row in rows]).encode()


def difference(found: Tree, expected: Tree) -> str:
    """How two trees differ, in one short line; empty if they are equal."""
    missing = sorted(expected.keys() - found.keys())
    extra = sorted(found.keys() - expected.keys())
    changed = sorted(n for n in found.keys() & expected.keys() if found[n] != expected[n])
    parts = [
        f"{word} {', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}"
        for word, names in (("lacks", missing), ("also has", extra), ("differs in", changed))
        if names
    ]
    return "; ".join(parts)
