"""``rsparse purify``: attacked images and a defense in, purified images out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rsparse.defended.images import DefendedImages
from rsparse.defended.purifying import PurifyStep
from rsparse.defenses import DEFENSES, Defense
from rsparse.defenses.resources import load_resources
from rsparse.errors import InputError
from rsparse.models.fields import read_fit
from rsparse.models.fit import Fit
from rsparse.options.purify import PurifyRunParameters
from rsparse.store.detections import how_many_cleaned, load_detected
from rsparse.store.files import sha256_of_file
from rsparse.store.folders import OutputFolder, read_manifest
from rsparse.store.images import ImageFile
from rsparse.store.inputs import ImageInputs, load_inputs
from rsparse.store.job import Job
from rsparse.store.journal import Journal
from rsparse.store.records import IMAGES, Source
from rsparse.store.treatments import Treatments, told_of, treatments_of
from rsparse.work.device import CPU, Device, choose_device
from rsparse.work.progress import SILENT, Progress, tell
from rsparse.work.runs import Outcome, refuse_all_failed, run_images, source_digests
from rsparse.work.workers import LocalWorkers, Workers

JSON_SCHEMA = "rsparse-purified 1"
"""Name and version of what ``--json`` prints; see docs/formats.md."""


@dataclass
class PurifyOutcome(Outcome):
    """Also tells what was done to the images."""

    treatments: Treatments = field(default_factory=Treatments, kw_only=True)

    def as_json(self) -> dict[str, Any]:
        """For scripts, with what was done to each image as the manifest has it."""
        entries = (read_manifest(self.output) or {"images": ()})["images"]
        images = [told_of(entry) for entry in entries]
        return {
            "schema": JSON_SCHEMA,
            **super().as_json(),
            "treatments": self.treatments.as_json(),
            "images": images,
        }


def purify_images(
    paths: Sequence[Path],
    defense: Defense,
    output: Path,
    *,
    dictionaries: Mapping[str, Path] | None = None,
    masks: Path | None = None,
    only_detected: Path | None = None,
    run_parameters: PurifyRunParameters | None = None,
    workers: Workers = LocalWorkers(),
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> PurifyOutcome:
    """Clean all images in ``paths`` with one defense and write them to the folder ``output``.

    Parameters
    ----------
    paths : sequence of Path
    defense : Defense
    output : Path
    dictionaries : mapping of str to Path, optional
        Files by the names that ``defense`` may use; "" is the default one. Files that it does not
        use are not read.
    masks : Path, optional
        Folder of masks that replace localization.
    only_detected : Path, optional
        ``found.csv`` of ``rsparse detect``: images that it does not list as detected are written as
        they are.
    run_parameters : PurifyRunParameters, optional
        On a GPU there is one process, and the workers' cores decode, localize and encode.
    workers, overwrite, progress
        As for every stage.

    Raises
    ------
    InputError
        If an input cannot be used, the defense lacks a dictionary, the output exists, or no image
        could be cleaned.
    """
    run_parameters = run_parameters or PurifyRunParameters()
    device = _device(defense, run_parameters, masks, workers)
    fit = _fit_without_masks(run_parameters, masks)
    resources, used = load_resources([defense], dictionaries or {}, run_parameters.seed)
    read = _Read.load(paths, masks, only_detected)
    digests = {name: source.sha256 for name, source in used.items()}
    job = purify_job(
        read.images,
        defense,
        digests,
        run_parameters,
        device,
        read.masks,
        of_detection=read.of_detection,
    )
    folder = OutputFolder.open(output, job.identity(), read.paths, overwrite)
    images = DefendedImages(defense, resources, device)
    labels = read.images.labels
    step = PurifyStep(images, read.masks_by_name(), labels, output, fit, read.detected)
    done, resumed, failed = run_images(
        read.images,
        folder.journal,
        step,
        task="purify",
        workers=workers,
        progress=progress,
        folder=output,
        shared_paths=read.paths,
        is_current=step.has_same_mask,
        batch_size=run_parameters.batch_size,
    )
    refuse_all_failed(failed, done + resumed, folder)
    outcome = PurifyOutcome(output, done, resumed, failed, passed_over=read.images.passed_over)
    outcome.treatments = treatments_of(folder.journal.entries())
    if read.detected is not None:
        outcome.notes.append(how_many_cleaned(folder.journal.entries()))
    tell(progress, outcome.notes)
    folder.finish(job.record(read.sources(folder.journal, used.values())), failed)
    return outcome


@dataclass(frozen=True)
class _Read:
    """What a run reads.

    Attributes
    ----------
    images : ImageInputs
    masks : ImageInputs or None
        Masks that replace localization.
    detected : dict of str to bool, or None
        Which images are listed as detected, by SHA-256, if only these are cleaned.
    of_detection : tuple of Source
        The table that lists them.
    paths : list of Path
        Of all these.
    """

    images: ImageInputs
    masks: ImageInputs | None
    detected: dict[str, bool] | None
    of_detection: tuple[Source, ...]
    paths: list[Path]

    @classmethod
    def load(cls, paths: Sequence[Path], masks: Path | None, table: Path | None) -> _Read:
        """Find the images and masks, and read the table."""
        images = load_inputs(paths)
        given = load_inputs([masks]) if masks is not None else None
        read = [path for path in (*paths, masks, table) if path is not None]
        return cls(images, given, *_detected_in(table), read)

    def masks_by_name(self) -> dict[str, ImageFile] | None:
        """The masks; they may be edited, so they need not be as their manifest lists them."""
        if self.masks is None:
            return None
        return {mask.name: replace(mask, sha256=None) for mask in self.masks.images}

    def sources(self, journal: Journal, dictionaries: Iterable[Source]) -> list[Source]:
        """All inputs for the record."""
        sources = [*self.images.sources(source_digests(journal)), *dictionaries]
        sources += self.of_detection
        if self.masks is not None:
            entries = journal.entries()
            used = {e["name"]: e["mask_sha256"] for e in entries if "mask_sha256" in e}
            sources += self.masks.sources(used)
        return sources


def purify_job(
    inputs: ImageInputs,
    defense: Defense,
    dictionaries: Mapping[str, str],
    run_parameters: PurifyRunParameters,
    device: Device,
    masks: ImageInputs | None = None,
    of_detection: Sequence[Source] = (),
) -> Job:
    """The job of cleaning ``inputs`` with a defense.

    Parameters
    ----------
    inputs : ImageInputs
    defense : Defense
    dictionaries : mapping of str to str
        SHA-256 of the dictionaries that the defense uses, by name.
    run_parameters : PurifyRunParameters
    device : Device
        The device that cleans the images.
    masks : ImageInputs, optional
        Masks that replace localization.
    of_detection : sequence of Source
        The table of detected images, if only these are cleaned.
    """
    fit = fit_of(run_parameters)
    values = {
        **recorded_defense(defense, dictionaries, masks is not None, device),
        **device.record(),
        **({} if fit is None else {"size": list(fit.size)}),
        **({} if fit is None or fit.crop is None else {"crop": fit.crop}),
        **({"only_detected": True} if of_detection else {}),
    }
    known: dict[str, Any] = {
        "dictionaries": dict(dictionaries),
        "images": inputs.names_digest(),
        "masks": masks.names_digest() if masks else None,
    }
    if of_detection:
        known["detected"] = [source.sha256 for source in of_detection]
    seed = run_parameters.seed if defense.is_random else None
    return Job("purify", IMAGES, values, seed, known)


def _detected_in(table: Path | None) -> tuple[dict[str, bool] | None, tuple[Source, ...]]:
    """Which images a table lists as detected, by SHA-256, and the table as a source."""
    if table is None:
        return None, ()
    detected, record = load_detected(table)
    return detected, (Source(table.name, sha256_of_file(table), record),)


def _device(
    defense: Defense, run_parameters: PurifyRunParameters, masks: Path | None, workers: Workers
) -> Device:
    """The device that cleans the images; refuses options that cannot be used together."""
    if masks is not None and not defense.takes_mask:
        raise InputError(
            f"--masks: {defense.text} has no object region; give --sparsity K without "
            "--no-localize, or a defense that contains regionsparse without localize=no"
        )
    if not defense.has_device_part:
        if run_parameters.device in ("auto", CPU.name):
            return CPU
        able = " and ".join(name for name, kind in DEFENSES.items() if kind().has_device_part)
        raise InputError(f"--device: {defense.kind} only runs on the cpu; {able} also run on a GPU")
    return choose_device(run_parameters.device, workers)


def _fit_without_masks(run_parameters: PurifyRunParameters, masks: Path | None) -> Fit | None:
    """How images are resized; refuses masks for them."""
    fit = fit_of(run_parameters)
    if fit is not None and masks is not None:
        raise InputError(
            "--masks and --resize-to cannot be used together; masks have the size of the images"
        )
    return fit


def fit_of(run_parameters: PurifyRunParameters) -> Fit | None:
    """How images are resized before cleaning, or ``None``."""
    text = run_parameters.resize_to
    return None if text is None else read_fit(text, "resize-to")


def recorded_defense(
    defense: Defense, digests: Mapping[str, str], has_masks: bool, device: Device
) -> dict[str, Any]:
    """The parameters of the defense for a record, with its dictionaries and codecs.

    Parameters
    ----------
    defense : Defense
    digests : mapping of str to str
        SHA-256 of the dictionaries that the defense uses, by name.
    has_masks : bool
        Whether masks replace localization.
    device : Device
        The device that cleans the images.
    """
    named = {name: digest for name, digest in digests.items() if name}
    codecs = defense.codecs(device)
    return {
        **defense.as_parameters(has_masks),
        **({"dictionaries": named} if named else {}),
        **({"codecs": codecs} if codecs else {}),
    }
