"""Damage to files, drawn by a seed: bytes of any file, and the structure of JSON, CSV, TOML."""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

Mutator = Callable[[bytes, random.Random], bytes]

STRANGE: tuple[Any, ...] = (
    None, True, -1, 0, 10**6, 2**63, 10**400, -0.5, 1e308, "", "x", "../../secret.txt",
    "/etc/passwd", "a\x00b", "\x1b]0;title\x07\x1b[2J", "new\nline", "[bold]markup[/bold]", "=1+1",
    "\ud800", "n" * 5000, [], {}, [[]], {"": None}, [0] * 100, float("nan"), float("inf"),
)  # fmt: skip
DEPTHS = (30, 220, 3000, 100_000)


def flip_bits(content: bytes, rng: random.Random) -> bytes:
    """Turn over one to eight bits."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 8)):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _span(content: bytes, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(len(content) + 1)
    return start, min(len(content), start + rng.choice((1, 2, 4, 8, 24, 100, 1000)))


def fill(content: bytes, rng: random.Random) -> bytes:
    """Overwrite a range with zeros, ones or noise."""
    start, end = _span(content, rng)
    size = end - start
    new = rng.choice((bytes(size), b"\xff" * size, rng.randbytes(size)))
    return content[:start] + new + content[end:]


def cut(content: bytes, rng: random.Random) -> bytes:
    """End early, also at once."""
    return content[: rng.choice((0, 1, rng.randrange(len(content) + 1), max(0, len(content) - 1)))]


def take_out(content: bytes, rng: random.Random) -> bytes:
    """Leave out a range."""
    start, end = _span(content, rng)
    return content[:start] + content[end:]


def repeat(content: bytes, rng: random.Random) -> bytes:
    """Write a range twice, perhaps elsewhere."""
    start, end = _span(content, rng)
    place = rng.choice((end, rng.randrange(len(content) + 1)))
    return content[:place] + content[start:end] + content[place:]


def extend(content: bytes, rng: random.Random) -> bytes:
    """Go on after the end."""
    return content + rng.choice((b"\0" * 64, b"\n", content[:100], rng.randbytes(64), content))


def set_number(content: bytes, rng: random.Random) -> bytes:
    """Put an extreme number of 1, 2, 4 or 8 bytes at any place."""
    size = rng.choice((1, 2, 4, 8))
    top = 1 << (8 * size)
    number = rng.choice((0, 1, top - 1, top // 2, top // 2 - 1, top - 16, 255 % top))
    place = rng.randrange(max(1, len(content) - size))
    new = number.to_bytes(size, rng.choice(("little", "big")))
    return content[:place] + new + content[place + size :]


BYTES: tuple[Mutator, ...] = (flip_bits, fill, cut, take_out, repeat, extend, set_number)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    if isinstance(value, dict):
        for key in value:
            yield from _places(value[key], (*path, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _places(item, (*path, number))


def change_json(value: Any, rng: random.Random) -> Any:
    """One place of a JSON value is replaced, left out, doubled, or nested deeply."""
    value = copy.deepcopy(value)
    places = list(_places(value))
    if not places:
        return rng.choice(STRANGE)
    *path, last = rng.choice(places)
    holder = value
    for key in path:
        holder = holder[key]
    kind = rng.choice(("replace", "replace", "replace", "remove", "swap", "double", "wrap"))
    if kind == "replace":
        holder[last] = rng.choice(STRANGE)
    elif kind == "remove":
        del holder[last]
    elif kind == "swap":
        *other, end = rng.choice(places)
        source: Any = value
        for key in other:
            source = source[key]
        holder[last] = copy.deepcopy(source[end])
    elif kind == "double" and isinstance(holder, list):
        holder.insert(0, copy.deepcopy(holder[last]))
    else:
        holder[last] = {"nested": [holder[last]]}
    return value


def json_text(value: Any) -> bytes:
    """JSON that also holds what JSON cannot."""
    return json.dumps(value, ensure_ascii=False, indent=1).encode("utf-8", "surrogatepass") + b"\n"


def mutate_json(content: bytes, rng: random.Random) -> bytes:
    """Change the structure of one JSON document, or nest it too deeply for a parser."""
    if rng.random() < 0.05:
        depth = rng.choice(DEPTHS)
        return rng.choice((b"[" * depth, b"[" * depth + b"]" * depth, b'{"a":' * depth))
    value = json.loads(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        value = change_json(value, rng)
    return json_text(value)


def mutate_lines(content: bytes, rng: random.Random) -> bytes:
    """Change one line of JSON lines, or their order."""
    lines = content.splitlines(keepends=True)
    kind, number = rng.choice(("change", "change", "remove", "double", "swap", "join")), 0
    number = rng.randrange(len(lines))
    if kind == "change":
        value = change_json(json.loads(lines[number]), rng)
        line = json.dumps(value, sort_keys=True, ensure_ascii=False)
        lines[number] = line.encode("utf-8", "surrogatepass") + b"\n"
    elif kind == "remove":
        del lines[number]
    elif kind == "double":
        lines.insert(rng.randrange(len(lines)), lines[number])
    elif kind == "swap":
        rng.shuffle(lines)
    else:
        lines[number] = lines[number].rstrip(b"\n")
    return b"".join(lines)


_TOKEN = re.compile(rb"[\w.+-]+|\"[^\"\n]*\"|[\[\]{},=:;]")
_WORDS = (
    b"0", b"-1", b"1e999", b"nan", b"inf", b"9" * 400, b'""', b'"x"', b'"a\\u0000b"', b"[]", b"{}",
    b"true", b"[[[[", b'"../secret.txt"', b'"\x1b[2J"', b'"\\u001b[2J"', b"\xff\xfe",
    b'"' + b"n" * 3000 + b'"', b"'", b"\n", b",,,", b"1979-05-27", b'"=1+1"', b"\r",
    "\u0085\u2028".encode(),
)  # fmt: skip


def mutate_text(content: bytes, rng: random.Random) -> bytes:
    """Replace, leave out, double or exchange words of a text such as TOML or CSV."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        words = list(_TOKEN.finditer(content))
        if not words:
            return rng.choice(_WORDS)
        word, other = rng.choice(words), rng.choice(words)
        new = rng.choice((rng.choice(_WORDS), rng.choice(_WORDS), b"", other.group(),
                          word.group() * 2))  # fmt: skip
        content = content[: word.start()] + new + content[word.end() :]
    if rng.random() < 0.03:
        content = b"a = " + b"[" * rng.choice(DEPTHS) + b"\n" + content
    return content
