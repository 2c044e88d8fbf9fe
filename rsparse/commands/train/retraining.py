"""``rsparse train`` with its purified images: each defense's made by the purify stage, and kept.

They are purified at the model's input size, as evaluations do: the same K means another thing to a
larger picture.
They lie in a folder for each defense, an artifact as ``rsparse purify`` writes it: below the
cache where one is named, so that other trainings take them up, else hidden beside the output
until the training is done.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rsparse.commands.purify import purify_images, purify_job
from rsparse.commands.train.run import TrainOutcome
from rsparse.commands.train.train import check_training, train_model
from rsparse.defenses import Defense, defense_text
from rsparse.defenses.resources import load_resources
from rsparse.errors import InputError
from rsparse.models.spec import InputOptions
from rsparse.options.purify import PurifyRunParameters
from rsparse.options.train import TrainParameters
from rsparse.store.folders import MANIFEST, read_manifest, record_of
from rsparse.store.inputs import load_inputs
from rsparse.store.job import Job
from rsparse.store.journal import Entry
from rsparse.store.records import Source
from rsparse.training.adversaries import ADVERSARIAL, AdversarialDefenses
from rsparse.training.samples import CLEAN
from rsparse.work.device import CPU, Device, choose_device
from rsparse.work.progress import SILENT, Progress
from rsparse.work.workers import LocalWorkers, Workers


def train_on(
    paths: Sequence[Path],
    model: Path,
    output: Path,
    parameters: TrainParameters,
    input_options: InputOptions | None = None,
    *,
    defenses: Sequence[Defense] = (),
    dictionaries: Mapping[str, Path] | None = None,
    adversarial_defenses: Sequence[Defense] = (),
    purified: Sequence[Path] = (),
    cache: Path | None = None,
    labels: Path | None = None,
    plot: Path | None = None,
    workers: Workers = LocalWorkers(),
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> TrainOutcome:
    """Purify the images by each defense, once, and retrain a classifier on all versions.

    Parameters
    ----------
    paths, model, output, parameters, input_options, labels, plot, workers, overwrite, progress
        As for ``train_model``.
    defenses : sequence of Defense
    dictionaries : mapping of str to Path, optional
        Files by the names that the defenses ask for; "" is the default one.
    adversarial_defenses : sequence of Defense
        The defenses that purify adversarial images, one version for each; none by default.
    purified : sequence of Path
        Folders of images that are already purified.
    cache : Path, optional
        Folder in which to keep the purified images.

    Raises
    ------
    InputError
        If an input cannot be used, options contradict each other, or an output is taken.
    """
    if (defenses or purified) and not parameters.is_purified:
        option = "--defense" if defenses else "--purified-images"
        raise InputError(f"{option}: --train-on {parameters.train_on} shows no purified images")
    if cache is not None and not defenses:
        raise InputError("--purified-cache: keeps what --defense makes; name a defense")
    run_parameters = PurifyRunParameters(seed=parameters.seed)
    with_dictionaries = AdversarialDefenses(adversarial_defenses, dictionaries or {})
    if defenses:
        height, width = check_training(
            paths,
            model,
            output,
            parameters,
            input_options,
            adversarial_defenses=with_dictionaries,
            labels=labels,
            plot=plot,
            overwrite=overwrite,
        )
        run_parameters = replace(run_parameters, resize_to=f"{height}x{width}")
    hidden = output.with_name(f".{output.name}.rsparse-purified")
    made, failed = {}, {}
    device = choose_device(parameters.device, for_gradients=True)
    for defense in defenses:
        text = defense_text(defense)
        place = (cache or hidden) / text
        made[text] = place
        run_parameters = replace(
            run_parameters, device=purifying_device(defense, device, workers).name
        )
        for entry in purify_once(
            paths,
            defense,
            place,
            dictionaries or {},
            run_parameters,
            workers=workers,
            overwrite=overwrite or cache is None,
            progress=progress,
        ):
            failed[entry["name"]] = entry
    outcome = train_model(
        paths,
        model,
        output,
        parameters,
        input_options,
        purified=_all(made, purified),
        adversarial_defenses=with_dictionaries,
        labels=labels,
        plot=plot,
        workers=workers,
        overwrite=overwrite,
        progress=progress,
    )
    outcome.failed = [failed.get(entry["name"], entry) for entry in outcome.failed]
    shutil.rmtree(hidden, ignore_errors=True)
    return outcome


def purifying_device(defense: Defense, device: Device, workers: Workers) -> Device:
    """Where images are purified for a training on ``device``: there, if it can be.

    It is the CPU for a defense that no GPU computes, and where other machines purify.
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
    """Make a folder of purified images, unless it lies there, made so from the same files.

    Parameters
    ----------
    paths, defense, dictionaries, how, workers, progress
        As for ``purify_images``.
    place : Path
        The folder.
    overwrite : bool
        Replace one that was made otherwise.

    Returns
    -------
    list of Entry
        The images that failed, where they were purified now.

    Raises
    ------
    InputError
        As ``purify_images`` does.
    """
    if (place / MANIFEST).exists():
        job, record, sources = _made_and_wanted(place, paths, defense, dictionaries, run_parameters)
        if job.matches(record, sources):
            return []
        if not overwrite:
            otherwise = "was purified from other images, or by another dictionary or device"
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


def _made_and_wanted(
    place: Path,
    paths: Sequence[Path],
    defense: Defense,
    dictionaries: Mapping[str, Path],
    run_parameters: PurifyRunParameters,
) -> tuple[Job, dict[str, Any], list[Source]]:
    """The job of purifying, the record of the folder that lies there, and the inputs as they are.

    An image that could not be purified is no part of the inputs.
    """
    manifest = read_manifest(place, any_age=True)
    if manifest is None:
        raise InputError(f"{place}: holds other files; choose an empty or new folder")
    inputs = load_inputs(paths)
    digests = inputs.digests(without=[entry["name"] for entry in manifest["failed"]])
    _, used = load_resources([defense], dictionaries, run_parameters.seed)
    device = purifying_device(defense, choose_device(run_parameters.device), LocalWorkers())
    used_digests = {name: source.sha256 for name, source in used.items()}
    job = purify_job(inputs, defense, used_digests, run_parameters, device)
    return job, record_of(manifest), [*inputs.sources(digests), *used.values()]


def _all(made: Mapping[str, Path], purified: Sequence[Path]) -> dict[str, Path]:
    """All purified versions by what they are called: a defense's text, a folder's name."""
    versions = dict(made)
    for folder in purified:
        name = folder.resolve().name
        if name in versions or name in (CLEAN, ADVERSARIAL) or name.startswith(f"{ADVERSARIAL}+"):
            raise InputError(f"{folder}: another version is called {name!r}; rename the folder")
        versions[name] = folder
    return versions
