"""Measure the scores of the images in a folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rsparse.commands.detect.setup import DetectorSetup
from rsparse.detection.detector import Detector, ViewedImage
from rsparse.errors import InputError, attempt
from rsparse.store.images import ImageFile
from rsparse.store.inputs import ImageInputs
from rsparse.store.journal import Entry, Journal
from rsparse.store.records import Source
from rsparse.work.device import Device
from rsparse.work.progress import SILENT, Progress
from rsparse.work.runs import Outcome, load_image, refuse_all_failed, run_images, source_digests
from rsparse.work.steps import ImageStep
from rsparse.work.workers import LocalWorkers, Workers

Size = tuple[int, int]


class LoadedImage(NamedTuple):
    """An image that is ready to be measured."""

    image: ImageFile
    digest: str
    size: Size
    viewed: ViewedImage


class MeasuredImage(NamedTuple):
    """An image and its scores."""

    loaded: LoadedImage
    scores: tuple[float, ...]


@dataclass(frozen=True)
class MeasureStep(ImageStep[LoadedImage, MeasuredImage]):
    """Measures the scores of an image."""

    detector: Detector

    @property
    def device(self) -> Device:
        return self.detector.device

    def load(self, image: ImageFile) -> LoadedImage:
        pixels, digest = load_image(image)
        viewed = self.detector.prepare(pixels)
        rows, columns = viewed.image.shape[:2]
        return LoadedImage(image, digest, (rows, columns), viewed)

    def work(self, batch: Sequence[LoadedImage]) -> list[MeasuredImage | InputError]:
        measured = [attempt(self.detector.measure, item.viewed) for item in batch]
        return [
            scores if isinstance(scores, InputError) else MeasuredImage(item, scores)
            for item, scores in zip(batch, measured, strict=True)
        ]

    def save(self, output: MeasuredImage) -> Entry:
        """Return the image's journal entry; no file is written."""
        loaded, scores = output
        entry = {"name": loaded.image.name, "source_sha256": loaded.digest}
        return {**entry, "size": list(loaded.size), "scores": list(scores)}


@dataclass(frozen=True)
class MeasuredFolder:
    """The images of one or several folders, with their scores.

    Attributes
    ----------
    outcome : Outcome
        How many were measured or failed; its output has no meaning.
    digests : dict of str to str
        SHA-256 of the images' files by name, in the order of the names.
    scores : float64 array of shape (n, k)
    size : (int, int)
        The most frequent height and width.
    sources : tuple of Source
    """

    outcome: Outcome
    digests: dict[str, str]
    scores: NDArray[np.float64]
    size: Size
    sources: tuple[Source, ...]


def measure_folder(
    inputs: ImageInputs,
    setup: DetectorSetup,
    journal: Journal,
    *,
    task: str,
    batch_size: int,
    workers: Workers = LocalWorkers(),
    progress: Progress = SILENT,
) -> MeasuredFolder:
    """Measure all images of ``inputs``; finished ones are in ``journal``.

    Raises
    ------
    InputError
        If no image could be measured.
    """
    done, resumed, failed = run_images(
        inputs,
        journal,
        MeasureStep(setup.detector),
        task=task,
        workers=workers,
        progress=progress,
        shared_paths=setup.paths,
        batch_size=batch_size,
    )
    refuse_all_failed(failed, done + resumed, None)
    digests, scores, sizes = {}, [], Counter[Size]()
    for entry in journal.entries():
        digests[entry["name"]] = entry["source_sha256"]
        scores.append(entry["scores"])
        sizes[tuple(entry["size"])] += 1
    outcome = Outcome(Path("-"), done, resumed, failed, passed_over=inputs.passed_over)
    sources = inputs.sources(source_digests(journal))
    (size, _), *_ = sizes.most_common(1)
    return MeasuredFolder(outcome, digests, np.array(scores, dtype=np.float64), size, sources)
