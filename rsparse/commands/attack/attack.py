"""``rsparse attack``: images and a classifier in, adversarial images out.

One attack fills the output folder; several fill a subfolder each (``adv/fgsm-eps=2/``), every one
an artifact of its own. With ``keep_float`` each also holds ``float.h5``: for each image one
dataset under its file's name, (h, w, 3) float32 in [0, 1], as it was before its rounding to 8 bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rsparse.attacks import Attack, attack_text
from rsparse.commands.attack.run import AttackCost, AttackRun, alike, taken
from rsparse.commands.attack.summary import AttackSummary
from rsparse.commands.attack.through import AttackedDefense, refuse_unable
from rsparse.errors import InputError
from rsparse.models.spec import InputOptions
from rsparse.options.attack import AttackRunParameters
from rsparse.store.folders import MANIFEST, OutputFolder
from rsparse.work.progress import SILENT, Progress
from rsparse.work.runs import Outcome
from rsparse.work.workers import LocalWorkers, Workers


@dataclass
class AttackOutcome(Outcome):
    """Also tells where the labels came from, what was left out, and what each attack did.

    ``done`` and ``resumed`` count images over all attacks.
    """

    label_origin: str = ""
    left_out: int = 0
    attacks: list[AttackSummary] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        return {
            **super().as_json(),
            "labels": self.label_origin,
            "left_out": self.left_out,
            "attacks": [vars(summary) for summary in self.attacks],
        }


def attack_images(
    paths: Sequence[Path],
    model: Path,
    attacks: Sequence[Attack],
    output: Path,
    parameters: AttackRunParameters,
    input_options: InputOptions | None = None,
    *,
    labels: Path | None = None,
    workers: Workers = LocalWorkers(),
    overwrite: bool = False,
    progress: Progress = SILENT,
    announce: Callable[[AttackCost], None] | None = None,
) -> AttackOutcome:
    """Attack all images in ``paths`` and write what became of them.

    Parameters
    ----------
    paths : sequence of Path
        Folders or images.
    model : Path
        The ONNX file.
    attacks : sequence of Attack
        The only one fills ``output``, several a subfolder of it each.
    output : Path
    parameters : AttackRunParameters
    input_options : InputOptions, optional
        What the user says of the model's input.
    labels : Path, optional
        CSV file of the right classes; else those that come with the images, else what the model
        says of each image before the attack.
    workers, overwrite, progress
        As for every stage. On a GPU there is one process, and the jobs are its threads.
    announce : callable, optional
        Told what the attacks will cost, once it is known which images they are for.

    Raises
    ------
    InputError
        If an input cannot be used, an output is taken, or there is no image to attack.
    """
    places = _places(attacks, output)
    if not overwrite and all((place / MANIFEST).exists() for place in places.values()):
        raise taken(next(iter(places.values())))
    run = AttackRun(paths, model, input_options, labels, parameters, workers)
    return _attack_into(places, run, output, overwrite, progress, announce)


def attack_chosen(
    paths: Sequence[Path],
    model: Path,
    attacks: Sequence[Attack],
    output: Path,
    parameters: AttackRunParameters,
    input_options: InputOptions | None,
    chosen: Mapping[str, int],
    *,
    through: AttackedDefense | None = None,
    workers: Workers = LocalWorkers(),
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> AttackOutcome:
    """``attack_images`` for some of the images, whose labels are known; each in a subfolder.

    Parameters
    ----------
    paths, model, attacks, output, parameters, input_options, workers, overwrite, progress
        As for ``attack_images``.
    chosen : mapping of str to int
        The labels of the images to attack, by name.
    through : AttackedDefense, optional
        The defense that the attacks are made through; without one they are made on the bare model.
        What becomes of the images is measured on the bare model either way.

    Raises
    ------
    InputError
        As for ``attack_images``; also if an attack cannot be made through the defense.
    """
    if through is not None:
        refuse_unable(attacks, through.defense)
    places = {attack: output / attack_text(attack) for attack in attacks}
    run = AttackRun(paths, model, input_options, None, parameters, workers, chosen, through)
    return _attack_into(places, run, output, overwrite, progress)


def _attack_into(
    places: Mapping[Attack, Path],
    run: AttackRun,
    output: Path,
    overwrite: bool,
    progress: Progress,
    announce: Callable[[AttackCost], None] | None = None,
) -> AttackOutcome:
    finished = [] if overwrite else [a for a, p in places.items() if (p / MANIFEST).exists()]
    folders: dict[Attack, OutputFolder] = {}
    try:
        for attack in places:
            if attack not in finished:
                folders[attack] = OutputFolder.open(
                    places[attack], run.origin.job(attack).identity(), run.inputs.paths, overwrite
                )
        run.aim(progress)
        summaries = {attack: run.take_over(attack, places[attack]) for attack in finished}
        if announce is not None:
            announce(run.cost(folders))
        for group in alike(folders):
            summaries |= run.attack(group, output, progress)
    except InputError:
        _abandon(folders.values(), output)
        raise
    finally:
        for folder in folders.values():
            folder.journal.close()
    ordered = [summaries[attack] for attack in places]
    resumed = sum(summary.resumed for summary in ordered)
    done = sum(summary.images for summary in ordered) - resumed
    return AttackOutcome(output, done, resumed, run.failed, run.label_origin, run.left_out, ordered)


def _places(attacks: Sequence[Attack], output: Path) -> dict[Attack, Path]:
    """The folder of each attack."""
    if not attacks:
        raise InputError("no attack is named")
    if len(attacks) == 1:
        return {attacks[0]: output}
    if (output / MANIFEST).exists():
        raise InputError(f"{output}: is an artifact itself; several attacks need another output")
    places = {attack: output / attack_text(attack) for attack in attacks}
    if len(places) < len(attacks):
        raise InputError("the same attack is named twice")
    return places


def _abandon(folders: Iterable[OutputFolder], output: Path) -> None:
    """Leave nothing behind where nothing was done."""
    for folder in folders:
        folder.abandon()
    if output.is_dir() and not any(output.iterdir()):
        output.rmdir()
