"""Runs over many images: resumable, one bad image at a time, on any number of cores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from rsparse.errors import InputError
from rsparse.store.files import safe_join, sha256_of, sha256_of_file, write_atomic
from rsparse.store.folders import OutputFolder
from rsparse.store.images import ImageFile, Pixels, decode_image, encode_png
from rsparse.store.inputs import ImageInputs
from rsparse.store.journal import Entry, Journal
from rsparse.work.pipeline import Fed, Overlapped
from rsparse.work.progress import SILENT, Progress
from rsparse.work.workers import LocalWorkers, Workers, chunked

BatchStep = Callable[[Sequence[ImageFile]], list[Entry]]
Ready = TypeVar("Ready")
Made = TypeVar("Made")


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


@dataclass(frozen=True)
class OneByOne:
    """A batch step from a function of one image; an unusable image becomes an error entry."""

    step: Callable[[ImageFile], Entry]

    def __call__(self, images: Sequence[ImageFile]) -> list[Entry]:
        entries = []
        for image in images:
            try:
                entries.append(self.step(image))
            except InputError as error:
                entries.append(failure(image, error))
        return entries


class _Held(NamedTuple):
    """An image, and what has become of it so far; an ``InputError`` where it is unusable."""

    image: ImageFile
    found: Any


@dataclass(frozen=True)
class _Loading:
    """Makes images ready; an unusable one holds its error."""

    load: Callable[[ImageFile], Any]

    def __call__(self, images: Sequence[ImageFile]) -> list[_Held]:
        return [self.one(image) for image in images]

    def one(self, image: ImageFile) -> _Held:
        try:
            return _Held(image, self.load(image))
        except InputError as error:
            return _Held(image, error)


@dataclass(frozen=True)
class _Sparing:
    """Works on the usable images of a batch; an unusable one keeps its error."""

    work: Callable[[Sequence[Any]], Sequence[Any]]

    def __call__(self, batch: Sequence[_Held]) -> list[_Held]:
        ready = [held.found for held in batch if not isinstance(held.found, InputError)]
        made = iter(self.work(ready) if ready else ())
        return [
            held if isinstance(held.found, InputError) else held._replace(found=next(made))
            for held in batch
        ]


def _entry(held: _Held, save: Callable[[Any], Entry]) -> Entry:
    """The entry of an image at its end, or its failure."""
    if isinstance(held.found, InputError):
        return failure(held.image, held.found)
    try:
        return save(held.found)
    except InputError as error:
        return failure(held.image, error)


def overlapped(
    load: Callable[[ImageFile], Ready],
    work: Callable[[Sequence[Ready]], Sequence[Made | InputError]],
    save: Callable[[Made], Entry],
    threads: int,
) -> Overlapped[ImageFile, Any, Any, Entry]:
    """Three overlapping parts in which an unusable image becomes an error entry, as ``OneByOne``.

    Parameters
    ----------
    load : callable
        Makes an image ready, in a thread.
    work : callable
        Takes those of a batch that are; for one of them it may give its error.
    save : callable
        Makes an entry, in a thread.
    threads : int
    """
    return Overlapped(_Loading(load).one, _Sparing(work), partial(_entry, save=save), threads)


def fed(
    load: Callable[[ImageFile], Ready],
    work: Callable[[Sequence[Ready]], Sequence[Entry | InputError]],
    together: int,
) -> Fed[ImageFile, Any, Entry]:
    """Work for one device, in which an unusable image becomes an error entry, as ``OneByOne``.

    Parameters
    ----------
    load : callable
        Makes an image ready, in another process; picklable, as what it makes.
    work : callable
        Makes the entries of those that are; for one of them it may give its error.
    together : int
        Images that are worked on at a time.
    """
    sparing = _Sparing(work)

    def entries(batch: Sequence[_Held]) -> list[Entry]:
        return [_entry(held, lambda entry: entry) for held in sparing(batch)]

    return Fed(_Loading(load), entries, together)


def failure(image: ImageFile, error: InputError) -> Entry:
    """The entry of an image that could not be used; the message names its file.

    ``path`` is for people: a manifest leaves it out.
    """
    message = str(error)
    if not message.startswith(str(image.path)):
        message = f"{image.path}: {message}"
    return {"name": image.name, "path": str(image.path), "error": message}


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
    step: BatchStep | Overlapped[ImageFile, Any, Any, Entry] | Fed[ImageFile, Any, Entry],
    *,
    what: str,
    workers: Workers = LocalWorkers(1),
    batch_size: int = 4,
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
    step : callable, Overlapped or Fed
        Takes a batch of images, writes their files, returns an entry for each, which holds
        ``source_sha256`` or, where the image could not be used, ``error``. In three overlapping
        parts it stays in this process; where it is fed, its second part does.
    what : str
        The work's name beside the progress bar.
    workers : Workers
    batch_size : int
        Images handed to ``step`` together.
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
    batches = chunked(pending, batch_size)
    shared_paths = [*inputs.paths, *shared_paths, *([journal.path] if folder is not None else [])]

    def spread(part: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        return workers.map(
            part, items, len(pending), parallel_from=parallel_from, shared_paths=shared_paths
        )

    if isinstance(step, Overlapped):
        results = step.map(batches)
    elif isinstance(step, Fed):
        results = step.map(spread, batches)
    else:
        results = spread(step, batches)
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
