"""Folders of images as artifacts: a journal during the run, ``manifest.json`` at its end.

``manifest.json`` is one JSON object: the record's keys, then ``images`` and ``failed``. ``images``
has one entry per line: ``name``, ``file``, ``sha256`` of the file, ``source_sha256`` of the image
it was made from, ``label`` if known, and the stage's own keys. ``failed`` lists ``name`` and
``error``.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rsparse.errors import InputError, system_error
from rsparse.store.entries import are_entries, are_failures
from rsparse.store.files import (
    atomic_path,
    remove_temporaries,
    safe_join,
)
from rsparse.store.journal import Entry, Journal, to_line
from rsparse.store.json_files import read_json
from rsparse.store.records import IMAGES, Record, check_record

MANIFEST = "manifest.json"
JOURNAL = ".rsparse-journal.jsonl"


class OutputFolder:
    """A folder into which a stage writes images and finally a manifest."""

    def __init__(self, path: Path, journal: Journal) -> None:
        self.path = path
        self.journal = journal

    @classmethod
    def open(
        cls, path: Path, run: Mapping[str, Any], inputs: Iterable[Path], overwrite: bool
    ) -> OutputFolder:
        """Create the folder, or resume an interrupted run of the same job in it.

        Parameters
        ----------
        path : Path
        run : mapping
            The identity of the job.
        inputs : iterable of Path
            Folders or files that are read; the output must not be inside one or contain one.
        overwrite : bool
            First remove a finished artifact or an unfinished run. Only files listed in its
            manifest or journal are removed; other files stay.

        Raises
        ------
        InputError
            If the folder is in use, is inside an input, or cannot be written.
        """
        refuse_overlap(path, inputs)
        try:
            if path.exists() and not path.is_dir():
                raise InputError(f"{path}: is a file; name a folder")
        except OSError as error:  # for example, a name that is too long
            raise system_error(error, f"{path}: cannot be written") from error
        if (path / MANIFEST).exists() and not overwrite:
            raise InputError(f"{path}: exists; choose another output or pass --overwrite")
        goes_on = Journal.is_of(path / JOURNAL, run)
        cleared = overwrite and not goes_on and _clear(path)
        try:
            taken = path.is_dir() and any(path.iterdir()) and not (path / JOURNAL).exists()
        except OSError as error:
            raise system_error(error, f"{path}: cannot be read") from error
        if taken and not cleared:
            raise InputError(f"{path}: contains other files; choose an empty or new folder")
        journal = Journal.open(path / JOURNAL, run, path)
        if goes_on:
            remove_temporaries(path)
        return cls(path, journal)

    def finish(self, record: Record, failed: list[Entry]) -> None:
        """Write the manifest and delete the journal; the folder is then a finished artifact."""
        with atomic_path(self.path / MANIFEST) as temporary, temporary.open("wb") as file:
            head = json.dumps(record.as_json(), sort_keys=True, indent=1, ensure_ascii=False)
            file.write(head[:-2].encode() + b',\n "failed": ')
            _write_array(file, map(_without_path, failed))
            file.write(b',\n "images": ')
            _write_array(file, self.journal.entries())
            file.write(b"\n}\n")
        self.journal.close(finished=True)

    def abandon(self) -> None:
        """Close the journal; if the run finished no item, delete it and the empty folder."""
        finished = len(self.journal) == 0
        self.journal.close(finished=finished)
        if finished:
            try:
                self.path.rmdir()
            except OSError:
                pass  # it contains other artifacts


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Lock a folder of several artifacts for this run, and clean up after a killed one.

    The folder is created; if it is empty at the end of the block, it is removed. On a file system
    that cannot lock folders, there is no lock and no cleanup.

    Raises
    ------
    InputError
        If another run is writing it now, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        place = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise system_error(error, f"{folder}: cannot be written") from error
    try:
        fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        remove_temporaries(folder)
        _forget_finished(folder)
    except BlockingIOError as error:
        os.close(place)
        raise InputError(f"{folder}: is being written by another run") from error
    except OSError:
        pass
    try:
        yield
    finally:
        os.close(place)
        try:
            folder.rmdir()
        except OSError:
            pass  # not empty


def _forget_finished(folder: Path) -> None:
    """Delete the journals of finished artifacts: the run was killed after it wrote the manifest."""
    for journal in folder.rglob(JOURNAL):
        if journal.with_name(MANIFEST).exists():
            journal.unlink()


def _without_path(entry: Entry) -> Entry:
    """A failed image as the manifest lists it: without the path, which is not recorded."""
    return {"name": entry["name"], "error": entry["error"].removeprefix(f"{entry.get('path')}: ")}


def _write_array(file: Any, entries: Iterable[Entry]) -> None:
    separator = b"[\n  "
    for entry in entries:
        file.write(separator + to_line(entry)[:-1])
        separator = b",\n  "
    file.write(b"[]" if separator.startswith(b"[") else b"\n ]")


def read_manifest(folder: Path, *, any_age: bool = False) -> dict[str, Any] | None:
    """The manifest of a folder of images, or None if it has none.

    ``any_age`` also accepts a manifest of an older version, so that the folder can be replaced.

    Raises
    ------
    InputError
        If the folder's run was interrupted, the manifest is damaged, or its version is not
        supported.
    """
    if (folder / JOURNAL).exists() and not (folder / MANIFEST).exists():
        raise InputError(
            f"{folder}: is unfinished because its run was interrupted; "
            "run the same command again to finish it"
        )
    path = folder / MANIFEST
    if not path.exists():
        return None
    manifest = read_json(path)
    if not isinstance(manifest, dict) or "format" not in manifest:
        return None  # another program's manifest.json
    check_record(manifest, path, IMAGES, any_age=any_age)
    listed = are_entries(manifest.get("images"))
    if not listed or not are_failures(manifest.get("failed")):
        raise InputError(f"{path}: is damaged or incomplete: images are not listed as expected")
    return manifest


def record_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The record in a manifest: everything but the lists of images."""
    return {key: value for key, value in manifest.items() if key not in ("images", "failed")}


def refuse_overlap(path: Path, inputs: Iterable[Path]) -> None:
    """Refuse an output that is an input, is inside one, or contains one."""
    output = path.resolve()
    for source in inputs:
        folder = source.resolve()
        if output == folder:
            raise InputError(f"{path}: is the input itself; choose another output")
        if output.is_relative_to(folder) and source.is_dir():
            raise InputError(f"{path}: is inside the input {source}; choose another output")
        if folder.is_relative_to(output):
            raise InputError(f"{path}: contains the input {source}; choose another output")


def _clear(folder: Path) -> bool:
    """Remove an artifact's own files and the subfolders that are then empty.

    Returns False if ``folder`` is not an artifact, finished or unfinished.
    """
    if not (folder / JOURNAL).exists() and not (folder / MANIFEST).exists():
        return False
    Journal.refuse_running(folder / JOURNAL, folder)
    own = [safe_join(folder, name) for name in _own_files(folder)]  # list all before removing any
    try:
        for path in (*own, folder / JOURNAL, folder / MANIFEST):
            if path.is_file() or path.is_symlink():
                path.unlink()
    except OSError as error:
        raise system_error(error, f"{folder}: cannot be overwritten") from error
    remove_temporaries(folder)
    for parent, _, _ in os.walk(folder, topdown=False):
        if Path(parent) != folder:
            try:
                os.rmdir(parent)
            except OSError:
                pass  # not empty: contains files of the user
    return True


def _own_files(folder: Path) -> Iterator[str]:
    if (folder / JOURNAL).exists():
        with (folder / JOURNAL).open("rb") as file:
            for line in file:
                try:
                    entry = json.loads(line)
                except ValueError:
                    return
                yield from _files_of(entry)
    elif (folder / MANIFEST).exists():
        manifest = read_manifest(folder, any_age=True)
        if manifest is None:
            raise InputError(f"{folder}: contains other files; choose an empty or new folder")
        for entry in manifest["images"]:
            yield from _files_of(entry)


def _files_of(entry: Any) -> Iterator[str]:
    for key in ("file", "float_file"):
        if isinstance(entry, dict) and isinstance(entry.get(key), str):
            yield entry[key]
