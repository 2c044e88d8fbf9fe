"""Compare the inputs that a record names with the files and folders that are at hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rsparse.commands.verify.contents import Contents, Digests
from rsparse.errors import InputError, attempt
from rsparse.store.files import sha256_of, sha256_of_file
from rsparse.store.finding import find_images
from rsparse.store.folders import read_manifest, record_of
from rsparse.store.images import ImageFile
from rsparse.store.job import comparable
from rsparse.work.workers import chunked

FILES_TOGETHER = 32
"""Files that a thread reads at a time."""

_NAMED = 3  # images in a message
_FILES = (".onnx", ".h5", ".hdf5", ".csv", ".txt", ".json", ".toml")


@dataclass
class InputsFound:
    """The inputs of an artifact, and of its inputs.

    Attributes
    ----------
    matching : list of Path
        Those that are at hand and are what the records say.
    absent : list of str
        The names of those that are not at hand.
    problems : list of str
    """

    matching: list[Path] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class AtHand:
    """Files and folders that may be inputs, by name; ``pool`` computes their digests."""

    def __init__(self, places: Iterable[Path], pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._places: dict[str, list[Path]] = {}
        for place in places:
            known = self._places.setdefault(place.absolute().name, [])
            if place.resolve() not in map(Path.resolve, known):
                known.append(place)
        self._files: dict[Path, str] = {}
        self._folders: dict[Path, Digests] = {}

    def named(self, name: str) -> list[Path]:
        """The places of a name."""
        return self._places.get(name, [])

    def digest_of(self, path: Path) -> str:
        """The digest of a file."""
        if path not in self._files:
            self._files[path] = sha256_of_file(path)
        return self._files[path]

    def digests_in(self, folder: Path) -> Digests:
        """The digests of a folder's images by name: those of its manifest, or of its files."""
        if folder not in self._folders:
            manifest = read_manifest(folder)
            if manifest is None:
                parts = chunked(find_images([folder]), FILES_TOGETHER)
                digests = {k: v for part in self._pool.map(_digests_of, parts) for k, v in part}
            else:
                digests = {entry["name"]: entry["sha256"] for entry in manifest["images"]}
            self._folders[folder] = digests
        return self._folders[folder]

    def record_of(self, path: Path) -> Mapping[str, Any] | None:
        """The record of a folder of images, if it has one."""
        manifest = read_manifest(path) if path.is_dir() else None
        return None if manifest is None else record_of(manifest)


def _digests_of(images: Sequence[ImageFile]) -> list[tuple[str, str]]:
    """The digests of the images by name, without files that cannot be read."""
    digests = [(image.name, attempt(sha256_of_file, image.path)) for image in images]
    return [(name, digest) for name, digest in digests if not isinstance(digest, InputError)]


def find_inputs(path: Path, contents: Contents, at_hand: AtHand) -> InputsFound:
    """Look for the inputs of an artifact, and for theirs, and compare them with its record."""
    found = InputsFound()
    if contents.record is not None:
        if _disagrees(contents.record, contents.used):
            found.problems.append(f"{path}: its images are not those of its record")
        _follow(path, contents.record, contents.used, at_hand, found)
    return found


def _follow(
    path: Path,
    record: Mapping[str, Any],
    used: Sequence[Digests],
    at_hand: AtHand,
    found: InputsFound,
) -> None:
    for source in record["inputs"]:
        nested = source["record"]
        places = [
            place
            for place in at_hand.named(source["name"])
            if place != path and (nested is not None or at_hand.record_of(place) is None)
        ]
        matching = (place for place in places if _matches(place, source, used, at_hand))
        match, agrees = _best(matching, nested, at_hand)
        if match is not None:
            found.matching.append(match)
            if not agrees:
                found.problems.append(f"{match}: its record differs from the one in {path}")
            continue
        differing = [text for place in places if (text := _difference(place, used, at_hand))]
        if differing:
            found.problems.append(f"{path}: {differing[0]}")
        else:
            found.absent.append(source["name"])
        if nested is not None:
            _follow(path, nested, (), at_hand, found)


def _disagrees(record: Mapping[str, Any], used: Sequence[Digests]) -> bool:
    """Whether the images that an artifact lists are not the input that its record names.

    This is known if there is one folder of images, all of which were used: an evaluation judges
    only some, and selects those that the model gets right.
    """
    folders = [s for s in record["inputs"] if Path(s["name"]).suffix.lower() not in _FILES]
    used = [names for names in used if names]
    if len(folders) != 1 or len(used) != 1 or record["stage"] in ("judge", "select"):
        return False
    return folders[0]["sha256"] not in (_digest_of_lines(used[0]), *used[0].values())


def _best(
    matching: Iterable[Path], nested: Mapping[str, Any] | None, at_hand: AtHand
) -> tuple[Path | None, bool]:
    """The first place of an input whose record agrees, else the first; and whether it agrees.

    Two attacks may give equal images in folders of one name, such as one through a defense and
    one that ignores it.
    """
    first = None
    for place in matching:
        known = at_hand.record_of(place)
        if known is None or nested is None or not _differ(known, nested):
            return place, True
        first = first or place
    return first, False


def _differ(known: Mapping[str, Any], nested: Mapping[str, Any]) -> bool:
    return comparable(known) != comparable(nested)


def _matches(
    place: Path, source: Mapping[str, Any], used: Sequence[Digests], at_hand: AtHand
) -> bool:
    """Whether a file or folder is the one that a record names."""
    try:
        if not place.is_dir():
            return source["sha256"] in (at_hand.digest_of(place), _of_model(place))
        listed = at_hand.digests_in(place)
    except InputError:
        return False
    choices = [*(_in_folder(names, listed) for names in used), listed]
    return any(_digest_of_lines(chosen) == source["sha256"] for chosen in choices)


def _of_model(path: Path) -> str | None:
    """The digest of a model with the weights that it stores in other files."""
    if path.suffix.lower() != ".onnx":
        return None
    from rsparse.models.onnx.file import load_onnx

    try:
        return load_onnx(path).sha256
    except InputError:
        return None


def _in_folder(used: Digests, listed: Digests) -> Digests:
    """The digests in a folder of the images used, by the names under which they were used."""
    chosen = {}
    for name in used:
        parts = name.split("/")
        tails = ("/".join(parts[start:]) for start in range(len(parts)))
        tail = next((tail for tail in tails if tail in listed), None)
        if tail is not None:
            chosen[name] = listed[tail]
    return chosen


def _digest_of_lines(digests: Digests) -> str:
    return sha256_of("".join(f"{name} {digests[name]}\n" for name in sorted(digests)).encode())


def _difference(place: Path, used: Sequence[Digests], at_hand: AtHand) -> str | None:
    """How a file or folder of the right name differs from the input; None if it is another one."""
    try:
        if not place.is_dir():
            return f"its input {place} has changed"
        listed = at_hand.digests_in(place)
    except InputError:
        return None
    for names in used:
        now = _in_folder(names, listed)
        changed = sorted(name for name in now if now[name] != names[name])
        missing = sorted(set(names) - set(now))
        if len(missing) == len(names):
            continue
        wrong = [f"{name} differs" for name in changed] + [f"{name} is missing" for name in missing]
        if wrong:
            more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
            return f"its input {place} has changed: {', '.join(wrong[:_NAMED])}{more}"
    return None
