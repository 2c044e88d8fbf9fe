"""The record that every artifact carries: what made it, from what, with which parameters.

A record holds no time, host or absolute path, so equal inputs give equal bytes. The records of
the inputs are nested inside, so one artifact tells its whole ancestry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsparse import __version__
from rsparse.errors import InputError

DICTIONARY = "rsparse-dictionary"
IMAGES = "rsparse-images"
PREDICTIONS = "rsparse-predictions"
ACTIVATIONS = "rsparse-activations"
FLOATS = "rsparse-floats"
EVALUATION = "rsparse-evaluation"
MODEL = "rsparse-model"

FORMAT_VERSIONS = dict.fromkeys(
    (DICTIONARY, IMAGES, PREDICTIONS, ACTIVATIONS, FLOATS, MODEL), 2
) | {EVALUATION: 3}
"""The version of each format that is written."""

OLDEST_READ = {**FORMAT_VERSIONS, DICTIONARY: 1}
"""And the oldest one that is read: older artifacts are made again."""

_WITHIN = {"select": "evaluate --overwrite", "judge": "evaluate --overwrite"}
"""Commands of the stages that are no command of that name."""

GENERATOR = f"rsparse {__version__}"


@dataclass(frozen=True)
class Source:
    """One input of an artifact.

    ``name`` is its file or folder name; ``sha256`` the digest of a file, or of a folder's sorted
    lines ``name sha256`` of the images used; ``record`` its own record where it has one.
    """

    name: str
    sha256: str
    record: Mapping[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "sha256": self.sha256, "record": self.record}


@dataclass(frozen=True)
class Record:
    """Format, stage, parameters, seed and inputs of one artifact; ``Job.record`` makes it.

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
    """A record read from ``path``, checked for its format and version.

    Parameters
    ----------
    record : object
        What was read.
    path : Path
    expected : str, optional
        The format.
    any_age : bool
        Take older versions than are read, in order to replace the artifact.

    Raises
    ------
    InputError
        If it is no record of ours, of another format than ``expected``, or of a version that is
        not read: newer, or so old that the artifact has to be made again.
    """
    known = isinstance(record, dict) and isinstance(record.get("format"), str)
    if not known or record["format"] not in FORMAT_VERSIONS:
        raise InputError(f"{path}: is not an rsparse artifact")
    format_name, version = record["format"], record.get("format_version")
    if expected is not None and format_name != expected:
        raise InputError(f"{path}: expected {expected}, found {format_name}")
    newest = FORMAT_VERSIONS[format_name]
    if not isinstance(version, int) or version < 1:
        raise InputError(f"{path}: has no valid format version")
    if version > newest:
        raise InputError(
            f"{path}: {format_name} version {version} is newer than this rsparse reads "
            f"({newest}); upgrade rsparse"
        )
    if not _is_whole(record):
        raise InputError(f"{path}: is damaged or incomplete: its record lacks something")
    if version < OLDEST_READ[format_name] and not any_age:
        command = _WITHIN.get(record["stage"], record["stage"])
        raise InputError(
            f"{path}: was written by an older rsparse; make it again with 'rsparse {command}'"
        )
    return record


def _is_whole(record: Mapping[str, Any]) -> bool:
    """Whether all that a record tells is there, in its inputs' records too."""
    return (
        isinstance(record.get("stage"), str)
        and isinstance(record.get("method", 0), int)  # older records tell none
        and isinstance(record.get("generator"), str)
        and isinstance(record.get("parameters"), dict)
        and isinstance(record.get("inputs"), list)
        and all(_is_whole_source(source) for source in record["inputs"])
    )


def _is_whole_source(source: Any) -> bool:
    return (
        isinstance(source, dict)
        and isinstance(source.get("name"), str)
        and isinstance(source.get("sha256"), str)
        and (source.get("record") is None or _is_whole_nested(source["record"]))
    )


def _is_whole_nested(record: Any) -> bool:
    return isinstance(record, dict) and "format" in record and _is_whole(record)
