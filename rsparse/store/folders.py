"""Folders of images as artifacts: a journal during the run, ``manifest.json`` at its end.

``manifest.json`` is one JSON object: the record's keys, then ``images`` and ``failed``. ``images``
has one entry per line: ``name``, ``file``, ``sha256`` of the file, ``source_sha256`` of the image
it was made from, ``label`` if known, and the stage's own keys. ``failed`` lists ``name`` and
``error``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rsparse.errors import InputError, system_error, write_error
from rsparse.store.files import holds_files, remove_empty, safe_join
from rsparse.store.journal import Entry, Journal
from rsparse.store.journal_lock import locked
from rsparse.store.lines import from_checked_line
from rsparse.store.manifests import load_manifest, write_manifest
from rsparse.store.pending import JOURNAL, remove_leftovers_below, settle
from rsparse.store.records import Record
from rsparse.store.syncing import sync_folder, sync_tree
from rsparse.store.together import appear_together

__all__ = [
    "JOURNAL",
    "MANIFEST",
    "OutputFolder",
    "is_finished",
    "is_unfinished",
    "read_manifest",
    "record_of",
    "refuse_overlap",
]

MANIFEST = "manifest.json"
REPLACED = (".rsparse-replaced.json", ".rsparse-replaced.jsonl")
"""The manifest or the journal of an artifact whose files are still to be removed."""


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
            manifest or journal are removed; other files stay. The manifest is renamed before, so
            that a folder with a manifest is complete at any time.

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
        if is_finished(path) and not overwrite:
            raise _existing(path)
        goes_on = Journal.is_of(path / JOURNAL, run)
        if overwrite and not goes_on:
            _set_aside(path)
        try:
            taken = path.is_dir() and holds_files(path) and not is_unfinished(path)
        except OSError as error:
            raise system_error(error, f"{path}: cannot be read") from error
        if taken:
            raise InputError(f"{path}: contains other files; choose an empty or new folder")
        journal = Journal.open(path / JOURNAL, run, path)
        try:
            if not overwrite and (path / MANIFEST).exists():  # another run has finished in between
                journal.close(finished=True)
                raise _existing(path)
            _remove_replaced(path)
        except BaseException:
            journal.close()
            raise
        if goes_on:
            remove_leftovers_below(path)
        return cls(path, journal)

    def finish(
        self, record: Record, failed: list[Entry], other: OutputFolder | None = None
    ) -> None:
        """Write the manifest and delete the journal; the folder is then a finished artifact.

        All files are forced to disk before. ``other``, a folder with the same record, is finished
        together with this one.
        """
        folders = [self] if other is None else [other, self]
        is_finished = False
        try:
            with appear_together(self.path / MANIFEST, self.journal) as members:
                for folder in folders:
                    folder._sync()
                    with members.create(folder.path / MANIFEST) as temporary:
                        write_manifest(temporary, record, failed, folder.journal.texts())
            is_finished = True
        finally:
            for folder in folders:
                folder.journal.close(finished=is_finished)

    def _sync(self) -> None:
        if self.journal.files_are_durable:
            return
        try:
            files = (self.path / entry["file"] for entry in self.journal.entries())
            sync_tree(self.path, files)
        except OSError as error:
            raise write_error(error, f"{error.filename or self.path}: cannot be written") from error

    def abandon(self) -> None:
        """Close the journal; if the run wrote nothing, delete it and the empty folders."""
        is_empty = len(self.journal) == 0 and not holds_files(self.path, besides=JOURNAL)
        self.journal.close(finished=is_empty)
        if is_empty:
            remove_empty(self.path)


def is_finished(folder: Path) -> bool:
    """Whether a folder is a finished artifact.

    If its run was killed among the last steps, they are made first.
    """
    journal = folder / JOURNAL
    settle(journal)
    if not (folder / MANIFEST).exists():
        return False
    if journal.exists():  # the run was killed before it could remove it
        with locked(journal, folder):
            journal.unlink(missing_ok=True)
    return True


def _existing(folder: Path) -> InputError:
    return InputError(f"{folder}: exists; choose another output or pass --overwrite")


def is_unfinished(folder: Path) -> bool:
    """Whether a folder holds an unfinished run, or an artifact that is being replaced."""
    return any((folder / name).exists() for name in (JOURNAL, *REPLACED))


def read_manifest(folder: Path, *, any_age: bool = False) -> dict[str, Any] | None:
    """The manifest of a folder of images, or None if it has none.

    ``any_age`` also accepts a manifest of an older version, so that the folder can be replaced.

    Raises
    ------
    InputError
        If the folder's run was interrupted, the manifest is damaged, or its version is not
        supported.
    """
    settle(folder / JOURNAL)
    if is_unfinished(folder) and not (folder / MANIFEST).exists():
        raise InputError(
            f"{folder}: is unfinished because its run was interrupted; "
            "run the same command again to finish it"
        )
    path = folder / MANIFEST
    return load_manifest(path, any_age=any_age) if path.exists() else None


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


def _set_aside(folder: Path) -> None:
    """Rename the manifest or the journal of an artifact, whose files are then to be removed."""
    with locked(folder / JOURNAL, folder):
        for name, replaced in zip((MANIFEST, JOURNAL), REPLACED, strict=True):
            if not (folder / name).exists():
                continue
            if name == JOURNAL:
                _remove_replaced(folder)  # that run was killed before it did
            _own_files(folder, folder / name)  # refuses what is not ours before anything changes
            try:
                os.replace(folder / name, folder / replaced)
                sync_folder(folder)
            except OSError as error:
                raise write_error(error, f"{folder}: cannot be overwritten") from error


def _remove_replaced(folder: Path) -> None:
    """Remove the files of an artifact that is being replaced, and the folders then empty."""
    for name in REPLACED:
        if not (folder / name).exists():
            continue
        try:
            for path in _own_files(folder, folder / name):
                if path.is_file() or path.is_symlink():
                    path.unlink()
            remove_leftovers_below(folder)
            remove_empty(folder)
            (folder / name).unlink()
        except OSError as error:
            raise write_error(error, f"{folder}: cannot be overwritten") from error


def _own_files(folder: Path, listing: Path) -> list[Path]:
    """The files of an artifact, as its manifest or journal lists them."""
    if listing.suffix == ".jsonl":
        names = [name for entry in _lines(listing) for name in _files_of(entry)]
    else:
        manifest = load_manifest(listing, any_age=True)
        if manifest is None:
            raise InputError(f"{folder}: contains other files; choose an empty or new folder")
        names = [name for entry in manifest["images"] for name in _files_of(entry)]
    return [safe_join(folder, name) for name in names]


def _lines(journal: Path) -> Iterator[Entry]:
    with journal.open("rb") as file:
        for line in file:
            entry = from_checked_line(line)
            if entry is None:
                return
            yield entry


def _files_of(entry: Any) -> Iterator[str]:
    for key in ("file", "float_file"):
        if isinstance(entry, dict) and isinstance(entry.get(key), str):
            yield entry[key]
