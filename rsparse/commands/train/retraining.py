"""``rsparse train`` with its purified images, which the purify stage makes for each defense.

The images are purified at the model's input size, as in an evaluation, because the same K has a
different effect on a larger image. Each defense has a folder, an artifact as ``rsparse purify``
writes it. With a cache, the folders are kept there and other trainings reuse them; without one,
they are hidden next to the output and removed after the training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from rsparse.commands.purify import purify_images, purify_job
from rsparse.commands.train.run import TrainOutcome, discard_purified, purified_beside
from rsparse.commands.train.train import check_training, train_model
from rsparse.defenses import Defense, defense_text
from rsparse.defenses.resources import load_resources
from rsparse.errors import InputError, as_text
from rsparse.models.spec import InputOptions
from rsparse.options.labels import LabelOptions
from rsparse.options.purify import PurifyRunParameters
from rsparse.options.train import TrainParameters
from rsparse.store.folders import is_finished, read_manifest, record_of
from rsparse.store.inputs import load_inputs
from rsparse.store.job import Job
from rsparse.store.journal import Entry
from rsparse.store.records import Source
from rsparse.store.sole_writer import sole_writer
from rsparse.training.adversaries import ADVERSARIAL, THROUGH, AdversarialDefenses
from rsparse.training.samples import CLEAN
from rsparse.work.device import CPU, Device, choose_device
from rsparse.work.progress import SILENT, Progress
from rsparse.work.workers import LocalWorkers, Workers


def purify_and_train(
    paths: Sequence[Path],
    model: Path,
    output: Path,
    parameters: TrainParameters,
    input_options: InputOptions | None = None,
    *,
    defenses: Sequence[Defense] = (),
    dictionaries: Mapping[str, Path] | None = None,
    adversarial_defenses: Sequence[Defense] = (),
    through: Sequence[Defense] = (),
    purified: Sequence[Path] = (),
    cache: Path | None = None,
    labels: LabelOptions = LabelOptions(),
    plot: Path | None = None,
    workers: Workers = LocalWorkers(),
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> TrainOutcome:
    """Purify the images with each defense, once, and retrain a classifier on all versions.

    Parameters
    ----------
    paths, model, output, parameters, input_options, labels, plot, workers, overwrite, progress
        As for ``train_model``.
    defenses : sequence of Defense
    dictionaries : mapping of str to Path, optional
        Files by the names that the defenses use; "" is the default one.
    adversarial_defenses : sequence of Defense
        The defenses that purify adversarial images, one version per defense; none by default.
    through : sequence of Defense
        Defenses through which adversarial images are made, and which then purify them; one version
        per defense.
    purified : sequence of Path
        Folders of images that are already purified.
    cache : Path, optional
        Folder for the purified images.

    Raises
    ------
    InputError
        If an input cannot be used, options cannot be used together, or an output exists.
    """
    _refuse_unused(parameters, defenses, purified, cache)
    run_parameters = PurifyRunParameters(seed=parameters.seed)
    with_dictionaries = AdversarialDefenses(adversarial_defenses, dictionaries or {}, through)
    settings: dict[str, Any] = {
        "adversarial_defenses": with_dictionaries,
        "labels": labels,
        "plot": plot,
        "overwrite": overwrite,
    }
    if defenses:
        fit = check_training(paths, model, output, parameters, input_options, **settings)
        run_parameters = replace(run_parameters, resize_to=fit.text)
    device = choose_device(parameters.device, for_gradients=True)
    own = purified_beside(output)
    with sole_writer(own, output) if defenses and cache is None else nullcontext():
        folders: dict[str, Path] = {}
        failed: dict[str, Entry] = {}
        for defense in defenses:
            text = defense_text(defense)
            folders[text] = (cache or own) / text
            failures = purify_once(
                paths,
                defense,
                folders[text],
                dictionaries or {},
                replace(run_parameters, device=purifying_device(defense, device, workers).name),
                workers=workers,
                overwrite=overwrite or cache is None,
                progress=progress,
            )
            failed |= {entry["name"]: entry for entry in failures}
        outcome = train_model(
            paths,
            model,
            output,
            parameters,
            input_options,
            purified=_named_versions(folders, purified),
            workers=workers,
            progress=progress,
            **settings,
        )
        outcome.failed = [failed.get(entry["name"], entry) for entry in outcome.failed]
        discard_purified(output)
    return outcome


def _refuse_unused(
    parameters: TrainParameters,
    defenses: Sequence[Defense],
    purified: Sequence[Path],
    cache: Path | None,
) -> None:
    """Refuse purified images, or a cache for them, that the training would not use."""
    if (defenses or purified) and not parameters.is_purified:
        option = "--defense" if defenses else "--purified-images"
        raise InputError(f"{option}: --train-on {parameters.train_on} uses no purified images")
    if cache is not None and not defenses:
        raise InputError("--purified-cache: stores images that --defense makes; add --defense SPEC")


def purifying_device(defense: Defense, device: Device, workers: Workers) -> Device:
    """The device that purifies images for a training on ``device``: the same one if possible.

    It is the CPU if the defense has no GPU code or the workers are on other machines.
    """
    if not (defense.has_device_part and workers.can_share_device):
        return CPU
    return device.for_images()


def purify_once(
    paths: Sequence[Path],
    defense: Defense,
    place: Path,
    dictionaries: Mapping[str, Path],
    run_parameters: PurifyRunParameters,
    *,
    workers: Workers = LocalWorkers(),
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> list[Entry]:
    """Make a folder of purified images, unless an up-to-date one exists.

    Parameters
    ----------
    paths, defense, dictionaries, run_parameters, workers, progress
        As for ``purify_images``.
    place : Path
        The folder.
    overwrite : bool
        Replace a folder with other inputs or parameters.

    Returns
    -------
    list of Entry
        The images that failed; empty if the folder is reused.

    Raises
    ------
    InputError
        As ``purify_images`` does.
    """
    if is_finished(place):
        job, record, sources = _expected_and_existing(
            place, paths, defense, dictionaries, run_parameters
        )
        if job.matches(record, sources):
            return []
        if not overwrite:
            otherwise = "was purified from other images, or with another dictionary or device"
            job.require_match(place, record, sources, otherwise)
    outcome = purify_images(
        paths,
        defense,
        place,
        dictionaries=dictionaries,
        run_parameters=run_parameters,
        workers=workers,
        overwrite=overwrite,
        progress=progress,
    )
    return outcome.failed


def _expected_and_existing(
    place: Path,
    paths: Sequence[Path],
    defense: Defense,
    dictionaries: Mapping[str, Path],
    run_parameters: PurifyRunParameters,
) -> tuple[Job, dict[str, Any], list[Source]]:
    """The expected job, the record of the existing folder, and the current inputs.

    The inputs do not include images that could not be purified.
    """
    manifest = read_manifest(place, any_age=True)
    if manifest is None:
        raise InputError(f"{place}: contains other files; choose an empty or new folder")
    inputs = load_inputs(paths)
    digests = inputs.digests(without=[entry["name"] for entry in manifest["failed"]])
    _, used = load_resources([defense], dictionaries, run_parameters.seed)
    device = purifying_device(defense, choose_device(run_parameters.device), LocalWorkers())
    used_digests = {name: source.sha256 for name, source in used.items()}
    job = purify_job(inputs, defense, used_digests, run_parameters, device)
    return job, record_of(manifest), [*inputs.sources(digests), *used.values()]


def _named_versions(made: Mapping[str, Path], purified: Sequence[Path]) -> dict[str, Path]:
    """All purified versions by name: the text of a defense, or the name of a folder."""
    versions = dict(made)
    for folder in purified:
        name = as_text(folder.resolve().name)
        reserved = name.startswith((f"{ADVERSARIAL}+", f"{THROUGH}+"))
        if name in versions or name in (CLEAN, ADVERSARIAL) or reserved:
            raise InputError(f"{folder}: another version is named {name!r}; rename the folder")
        versions[name] = folder
    return versions
