"""Runs over many images: they can be resumed, use many cores, and survive unusable images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from rsparse.errors import InputError, MachineError
from rsparse.store.files import safe_join, sha256_of, sha256_of_file, write_atomic
from rsparse.store.finding import PassedOver
from rsparse.store.folders import OutputFolder
from rsparse.store.image_list import ImageList
from rsparse.store.images import ImageFile, Pixels, decode_image, encode_png
from rsparse.store.inputs import ImageInputs
from rsparse.store.journal import Entry, Journal
from rsparse.store.lines import to_checked_line
from rsparse.store.pending import remove_leftovers_below
from rsparse.store.syncing import sync_tree
from rsparse.work.progress import SILENT, Progress
from rsparse.work.sizes import ImageWork
from rsparse.work.steps import DEVICE_BATCH_SIZE, ImageStep, entries_of
from rsparse.work.workers import LocalWorkers, Workers


@dataclass
class Outcome:
    """The result of a stage: its artifact, and how many images it did, resumed or failed on.

    ``passed_over`` holds the files among the inputs that look like pictures but were not read.
    ``notes`` are sentences about the inputs, such as where labels come from.
    """

    output: Path
    done: int = 0
    resumed: int = 0
    failed: list[Entry] = field(default_factory=list)
    passed_over: PassedOver = field(default_factory=PassedOver, kw_only=True)
    notes: list[str] = field(default_factory=list, kw_only=True)

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "output": str(self.output),
            "done": self.done,
            "resumed": self.resumed,
            "failed": self.failed,
            "passed_over": self.passed_over.as_json(),
            "notes": self.notes,
        }


def load_image(image: ImageFile) -> tuple[Pixels, str]:
    """The decoded pixels of an image and the SHA-256 of its file."""
    content, digest = image.read_with_digest()
    return decode_image(content, image.path), digest


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
    task: str,
    workers: Workers = LocalWorkers(1),
    batch_size: int = DEVICE_BATCH_SIZE,
    progress: Progress = SILENT,
    folder: Path | None = None,
    shared_paths: Sequence[Path] = (),
    is_current: Callable[[Entry], bool] = lambda entry: True,
) -> tuple[int, int, list[Entry]]:
    """Run ``step`` on all images that are not in the journal yet, and add each result to it.

    Parameters
    ----------
    inputs : ImageInputs
    journal : Journal
    step : ImageStep
    task : str
        Name of the task next to the progress bar.
    workers : Workers
    batch_size : int
        Images that a device works on at a time.
    progress : Progress
    folder : Path, optional
        The folder of the entries' files; an image whose file is missing or changed is done again.
    shared_paths : sequence of Path
        Paths that the step needs in addition to the images and ``folder``: masks, a model.
    is_current : callable
        Further condition for keeping an entry of an earlier run.

    Returns
    -------
    done, resumed : int
    failed : list of entries
        In the order of their names.

    Raises
    ------
    MachineError
        If the machine fails, or no image could be done for lack of memory.
    """
    pending = _without_done(inputs.images, journal, folder, is_current)
    resumed = len(inputs.images) - len(pending)
    work = ImageWork(pending if progress.is_shown else ())
    at_once = 1 if step.device.takes_images else workers.cores(len(pending))
    progress.start(task, len(inputs.images), resumed, work=work.total, at_once=at_once)
    elsewhere = not workers.can_share_device  # each machine forces its own files to disk
    run = _Run(step, journal, progress, work, Recorder(folder if elsewhere else None))
    journal.files_are_durable = run.recorder.folder is not None and resumed == 0
    journals = [journal.path] if folder is not None else []
    try:
        run.do(
            pending,
            workers,
            shared_paths=[*inputs.paths, *shared_paths, *journals],
            batch_size=batch_size,
        )
        run.retry(pending)
        if run.recorder.folder is not None:
            remove_leftovers_below(run.recorder.folder)  # of workers that were killed
    except BaseException:
        journal.close()  # release its lock, so that the same run can be resumed
        raise
    run.failed.sort(key=lambda entry: str(entry["name"]))
    if run.done + resumed == 0 and run.failed and len(run.out_of_memory) == len(run.failed):
        journal.close()
        raise MachineError(run.failed[0]["error"])
    return run.done, resumed, [*inputs.failed, *run.failed]


class Recorded(NamedTuple):
    """What became of some images.

    Attributes
    ----------
    names : list of str
        Of those that are done.
    lines : bytes
        A line of the journal for each of these.
    failed : list of entries
        The others.
    """

    names: list[str]
    lines: bytes
    failed: list[Entry]


@dataclass(frozen=True)
class Recorder:
    """Writes the lines of a journal, where the entries are made.

    Attributes
    ----------
    folder : Path or None
        The folder of the entries' files if they are to be forced to disk before.
    """

    folder: Path | None

    def __call__(self, entries: Sequence[Entry]) -> Recorded:
        done = [entry for entry in entries if "error" not in entry]
        failed = [entry for entry in entries if "error" in entry]
        if self.folder is not None:
            sync_tree(self.folder, [self.folder / entry["file"] for entry in done])
        return Recorded([e["name"] for e in done], b"".join(map(to_checked_line, done)), failed)


class _Run:
    """Adds the entries of images to a journal, and collects those that failed."""

    def __init__(
        self,
        step: ImageStep[Any, Any],
        journal: Journal,
        progress: Progress,
        work: ImageWork,
        recorder: Recorder,
    ) -> None:
        self.step, self.journal, self.progress = step, journal, progress
        self.work, self.recorder = work, recorder
        self.done = 0
        self.failed: list[Entry] = []
        self.out_of_memory: set[str] = set()

    def do(
        self, images: Sequence[ImageFile], workers: Workers, is_last: bool = False, **settings: Any
    ) -> None:
        """Run the step on the images; ``settings`` are those of ``entries_of``.

        Images that run out of memory only count as progress if ``is_last``; ``retry`` comes next.
        """
        for some in entries_of(self.step, images, workers, gather=self.recorder, **settings):
            self.journal.extend(some.names, some.lines)
            self.done += len(some.names)
            for entry in some.failed:
                if entry.pop("out_of_memory", False):
                    self.out_of_memory.add(entry["name"])
                self.failed.append(entry)
            left = set() if is_last else self.out_of_memory
            failed = [entry["name"] for entry in some.failed if entry["name"] not in left]
            names = [*some.names, *failed]
            self.progress.advance(len(names), self.work.of(names))

    def retry(self, images: Sequence[ImageFile]) -> None:
        """Try the images that ran out of memory again, one at a time.

        Several images together may need more memory than there is, but each alone less. The
        result then does not depend on the number of workers.
        """
        if not self.out_of_memory:
            return
        again = [image for image in images if image.name in self.out_of_memory]
        self.failed = [e for e in self.failed if e["name"] not in self.out_of_memory]
        self.out_of_memory.clear()
        self.do(again, LocalWorkers(1), is_last=True, shared_paths=(), batch_size=1)


def _without_done(
    images: Sequence[ImageFile],
    journal: Journal,
    folder: Path | None,
    is_current: Callable[[Entry], bool],
) -> Sequence[ImageFile]:
    """The images that the journal does not hold as they are now."""
    if len(journal) == 0:
        return images
    left = [
        number
        for number, image in enumerate(images)
        if not _is_done(image, journal, folder, is_current)
    ]
    if isinstance(images, ImageList):
        return images.chosen(left)
    return [images[number] for number in left]


def _is_done(
    image: ImageFile, journal: Journal, folder: Path | None, is_current: Callable[[Entry], bool]
) -> bool:
    """Whether the journal holds the image as it is now; if not, drop its entry."""
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


def source_digests(journal: Journal) -> Iterator[tuple[str, str]]:
    """Name and SHA-256 of the images used, in the order of the names."""
    return ((entry["name"], entry["source_sha256"]) for entry in journal.entries())


def refuse_all_failed(failed: Sequence[Entry], done: int, output: OutputFolder | None) -> None:
    """If every image failed, remove the output and raise the first image's error.

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
