"""Runs over many images: resumable, one bad image at a time, on any number of cores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rsparse.errors import InputError
from rsparse.store.files import safe_join, sha256_of, sha256_of_file, write_atomic
from rsparse.store.folders import OutputFolder
from rsparse.store.images import ImageFile, Pixels, decode_image, encode_png
from rsparse.store.inputs import ImageInputs
from rsparse.store.journal import Entry, Journal
from rsparse.work.progress import SILENT, Progress
from rsparse.work.steps import TOGETHER, ImageStep, entries_of
from rsparse.work.workers import LocalWorkers, Workers


@dataclass
class Outcome:
    """What a stage did: its artifact, and how many images were done, taken over, or failed."""

    output: Path
    done: int = 0
    resumed: int = 0
    failed: list[Entry] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "output": str(self.output),
            "done": self.done,
            "resumed": self.resumed,
            "failed": self.failed,
        }


def load_image(image: ImageFile) -> tuple[Pixels, str]:
    """The decoded pixels of an image and the SHA-256 of its file."""
    content = image.read()
    return decode_image(content, image.path), sha256_of(content)


def save_png(folder: Path, name: str, pixels: Pixels) -> Entry:
    """Write ``folder/name.png`` and return the start of its manifest entry."""
    content = encode_png(pixels)
    file = f"{name}.png"
    write_atomic(safe_join(folder, file), content, durable=False)
    return {"name": name, "file": file, "sha256": sha256_of(content)}


def run_images(
    inputs: ImageInputs,
    journal: Journal,
    step: ImageStep[Any, Any],
    *,
    what: str,
    workers: Workers = LocalWorkers(1),
    batch_size: int = 4,
    together: int = TOGETHER,
    parallel_from: int = 32,
    progress: Progress = SILENT,
    folder: Path | None = None,
    shared_paths: Sequence[Path] = (),
    is_current: Callable[[Entry], bool] = lambda entry: True,
) -> tuple[int, int, list[Entry]]:
    """Do ``step`` for all images that the journal does not hold yet, and note each result.

    Parameters
    ----------
    inputs : ImageInputs
    journal : Journal
    step : ImageStep
    what : str
        The work's name beside the progress bar.
    workers : Workers
    batch_size : int
        Images handed to a process at a time.
    together : int
        Images that a device works on at a time.
    parallel_from : int
        Images from which starting processes pays, where that is left open.
    progress : Progress
    folder : Path, optional
        Where the entries' files lie; an entry whose file has gone or changed is done again.
    shared_paths : sequence of Path
        What the step needs besides the images and ``folder``: masks, a model.
    is_current : callable
        What else an entry of an earlier run has to fulfil, so that it is not done again.

    Returns
    -------
    done, resumed : int
    failed : list of entries
    """
    pending = [image for image in inputs.images if not _is_done(image, journal, folder, is_current)]
    resumed = len(inputs.images) - len(pending)
    progress.start(what, len(inputs.images), resumed)
    done, failed = 0, []
    journals = [journal.path] if folder is not None else []
    results = entries_of(
        step,
        pending,
        workers,
        parallel_from=parallel_from,
        shared_paths=[*inputs.paths, *shared_paths, *journals],
        batch_size=batch_size,
        together=together,
    )
    try:
        for entries in results:
            for entry in entries:
                if "error" in entry:
                    failed.append(entry)
                else:
                    journal.add(entry)
                    done += 1
            progress.advance(len(entries))
    except BaseException:
        journal.close()  # and its lock, so that the same run can go on
        raise
    return done, resumed, failed


def _is_done(
    image: ImageFile, journal: Journal, folder: Path | None, is_current: Callable[[Entry], bool]
) -> bool:
    """Whether the journal holds the image as it is now; forgets it otherwise."""
    if image.name not in journal:
        return False
    entry = journal[image.name]
    try:
        done = entry.get("source_sha256") == sha256_of_file(image.path) and is_current(entry)
        if folder is not None:
            written = sha256_of_file(safe_join(folder, str(entry.get("file"))))
            done = done and entry.get("sha256") == written
    except InputError:
        done = False
    if not done:
        journal.drop(image.name)
    return done


def source_digests(journal: Journal) -> dict[str, str]:
    """SHA-256 of the images that were used, by name."""
    return {entry["name"]: entry["source_sha256"] for entry in journal.entries()}


def refuse_all_failed(failed: Sequence[Entry], done: int, output: OutputFolder | None) -> None:
    """Where not one image could be used, leave nothing behind and say why.

    Raises
    ------
    InputError
        With the first image's message.
    """
    if done == 0 and failed:
        if output is not None:
            output.abandon()
        more = f" (and {len(failed) - 1} more failed)" if len(failed) > 1 else ""
        raise InputError(failed[0]["error"] + more)
