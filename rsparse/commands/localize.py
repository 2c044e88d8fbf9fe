"""``rsparse localize``: images in, masks of the object region out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rsparse.core.localization import draw_outline, locate_object
from rsparse.errors import InputError
from rsparse.options.localize import LocalizeParameters
from rsparse.store.folders import OutputFolder, is_finished
from rsparse.store.images import ImageFile
from rsparse.store.inputs import ImageInputs, load_inputs
from rsparse.store.job import Job
from rsparse.store.journal import Entry
from rsparse.store.records import IMAGES
from rsparse.work.progress import SILENT, Progress
from rsparse.work.runs import (
    Outcome,
    load_image,
    refuse_all_failed,
    run_images,
    save_png,
    source_digests,
)
from rsparse.work.steps import OneByOne
from rsparse.work.workers import LocalWorkers, Workers


@dataclass(frozen=True)
class LocalizeStep:
    """Writes one image's mask and optionally the image with the mask's outline."""

    parameters: LocalizeParameters
    labels: Mapping[str, int]
    output: Path
    overlay: Path | None

    def __call__(self, image: ImageFile) -> Entry:
        pixels, digest = load_image(image)
        mask, found = locate_object(pixels, self.parameters)
        area = round(float(mask.mean()), 6)
        entry = save_png(self.output, image.name, mask.astype(np.uint8) * 255)
        entry |= {"source_sha256": digest, "found": found, "area": area}
        if image.name in self.labels:
            entry["label"] = self.labels[image.name]
        if self.overlay is not None:
            picture = save_png(self.overlay, image.name, draw_outline(pixels, mask))
            entry["overlay_sha256"] = picture["sha256"]
        return entry

    def has_picture(self, entry: Entry) -> bool:
        """Whether an entry's picture exists, if pictures are drawn."""
        return self.overlay is None or (self.overlay / entry["file"]).exists()


@dataclass
class LocalizeOutcome(Outcome):
    """Also holds the mean share of the image that the region covers."""

    mean_area: float = 0.0
    not_found: int = 0

    def as_json(self) -> dict[str, object]:
        """For scripts."""
        return {**super().as_json(), "mean_area": self.mean_area, "not_found": self.not_found}


def localize_images(
    paths: Sequence[Path],
    output: Path,
    parameters: LocalizeParameters,
    *,
    overlay: Path | None = None,
    workers: Workers = LocalWorkers(),
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> LocalizeOutcome:
    """Write a mask (0 and 255, one channel) for each image, and pictures into ``overlay``.

    Raises
    ------
    InputError
        If an input cannot be used, the output exists, or no image could be read.
    """
    inputs = load_inputs(paths)
    job, of_pictures = _jobs(inputs, parameters, overlay is not None)
    if overlay is not None:  # a run may have been killed when it had finished both
        for place in (output, overlay):
            is_finished(place)
    folder = OutputFolder.open(output, job.identity(), paths, overwrite)
    pictures = None
    if overlay is not None:
        try:
            if overlay.resolve() == output.resolve():
                raise InputError(f"{overlay}: is the folder of the masks; name another overlay")
            taken = [*paths, output]
            pictures = OutputFolder.open(overlay, of_pictures.identity(), taken, overwrite)
        except InputError:
            folder.abandon()
            raise
    step = LocalizeStep(parameters, inputs.labels, output, overlay)
    done, resumed, failed = run_images(
        inputs,
        folder.journal,
        OneByOne(step),
        task="localize",
        workers=workers,
        progress=progress,
        folder=output,
        is_current=step.has_picture,
        shared_paths=[] if pictures is None else [pictures.journal.path],
    )
    if pictures is not None and done + resumed == 0:
        pictures.abandon()
    refuse_all_failed(failed, done + resumed, folder)
    entries = list(folder.journal.entries())
    record = job.record(inputs.sources(source_digests(folder.journal)))
    if pictures is not None:
        for entry in entries:
            pictures.journal.add({**entry, "sha256": entry["overlay_sha256"]})
    folder.finish(record, failed, pictures)
    area = float(np.mean([entry["area"] for entry in entries]))
    not_found = sum(not entry["found"] for entry in entries)
    return LocalizeOutcome(
        output, done, resumed, failed, area, not_found, passed_over=inputs.passed_over
    )


def _jobs(inputs: ImageInputs, parameters: LocalizeParameters, draws: bool) -> tuple[Job, Job]:
    """The job of the masks, and that of the optional pictures."""
    values, images = parameters.as_record(), inputs.names_digest()
    return (
        Job("localize", IMAGES, values, known={"images": images, "overlay": draws}),
        Job("localize", IMAGES, values, known={"images": images, "overlay": "of"}),
    )
