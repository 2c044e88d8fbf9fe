"""The record in every artifact: the stage that made it, its parameters and its inputs.

A record holds no time, host or absolute path, so equal inputs give equal bytes. It contains the
records of the inputs, so one artifact documents its whole ancestry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsparse import __version__
from rsparse.errors import InputError, as_text

DICTIONARY = "rsparse-dictionary"
IMAGES = "rsparse-images"
PREDICTIONS = "rsparse-predictions"
ACTIVATIONS = "rsparse-activations"
FLOATS = "rsparse-floats"
EVALUATION = "rsparse-evaluation"
MODEL = "rsparse-model"
SUPPORT = "rsparse-support"
DETECTOR = "rsparse-detector"
DETECTIONS = "rsparse-detections"
CERTIFICATES = "rsparse-certificates"

FORMAT_VERSIONS = {
    DICTIONARY: 3,
    IMAGES: 2,
    PREDICTIONS: 3,
    ACTIVATIONS: 3,
    FLOATS: 3,
    EVALUATION: 4,
    MODEL: 2,
    SUPPORT: 1,
    DETECTOR: 1,
    DETECTIONS: 1,
    CERTIFICATES: 1,
}
"""The version in which each format is written."""

OLDEST_READ = {**FORMAT_VERSIONS, DICTIONARY: 1}
"""The oldest version of each format that is read; older artifacts must be made again."""

_COMMANDS = dict.fromkeys(("select", "measure", "judge"), "evaluate --overwrite")
"""The commands of stages that are not commands themselves."""

GENERATOR = f"rsparse {__version__}"

_DEEPEST = 32
"""The most records that may be nested; a long pipeline has about ten."""


@dataclass(frozen=True)
class Source:
    """One input of an artifact.

    ``name`` is the name of the file or folder. ``sha256`` is the digest of the file; for a folder,
    of the sorted lines ``name sha256`` of the images used. ``record`` is its own record, if it has
    one.
    """

    name: str
    sha256: str
    record: Mapping[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        return {"name": as_text(self.name), "sha256": self.sha256, "record": self.record}


@dataclass(frozen=True)
class Record:
    """Format, stage, parameters, seed and inputs of one artifact, as made by ``Job.record``.

    ``method`` is the version of the stage's method (see ``rsparse.store.job``).
    """

    format: str
    stage: str
    parameters: Mapping[str, Any]
    seed: int | None = None
    inputs: tuple[Source, ...] = ()
    method: int = 1

    def as_json(self) -> dict[str, Any]:
        """The record as JSON types, format and generator included."""
        return {
            "format": self.format,
            "format_version": FORMAT_VERSIONS[self.format],
            "generator": GENERATOR,
            "stage": self.stage,
            "method": self.method,
            "parameters": dict(self.parameters),
            "seed": self.seed,
            "inputs": [source.as_json() for source in self.inputs],
        }


def check_record(
    record: Any, path: Path, expected: str | None = None, *, any_age: bool = False
) -> dict[str, Any]:
    """Check the format and version of a record read from ``path``, and return it.

    Parameters
    ----------
    record : object
        The content read.
    path : Path
    expected : str, optional
        The expected format.
    any_age : bool
        Also accept versions that are too old to read, so that the artifact can be replaced.

    Raises
    ------
    InputError
        If it is not an rsparse record, its format is not ``expected``, or its version is newer
        than this release reads or so old that the artifact must be made again.
    """
    known = isinstance(record, dict) and isinstance(record.get("format"), str)
    if not known or record["format"] not in FORMAT_VERSIONS:
        raise InputError(f"{path}: is not an rsparse artifact")
    format_name, version = record["format"], record.get("format_version")
    if expected is not None and format_name != expected:
        raise InputError(f"{path}: expected {expected}, got {format_name}")
    newest = FORMAT_VERSIONS[format_name]
    if not isinstance(version, int) or version < 1:
        raise InputError(f"{path}: has no valid format version")
    if version > newest:
        raise InputError(
            f"{path}: {format_name} version {version} is newer than this rsparse reads "
            f"({newest}); upgrade rsparse"
        )
    if not _is_whole(record, _DEEPEST):
        raise InputError(f"{path}: is damaged or incomplete: its record lacks required keys")
    if version < OLDEST_READ[format_name] and not any_age:
        command = _COMMANDS.get(record["stage"], record["stage"])
        raise InputError(
            f"{path}: was written by an older rsparse; make it again with 'rsparse {command}'"
        )
    return record


def _is_whole(record: Mapping[str, Any], depth: int) -> bool:
    """Whether a record and the records of its inputs, ``depth`` at most, have all their keys."""
    return (
        depth > 0
        and isinstance(record.get("stage"), str)
        and isinstance(record.get("method", 0), int)  # older records have none
        and isinstance(record.get("generator"), str)
        and isinstance(record.get("parameters"), dict)
        and isinstance(record.get("inputs"), list)
        and all(_is_whole_source(source, depth - 1) for source in record["inputs"])
    )


def _is_whole_source(source: Any, depth: int) -> bool:
    return (
        isinstance(source, dict)
        and isinstance(source.get("name"), str)
        and isinstance(source.get("sha256"), str)
        and "record" in source
        and (source["record"] is None or _is_whole_nested(source["record"], depth))
    )


def _is_whole_nested(record: Any, depth: int) -> bool:
    return isinstance(record, dict) and "format" in record and _is_whole(record, depth)
