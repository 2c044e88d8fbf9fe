"""``rsparse purify``: attacked images and a defense in, purified images out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from rsparse.store.inputs import ImageInputs, load_inputs
from rsparse.store.job import Job
from rsparse.store.records import IMAGES, Source
from rsparse.store.treatments import KEYS, Treatments, treatments_of
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
        images = [{key: e[key] for key in KEYS if key in e} for e in entries]
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
    fit = fit_of(run_parameters)
    if fit is not None and masks is not None:
        raise InputError(
            "--masks and --resize-to cannot be used together; masks have the size of the images"
        )
    resources, used = load_resources([defense], dictionaries or {}, run_parameters.seed)
    inputs = load_inputs(paths)
    given = load_inputs([masks]) if masks is not None else None
    digests = {name: source.sha256 for name, source in used.items()}
    detected, of_detection = _detected_in(only_detected)
    job = purify_job(
        inputs, defense, digests, run_parameters, device, given, of_detection=of_detection
    )
    read = [path for path in (*paths, masks, only_detected) if path is not None]
    folder = OutputFolder.open(output, job.identity(), read, overwrite)
    named_masks = None
    if given is not None:  # masks may be edited, so they need not be as the manifest lists them
        named_masks = {mask.name: replace(mask, sha256=None) for mask in given.images}
    images = DefendedImages(defense, resources, device)
    step = PurifyStep(images, named_masks, inputs.labels, output, fit, detected)
    done, resumed, failed = run_images(
        inputs,
        folder.journal,
        step,
        task="purify",
        workers=workers,
        progress=progress,
        folder=output,
        shared_paths=read,
        is_current=step.has_same_mask,
        batch_size=run_parameters.batch_size,
    )
    refuse_all_failed(failed, done + resumed, folder)
    sources = [*inputs.sources(source_digests(folder.journal)), *used.values(), *of_detection]
    if given is not None:
        entries = folder.journal.entries()
        masked = {e["name"]: e["mask_sha256"] for e in entries if "mask_sha256" in e}
        sources += given.sources(masked)
    notes = [] if detected is None else [how_many_cleaned(folder.journal.entries())]
    tell(progress, notes)
    treatments = treatments_of(folder.journal.entries())
    folder.finish(job.record(sources), failed)
    return PurifyOutcome(
        output,
        done,
        resumed,
        failed,
        passed_over=inputs.passed_over,
        notes=notes,
        treatments=treatments,
    )


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
