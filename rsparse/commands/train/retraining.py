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

from rsparse.commands.purify import purify_images, recorded_defense, sides_of
from rsparse.commands.train.run import TrainOutcome
from rsparse.commands.train.train import check_training, train_model
from rsparse.defenses import Defense, defense_text
from rsparse.errors import InputError
from rsparse.models.spec import InputOptions
from rsparse.options.purify import PurifyRunParameters
from rsparse.options.train import TrainParameters
from rsparse.store.files import sha256_of_file
from rsparse.store.folders import MANIFEST, read_manifest
from rsparse.store.inputs import load_inputs
from rsparse.store.journal import Entry
from rsparse.training.adversaries import ADVERSARIAL, Behind
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
        What adversarial images are shown behind, a version for each; else they are shown as they
        are.
    purified : sequence of Path
        Folders of purified images that are there already.
    cache : Path, optional
        Folder in which the purified images stay.

    Raises
    ------
    InputError
        If an input cannot be used, options contradict each other, or an output is taken.
    """
    if (defenses or purified) and not parameters.is_purified:
        option = "--defense" if defenses else "--purified"
        raise InputError(f"{option}: --on {parameters.on} shows no purified images")
    if cache is not None and not defenses:
        raise InputError("--cache: keeps what --defense makes; name a defense")
    how = PurifyRunParameters(seed=parameters.seed)
    behind = Behind(adversarial_defenses, dictionaries or {})
    if defenses:
        height, width = check_training(
            paths,
            model,
            output,
            parameters,
            input_options,
            behind=behind,
            labels=labels,
            plot=plot,
            overwrite=overwrite,
        )
        how = replace(how, size=f"{height}x{width}")
    hidden = output.with_name(f".{output.name}.rsparse-purified")
    made, failed = {}, {}
    device = choose_device(parameters.device, for_gradients=True)
    for defense in defenses:
        text = defense_text(defense)
        place = (cache or hidden) / text
        made[text] = place
        how = replace(how, device=purifying_device(defense, device, workers).name)
        for entry in purify_once(
            paths,
            defense,
            place,
            dictionaries or {},
            how,
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
        behind=behind,
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
    how: PurifyRunParameters,
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
    if (place / MANIFEST).exists() and _is_of(place, paths, defense, dictionaries, how):
        return []
    outcome = purify_images(
        paths,
        defense,
        place,
        dictionaries=dictionaries,
        how=how,
        workers=workers,
        overwrite=overwrite,
        progress=progress,
    )
    return outcome.failed


def _is_of(
    place: Path,
    paths: Sequence[Path],
    defense: Defense,
    dictionaries: Mapping[str, Path],
    how: PurifyRunParameters,
) -> bool:
    """Whether a finished folder was made so, from these images as they are and this dictionary."""
    manifest = read_manifest(place)
    if manifest is None:
        return False
    entries = {entry["name"]: entry for entry in (*manifest["images"], *manifest["failed"])}
    images = load_inputs(paths).images
    used = {source["sha256"] for source in manifest["inputs"]}
    names = [name for name in defense.dictionaries if name in dictionaries]
    digests = {name: sha256_of_file(dictionaries[name]) for name in names}
    device = purifying_device(defense, choose_device(how.device), LocalWorkers())
    size = sides_of(how)
    values = {
        **recorded_defense(defense, digests, False, device),
        **device.record(),
        **({"size": size} if size else {}),
    }
    return (
        manifest["stage"] == "purify"
        and (not defense.is_random or manifest["seed"] == how.seed)
        and manifest["parameters"] == values
        and set(digests.values()) <= used
        and {image.name for image in images} == set(entries)
        and all(
            entries[i.name].get("source_sha256") in (None, sha256_of_file(i.path)) for i in images
        )
    )


def _all(made: Mapping[str, Path], purified: Sequence[Path]) -> dict[str, Path]:
    """All purified versions by what they are called: a defense's text, a folder's name."""
    versions = dict(made)
    for folder in purified:
        name = folder.resolve().name
        if name in versions or name in (CLEAN, ADVERSARIAL) or name.startswith(f"{ADVERSARIAL}+"):
            raise InputError(f"{folder}: another version is called {name!r}; rename the folder")
        versions[name] = folder
    return versions
