"""``rsparse attack``: images and a classifier in, adversarial images out.

One attack writes into the output folder. Several attacks write into a subfolder each
(``adv/fgsm-eps=2/``), and each subfolder is an artifact. With ``keep_float``, each artifact also
contains ``float.h5``: one dataset per image under its file's name, (h, w, 3) float32 in [0, 1],
before rounding to 8 bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rsparse.attacks import Attack, attack_text
from rsparse.attacks.goal import with_class_index
from rsparse.commands.attack.campaign import KeptResults
from rsparse.commands.attack.cost import AttackCost, group_by_unscaled
from rsparse.commands.attack.run import AttackRun, output_exists
from rsparse.commands.attack.summary import AttackSummary
from rsparse.commands.attack.through import AttackedDefense, Through, refuse_unable
from rsparse.errors import InputError
from rsparse.models.onnx.classifier import load_classifier
from rsparse.models.spec import InputOptions
from rsparse.options.attack import AttackRunParameters
from rsparse.options.labels import LabelOptions
from rsparse.store.folders import OutputFolder, is_finished
from rsparse.work.progress import SILENT, Progress, tell
from rsparse.work.runs import Outcome
from rsparse.work.workers import LocalWorkers, Workers


@dataclass
class AttackOutcome(Outcome):
    """Also holds the origin of the labels, the number of omitted images, and a summary per attack.

    ``done`` and ``resumed`` count images over all attacks.
    """

    label_origin: str = ""
    left_out: int = 0
    hints: list[str] = field(default_factory=list)
    attacks: list[AttackSummary] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        return {
            **super().as_json(),
            "labels": self.label_origin,
            "left_out": self.left_out,
            "hints": self.hints,
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
    labels: LabelOptions = LabelOptions(),
    through: Through | None = None,
    workers: Workers = LocalWorkers(),
    overwrite: bool = False,
    progress: Progress = SILENT,
    announce: Callable[[AttackCost], None] | None = None,
) -> AttackOutcome:
    """Attack all images in ``paths`` and write the adversarial images.

    Parameters
    ----------
    paths : sequence of Path
        Folders or images.
    model : Path
        The ONNX file.
    attacks : sequence of Attack
        A single attack writes into ``output``; several write into a subfolder each.
    output : Path
    parameters : AttackRunParameters
    input_options : InputOptions, optional
        The model's input, as given by the user.
    labels : LabelOptions
        The file of the correct classes. By default the images' own labels are used; without any,
        the model's predictions before the attack.
    through : Through, optional
        Defense that the attacks include in the attacked model; by default they attack the bare
        model. Its seed is that of ``parameters``.
    workers, overwrite, progress
        As for every stage. On a GPU there is one process, and the jobs are its threads.
    announce : callable, optional
        Called with the cost of the attacks, as soon as the images to attack are known.

    Raises
    ------
    InputError
        If an input cannot be used, an output exists, or there is no image to attack.
    """
    attacks = with_class_indices(attacks, model, input_options)
    places = _places(attacks, output)
    KeptResults.remove_leftovers(output)
    if not overwrite and all(is_finished(place) for place in places.values()):
        raise output_exists(next(iter(places.values())))
    attacked = None if through is None else through.load(parameters.seed)
    if attacked is not None:
        refuse_unable(attacks, attacked.defense)
    run = AttackRun(
        paths, model, attacks, input_options, labels, parameters, workers, through=attacked
    )
    run.attacker.classifier.tell(progress)
    outcome = _attack_into(places, run, output, overwrite, progress, announce)
    KeptResults.remove_leftovers(output)
    return outcome


def with_class_indices(
    attacks: Sequence[Attack], model: Path, input_options: InputOptions | None
) -> list[Attack]:
    """The attacks with the index of each target class that is given by a name of the model."""
    if not any(attack.aim for attack in attacks):
        return list(attacks)
    names = load_classifier(model, input_options).class_names
    return [with_class_index(attack, names) for attack in attacks]


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
    """``attack_images`` for a selection of labelled images; each attack gets a subfolder.

    Parameters
    ----------
    paths, model, attacks, output, parameters, input_options, workers, overwrite, progress
        As for ``attack_images``.
    chosen : mapping of str to int
        The labels of the images to attack, by name.
    through : AttackedDefense, optional
        Defense that the attacks include in the attacked model; by default they attack the bare
        model.

    Raises
    ------
    InputError
        As for ``attack_images``; also if an attack does not support attacking through a defense.
    """
    if through is not None:
        refuse_unable(attacks, through.defense)
    places = {attack: output / attack_text(attack) for attack in attacks}
    run = AttackRun(
        paths, model, attacks, input_options, LabelOptions(), parameters, workers, chosen, through
    )
    return _attack_into(places, run, output, overwrite, progress)


def _attack_into(
    places: Mapping[Attack, Path],
    run: AttackRun,
    output: Path,
    overwrite: bool,
    progress: Progress,
    announce: Callable[[AttackCost], None] | None = None,
) -> AttackOutcome:
    finished = [] if overwrite else [a for a, p in places.items() if is_finished(p)]
    folders: dict[Attack, OutputFolder] = {}
    try:
        for attack in places:
            if attack not in finished:
                folders[attack] = OutputFolder.open(
                    places[attack], run.origin.job(attack).identity(), run.inputs.paths, overwrite
                )
        run.find_targets(progress)
        summaries = {attack: run.summary_of_finished(attack, places[attack]) for attack in finished}
        if announce is not None:
            announce(run.cost(folders))
        for group in group_by_unscaled(folders):
            summaries |= run.attack(group, output, progress)
    except InputError:
        _abandon(folders.values(), output)
        raise
    finally:
        for folder in folders.values():
            folder.journal.close()
    ordered = [summaries[attack] for attack in places]
    doubts = [doubt for summary in ordered for doubt in summary.doubts]
    tell(progress, doubts)
    resumed = sum(summary.resumed for summary in ordered)
    done = sum(summary.images for summary in ordered) - resumed
    return AttackOutcome(
        output,
        done,
        resumed,
        run.failed,
        run.labels.origin,
        run.left_out,
        [*run.hints, *doubts],
        ordered,
        passed_over=run.inputs.passed_over,
        notes=run.labels.sentences(),
    )


def _places(attacks: Sequence[Attack], output: Path) -> dict[Attack, Path]:
    """The folder of each attack."""
    if not attacks:
        raise InputError("expected at least one attack, got none")
    if len(attacks) == 1:
        return {attacks[0]: output}
    if is_finished(output):
        raise InputError(
            f"{output}: is a finished artifact; choose another output for several attacks"
        )
    places = {attack: output / attack_text(attack) for attack in attacks}
    if len(places) < len(attacks):
        raise InputError("the same attack is given twice")
    return places


def _abandon(folders: Iterable[OutputFolder], output: Path) -> None:
    """Remove folders in which no image was finished."""
    for folder in folders:
        folder.abandon()
    if output.is_dir() and not any(output.iterdir()):
        output.rmdir()
