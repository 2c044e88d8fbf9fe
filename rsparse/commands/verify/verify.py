"""Verify artifacts: their files, their checksums, and the inputs that their records name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from rsparse.commands.verify.contents import (
    Contents,
    NotAnArtifactError,
    check_file,
    read_contents,
)
from rsparse.commands.verify.inputs import FILES_TOGETHER, AtHand, InputsFound, find_inputs
from rsparse.errors import InputError, attempt
from rsparse.store.artifacts import Artifact, find_artifacts
from rsparse.work.progress import SILENT, Progress
from rsparse.work.workers import chunked, usable_cores

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass
class Verified:
    """What was found about one artifact.

    Attributes
    ----------
    path : Path
    format : str
    files, size : int
        Number and bytes of the files that were compared with a checksum.
    inputs_found : int
        Inputs, also of its inputs, that are at hand and match.
    inputs_absent : list of str
        Names of those that are not at hand.
    problems : list of str
    """

    path: Path
    format: str
    files: int = 0
    size: int = 0
    inputs_found: int = 0
    inputs_absent: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        return {**vars(self), "path": str(self.path)}


def verify_artifacts(paths: Sequence[Path], progress: Progress = SILENT) -> list[Verified]:
    """Verify the artifacts at these paths and in these folders, and their inputs at hand.

    Inputs are looked for by name beside each path, among the artifacts, and beside these.

    Raises
    ------
    InputError
        If no path has an artifact; of several, those that have none are among the problems.
    """
    given: dict[Path, list[Artifact]] = {}
    refused: dict[Path, InputError] = {}
    for path in dict.fromkeys(paths):
        found_at = attempt(find_artifacts, path)
        if isinstance(found_at, InputError):
            refused[path] = found_at
        else:
            given[path] = found_at
    wanted = list(dict.fromkeys(artifact for found in given.values() for artifact in found))
    verified: dict[Path, Verified] = {}
    with ThreadPoolExecutor(usable_cores()) as pool:
        at_hand = AtHand(_places(given, wanted), pool)
        while wanted:
            found = _verify(wanted, at_hand, pool, progress)
            verified |= {result.path.resolve(): result for result, _ in found}
            inputs = {path.resolve(): path for _, paths in found for path in paths}
            wanted = [
                artifact
                for place, path in inputs.items()
                if place not in verified
                for artifact in _artifact_at(path)
            ]
    for path, artifacts in given.items():
        if not any(artifact.path.resolve() in verified for artifact in artifacts):
            refused[path] = InputError(f"{path}: is not an rsparse artifact and contains none")
    if refused and not verified:
        raise next(iter(refused.values()))
    others = [Verified(path, "none", problems=[str(error)]) for path, error in refused.items()]
    return [*verified.values(), *others]


def _places(given: Iterable[Path], wanted: Sequence[Artifact]) -> Iterator[Path]:
    """Where inputs may be: the artifacts, what is beside them, and what is beside the paths."""
    yield from (artifact.path for artifact in wanted)
    beside = [path.parent if path.name else path / ".." for path in given]
    for folder in dict.fromkeys([*beside, *(artifact.path.parent for artifact in wanted)]):
        try:
            yield from (folder / name for name in sorted(os.listdir(folder)))
        except OSError:
            continue  # a folder that may not be read has no inputs at hand


def _artifact_at(path: Path) -> list[Artifact]:
    """The artifact that an input is, without those in it."""
    try:
        return [found for found in find_artifacts(path) if found.path == path]
    except InputError:
        return []


def _verify(
    artifacts: Sequence[Artifact], at_hand: AtHand, pool: ThreadPoolExecutor, progress: Progress
) -> list[tuple[Verified, list[Path]]]:
    """Verify artifacts; with each, return the inputs that were found."""
    progress.start("read", len(artifacts))
    read = list(_in_turn(pool, _contents_of, artifacts, progress))
    whole = [(a, c) for a, c in zip(artifacts, read, strict=True) if c is not None]
    files = list(dict.fromkeys(item for _, c in whole for item in c.files.items()))
    progress.start("verify", len(files))
    checked: dict[tuple[str, str], tuple[int, str | None]] = {}
    for part in _in_turn(pool, _check_files, list(chunked(files, FILES_TOGETHER)), progress):
        checked |= part
    results = []
    for artifact, contents in whole:
        inputs = find_inputs(artifact.path, contents, at_hand)
        of_files = [checked[item] for item in contents.files.items()]
        results.append((_verified(artifact, contents, inputs, of_files), inputs.matching))
    return results


def _check_files(files: Sequence[tuple[str, str]]) -> dict[tuple[str, str], tuple[int, str | None]]:
    return {file: check_file(*file) for file in files}


def _contents_of(artifact: Artifact) -> Contents | None:
    try:
        return read_contents(artifact)
    except NotAnArtifactError:
        return None


def _in_turn(
    pool: ThreadPoolExecutor,
    work: Callable[[Item], Result],
    items: Iterable[Item],
    progress: Progress,
) -> Iterator[Result]:
    for result in pool.map(work, items):
        progress.advance(len(result) if isinstance(result, dict) else 1)
        yield result


def _verified(
    artifact: Artifact,
    contents: Contents,
    inputs: InputsFound,
    of_files: Sequence[tuple[int, str | None]],
) -> Verified:
    is_itself = artifact.path.is_file() and str(artifact.path) not in contents.files
    own = artifact.path.stat().st_size if is_itself else 0
    return Verified(
        artifact.path,
        contents.format,
        len(of_files) + is_itself,
        own + sum(size for size, _ in of_files),
        len(inputs.matching),
        inputs.absent,
        [*contents.problems, *(text for _, text in of_files if text), *inputs.problems],
    )
