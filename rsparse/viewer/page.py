"""The page, and its part about one image, as HTML."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from rsparse.core.change import change_between
from rsparse.core.noise import noise_level
from rsparse.errors import InputError, attempt
from rsparse.pages.rendering import Templates
from rsparse.pages.spelled import flat, plain
from rsparse.report.tables import Table, Value
from rsparse.store.records import GENERATOR
from rsparse.viewer.pictures import Pictures
from rsparse.viewer.versions import ATTACKED, PURIFIED, Collection, Scene, Version

STYLES = ("base.css", "compare.css", "tables.css", "records.css", "view.css")
SCRIPTS = ("compare.js", "grid.js", "image.js", "view.js")
POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
TEMPLATES = Templates("rsparse.viewer", filters={"flat": flat, "plain": plain})


def style() -> str:
    """The style sheet."""
    return "\n".join(map(TEMPLATES.read, STYLES))


def script() -> str:
    """The script."""
    return '"use strict";\n' + "\n".join(map(TEMPLATES.read, SCRIPTS))


def render_page(collection: Collection) -> str:
    """Render the page."""
    return TEMPLATES.render(
        "view.html", styles=(), scripts=(), generator=GENERATOR, collection=collection
    )


class Shown(NamedTuple):
    """A picture of an image: a version of it, or the difference of two.

    ``problem`` says why it cannot be shown.
    """

    key: str
    title: str
    url: str
    version: Version | None
    problem: str = ""


def render_image(
    collection: Collection, scene: Scene, query: str, number: int, pictures: Pictures
) -> str:
    """Render the part about one image; ``query`` is that of the scene in addresses."""
    shown = list(_shown(scene, query, number, pictures))
    first, second = _first_pair(shown)
    return TEMPLATES.render(
        "image.html",
        styles=(),
        scripts=(),
        name=collection.names[number],
        label=scene.label(number),
        shown=shown,
        left=first,
        right=second,
        verdicts={v.title: scene.verdict(v, number) for v in scene.versions},
        sheet=_sheet(scene, number, pictures),
        histories=list(_histories(collection, scene, number)),
    )


def _shown(scene: Scene, query: str, number: int, pictures: Pictures) -> Iterator[Shown]:
    """The versions of an image, and their differences."""
    place = {version: place for place, version in enumerate(scene.versions)}
    for version in scene.versions:
        url = f"picture?{query}version={place[version]}&id={number}"
        problem = _problem(version, number, pictures)
        yield Shown(f"v{place[version]}", version.title, url, version, problem)
    for before, after in _pairs(scene):
        if any(_problem(version, number, pictures) for version in (before, after)):
            continue
        url = f"difference?{query}before={place[before]}&version={place[after]}&id={number}"
        if before.is_slow or after.is_slow or _sizes_agree(before, after, number, pictures):
            key = f"d{place[before]}-{place[after]}"
            yield Shown(key, f"{after.title} − {before.title}, ×10", url, None)


def _sizes_agree(before: Version, after: Version, number: int, pictures: Pictures) -> bool:
    one, other = (pictures.pixels(version, number) for version in (before, after))
    return one.shape == other.shape


def _problem(version: Version, number: int, pictures: Pictures) -> str:
    """Why a version of an image cannot be shown; what is computed is not tried."""
    if version.is_slow:
        return ""
    result = attempt(pictures.pixels, version, number)
    return str(result) if isinstance(result, InputError) else ""


def _pairs(scene: Scene) -> Iterator[tuple[Version, Version]]:
    """The versions whose difference is shown: to the first one, and of cleaning."""
    versions = [version for version in scene.versions if version.is_picture]
    for version in versions[1:]:
        if version.source not in (None, versions[0]):
            yield version.source, version
        yield versions[0], version


def _first_pair(shown: Sequence[Shown]) -> tuple[Shown | None, Shown | None]:
    """The pictures that are compared at first: the attacked and the purified one, if there are."""
    usable = [each for each in shown if not each.problem]
    pictures = [e for e in usable if e.version is not None and e.version.is_picture] or usable
    kinds = {e.version.kind: e for e in reversed(pictures) if e.version is not None}
    if len(pictures) < 2:
        return (pictures[0], pictures[0]) if pictures else (None, None)
    right = kinds.get(PURIFIED, pictures[1])
    left = kinds.get(ATTACKED, pictures[0])
    return (pictures[0] if left is right else left), right


def _sheet(scene: Scene, number: int, pictures: Pictures) -> Table:
    columns = [dict(_facts(scene, version, number, pictures)) for version in scene.versions]
    words = list(dict.fromkeys(word for column in columns for word in column))
    rows = [[word, *(column.get(word, "–") for column in columns)] for word in words]
    header = ("fact", *(version.title for version in scene.versions))
    cells = tuple(tuple(Value(text, text) for text in row) for row in rows)
    return Table(header, cells, (False,) * len(header))


def _facts(
    scene: Scene, version: Version, number: int, pictures: Pictures
) -> Iterator[tuple[str, str]]:
    """What is known of an image of a version, by words for people."""
    verdict = scene.verdict(version, number)
    if verdict is not None:
        mark = {True: "✓ ", False: "✕ ", None: ""}[verdict.correct]
        share = "" if verdict.probability is None else f", {100 * verdict.probability:.1f}\u00a0%"
        yield "prediction", f"{mark}{verdict.text}{share}"
    facts = version.facts(number)
    if version.rejected is not None:
        facts["rejected"] = bool(version.rejected[number])
    if not version.is_slow and not _problem(version, number, pictures):
        pixels = pictures.pixels(version, number)
        yield "size", f"{pixels.shape[1]}×{pixels.shape[0]}"
        if version.is_picture:
            facts = {"noise σ, grey levels": f"{noise_level(pixels):.2f}"} | facts
            facts |= _change(scene, version, number, pictures)
    for word, value in facts.items():
        yield word, plain(value)


def _change(scene: Scene, version: Version, number: int, pictures: Pictures) -> dict[str, Any]:
    """How far a version is from the first one."""
    first = next(each for each in scene.versions if each.is_picture)
    if version is first or first.is_slow or _problem(first, number, pictures):
        return {}
    one, other = pictures.pixels(first, number), pictures.pixels(version, number)
    if one.shape != other.shape:
        return {}
    change = change_between(one, other)
    psnr = "no change" if math.isinf(change.psnr) else f"{change.psnr:.1f}"
    return {f"L∞ to {first.title}": change.linf, f"PSNR to {first.title}, dB": psnr}


class History(NamedTuple):
    """How a version of an image came to be: sentences about its file, and the record."""

    title: str
    sentences: list[str]
    record: Mapping[str, Any] | None


def _histories(collection: Collection, scene: Scene, number: int) -> Iterator[History]:
    found = {
        version: attempt(version.origin, number)
        for version in scene.versions
        if version.present[number]
    }
    origins = {v: (None, None) if isinstance(o, InputError) else o for v, o in found.items()}
    for version, (own, source) in origins.items():
        sentences = [] if own is None else [f"SHA-256 of the file: {own}."]
        if source is not None:
            made_from = [v.title for v, (digest, _) in origins.items() if digest == source]
            where = f"which is that of {made_from[0]}" if made_from else "which is not shown here"
            sentences.append(f"Made from the file with SHA-256 {source}, {where}.")
        if version.is_slow:
            sentences.append("Made for this page, as the evaluation made it.")
        elif version.record is None:
            sentences.append("Its folder has no record.")
        yield History(version.title, sentences, version.record)
    if collection.record is not None:
        yield History("evaluation", [], collection.record)


def dumped(value: Any) -> bytes:
    """A value as JSON."""
    return json.dumps(value, ensure_ascii=False).encode(errors="backslashreplace")
