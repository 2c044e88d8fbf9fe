"""Certify a folder of images by randomized smoothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rsparse.commands.certify.device import CountOnDevice
from rsparse.commands.certify.outcome import (
    CertifyOutcome,
    refuse_existing_certificates,
    write_certificates,
)
from rsparse.commands.certify.sampling import Blocks, CountClasses, add_up, image_of
from rsparse.core.smoothing import largest_radius
from rsparse.denoisers import Denoiser, parse_denoiser
from rsparse.denoisers.resources import load_resources
from rsparse.errors import InputError
from rsparse.models.onnx.classifier import load_classifier
from rsparse.models.spec import InputOptions
from rsparse.options.certify import CertifyParameters
from rsparse.options.labels import LabelOptions
from rsparse.store.certificates import Certificates, table_of_counts
from rsparse.store.inputs import ImageInputs, load_inputs
from rsparse.store.job import Job
from rsparse.store.journal import Entry, Journal, journal_beside
from rsparse.store.labels import Labels, find_labels
from rsparse.store.records import CERTIFICATES
from rsparse.work.device import Device, choose_device
from rsparse.work.progress import SILENT, Progress, tell
from rsparse.work.runs import refuse_all_failed, run_images
from rsparse.work.steps import OneByOne
from rsparse.work.workers import LocalWorkers, Workers


def certify_images(
    paths: Sequence[Path],
    model: Path,
    output: Path,
    parameters: CertifyParameters,
    input_options: InputOptions | None = None,
    *,
    dictionaries: Mapping[str, Path] | None = None,
    labels: LabelOptions = LabelOptions(),
    workers: Workers = LocalWorkers(),
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> CertifyOutcome:
    """Certify all images in ``paths`` at the classifier's input size.

    Parameters
    ----------
    paths : sequence of Path
        Folders or images.
    model : Path
        The ONNX file.
    output : Path
        A folder for ``certificates.h5``, ``certificates.csv`` and ``certified.png``.
    parameters : CertifyParameters
    input_options : InputOptions, optional
        The model's input, as given by the user.
    dictionaries : mapping of str to Path, optional
        Dictionaries by name, for denoisers that need one.
    labels : LabelOptions
        The file of the correct classes; by default the images' own labels, if any.
    workers, overwrite, progress
        As for every stage.

    Raises
    ------
    InputError
        If an input cannot be used, the output exists, or no image could be certified.
    """
    denoiser = parse_denoiser(parameters.denoiser)
    resources, sources = load_resources(denoiser, dictionaries or {}, parameters.seed)
    path = refuse_existing_certificates(output, overwrite)
    inputs = load_inputs(paths)
    classifier = load_classifier(model, input_options).check()
    classifier.tell(progress)
    _tell_of_few_samples(parameters, progress)
    known_labels = find_labels(inputs, labels, classifier.class_names, classifier.n_classes)
    values = _values(parameters, denoiser, classifier.input_record())
    known = {
        "model": classifier.sha256,
        "images": inputs.names_digest(),
        "dictionaries": {name: source.sha256 for name, source in sources.items()},
    }
    device = choose_device(parameters.device, workers)
    job = Job("certify", CERTIFICATES, values | device.record(), parameters.seed, known)
    step = CountClasses(classifier, denoiser, resources, parameters.sigmas, parameters.seed)
    outcome = CertifyOutcome(
        output,
        denoiser=denoiser.spec,
        label_origin=known_labels.origin,
        passed_over=inputs.passed_over,
        notes=known_labels.sentences(),
    )
    with journal_beside(path, job.identity(), overwrite) as journal:
        _count(outcome, inputs, journal, step, device, parameters, workers, progress, [model])
        tell(progress, outcome.notes)
        digests = _digests(journal, {entry["name"] for entry in outcome.failed})
        found = _certificates(journal, digests, known_labels, step, parameters)
        outcome.certificates = found
        used = [*inputs.sources(digests), classifier.source(), *sources.values()]
        used += known_labels.sources()
        record = job.record(used, computed={"labels": known_labels.origin})
        write_certificates(path, record, found, denoiser.spec, journal)
    return outcome


def _tell_of_few_samples(parameters: CertifyParameters, progress: Progress) -> None:
    if largest_radius(parameters.n, 1.0, parameters.alpha) == 0:
        raise InputError(
            f"n: {parameters.n} samples can certify nothing with alpha {parameters.alpha:g}; "
            "give more"
        )
    if parameters.n < 1000:
        progress.message(f"only {parameters.n} samples, so that radii are small; see --n")


def _values(
    parameters: CertifyParameters, denoiser: Denoiser, input_record: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "sigma": list(parameters.sigmas),
        "denoiser": denoiser.as_record(),
        "n0": parameters.n0,
        "samples": [[parameters.first, parameters.first + parameters.n]],
        "alpha": parameters.alpha,
        "input": dict(input_record),
        **({"codecs": codecs} if (codecs := denoiser.codecs()) else {}),
    }


def _count(
    outcome: CertifyOutcome,
    inputs: ImageInputs,
    journal: Journal,
    step: CountClasses,
    device: Device,
    parameters: CertifyParameters,
    workers: Workers,
    progress: Progress,
    shared_paths: Sequence[Path],
) -> None:
    """Run all blocks, and tell how many images are done; one failed block fails its image."""
    blocks = Blocks(inputs.images, parameters)
    whole = CountOnDevice(step, device) if device.takes_images else OneByOne(step)
    _, resumed, failed = run_images(
        replace(inputs, images=blocks, failed=()),
        journal,
        whole,
        task="certify",
        workers=workers,
        batch_size=1,
        progress=progress,
        shared_paths=shared_paths,
    )
    first: dict[str, Entry] = {}
    for entry in failed:
        name = image_of(entry["name"])
        first.setdefault(name, {**entry, "name": name})
    n_images = len(inputs.images)
    outcome.resumed = resumed * n_images // len(blocks)
    outcome.done = n_images - len(first) - outcome.resumed
    outcome.failed = [*inputs.failed, *first.values()]
    refuse_all_failed(outcome.failed, n_images - len(first), None)


def _digests(journal: Journal, failed: set[str]) -> dict[str, str]:
    """The digests of the files of all images without a failed block, by name."""
    pairs = ((entry["image"], entry["source_sha256"]) for entry in journal.entries())
    return {name: digest for name, digest in sorted(pairs) if name not in failed}


def _certificates(
    journal: Journal,
    digests: Mapping[str, str],
    labels: Labels,
    step: CountClasses,
    parameters: CertifyParameters,
) -> Certificates:
    names = tuple(digests)
    return Certificates(
        names,
        tuple(digests.values()),
        np.array([labels.by_name.get(name, -1) for name in names], np.int64),
        step.classifier.class_names,
        parameters.sigmas,
        table_of_counts(add_up(journal.entries(), names)),
        ((parameters.first, parameters.first + parameters.n),),
        parameters.n0,
        parameters.alpha,
        step.classifier.spec.size,
    )
