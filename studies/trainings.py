"""The retrained classifiers of docs/results.md, and the plans that evaluate them.

    python -m studies.trainings --shared ../shared --work bench-work/results [--device cuda]

This module trains the classifiers that the work folder lacks, as ``rsparse train`` does;
``studies/results.py`` does the same for the plans of ``BASES``. The photographs of the evaluations
are not used for training.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from rsparse.attacks import Attack, attack_text, parse_attack
from rsparse.cli.console import progress_bar
from rsparse.commands.attack.attack import attack_images
from rsparse.commands.train.retraining import purify_and_train, purify_once, purifying_device
from rsparse.defenses import defense_text, parse_defense, parse_defenses
from rsparse.evaluation.plan import Plan
from rsparse.evaluation.scenarios import (
    AdversarialTraining,
    AdversarialTrainingBlackBox,
    BlackBox,
    ExtendedGrayBox,
    GrayBox,
)
from rsparse.options.attack import AttackRunParameters
from rsparse.options.labels import LabelOptions
from rsparse.options.learn_dict import LearnParameters
from rsparse.options.purify import PurifyRunParameters
from rsparse.store.folders import MANIFEST
from rsparse.work.device import choose_device
from rsparse.work.progress import Progress
from studies.hardware import Computer, EpochClock, add_options, chosen_computer
from studies.plans import (
    DICTIONARIES,
    STRONG_OF_TABLE_TWO,
    TABLE_TWO_AND_BETWEEN,
    TABLE_TWO_STRENGTHS,
    dictionaries,
    judged,
    model,
)
from studies.recipes import ADVERSARIAL, RETRAINED, SETTINGS, TRAININGS, Attacked, Training, digest


class Figures(NamedTuple):
    """The figures of a finished training."""

    images: int
    epochs: int
    kept: int
    cpu_seconds_an_epoch: float
    wall_seconds_an_epoch: float
    device: str
    is_on_gpu: bool
    recipe: str = ""  # the digest of how it was made


SCENARIOS = (  # in addition to gray-box; with the classifier that each needs
    (BlackBox, RETRAINED),
    (ExtendedGrayBox, RETRAINED),
    (AdversarialTraining, ADVERSARIAL),
    (AdversarialTrainingBlackBox, ADVERSARIAL),
)
BASES = {
    "retrained-mobilenet-v2": "mobilenet-v2",
    "retrained-inception-v3": "inception-v3",
}  # by plan
LESS = {"inception-v3": {"attacks": TABLE_TWO_STRENGTHS, "checks": False}}  # by base: at 299×299
LEAST = {"inception-v3": {"attacks": STRONG_OF_TABLE_TWO, "limit": 100}}  # without a GPU, where
# only the retrained classifier is trained


def path_of(work: Path, base: str, name: str) -> Path:
    """The file of a classifier, next to its figures (.json) and its curve (.png)."""
    return work / "models" / f"{base}-{name}.onnx"


def make(base: str, shared: Path, work: Path, computer: Computer) -> list[Path]:
    """The classifiers of a base; missing ones are trained on ``train/``."""
    return [trained(base, name, shared, work, computer) for name in names_of(base, computer)]


def names_of(base: str, computer: Computer) -> tuple[str, ...]:
    """The classifiers of a base that this computer can train."""
    can_all = base not in LEAST or computer.is_on_gpu
    return tuple(name for name in TRAININGS[base] if can_all or name == RETRAINED)


def trained(base: str, name: str, shared: Path, work: Path, computer: Computer) -> Path:
    """The classifier of that name; if it is missing, train it on ``train/``.

    If there is one that was made by another recipe, the program ends with an error.
    """
    return trained_by(TRAININGS[base][name], base, name, shared, work, computer)


def trained_by(
    training: Training,
    base: str,
    name: str,
    shared: Path,
    work: Path,
    computer: Computer,
    declared: Mapping[str, LearnParameters] = DICTIONARIES,
) -> Path:
    """The classifier of that name, trained by a recipe; ``declared`` are its dictionaries."""
    path = path_of(work, base, name)
    if path.exists():
        _refuse_another(path, digest(training, declared))
        return path
    original = model(shared, base)
    attacked = purified_attacks(base, training.attacked, shared, work, computer)
    cache = work / "purified" / base if training.purified else None
    with progress_bar() as progress:
        clock = EpochClock(progress)
        outcome = purify_and_train(
            [shared / "train"], original.path, path,
            replace(training.parameters, device=computer.device), original.input_options,
            defenses=parse_defenses(training.purified),
            dictionaries=dictionaries(training.purified, shared, work, computer.jobs, declared),
            purified=attacked, cache=cache, plot=path.with_suffix(".png"),
            workers=computer.workers, progress=clock,
        )  # fmt: skip
    cpu, wall = (round(seconds, 1) for seconds in clock.an_epoch())
    epochs = len(outcome.history) - 1  # the first is of the original
    figures = Figures(
        outcome.shown, epochs, outcome.best_epoch, cpu, wall, computer.name, computer.is_on_gpu,
        digest(training, declared),
    )  # fmt: skip
    figures_beside(path).write_text(json.dumps(figures._asdict()) + "\n", encoding="utf-8")
    return path


def _refuse_another(path: Path, wanted: str) -> None:
    """End the program if a classifier was made by another or an unknown recipe."""
    figures = figures_of(path) if figures_beside(path).exists() else None
    if figures is None or figures.recipe != wanted:
        raise SystemExit(
            f"{path}: was not made as {Path(__file__).name} makes it now; move it away with "
            "what lies beside it, and the attacks and judgements that an evaluation holds of it"
        )


def purified_attacks(
    base: str, shown: tuple[Attacked, ...], shared: Path, work: Path, computer: Computer
) -> list[Path]:
    """Folders of the training photographs, attacked and then purified.

    The attacked photographs have the model's input size and are purified at that size, like benign
    ones and as in an evaluation.
    """
    folders = []
    with progress_bar() as progress:
        for each in shown:
            (attack, *_), (defense, *_) = parse_attack(each.attack), parse_defense(each.defense)
            images = work / "attacked-train" / base / attack_text(attack)
            _attack_once(base, attack, images, shared, computer, progress)
            folder = work / "purified-attacked" / base / defense_text(defense) / images.name
            wanted = choose_device(computer.device, for_gradients=True)
            device = purifying_device(defense, wanted, computer.workers)
            known = dictionaries([each.defense], shared, work, computer.jobs)
            purify_once(
                [images], defense, folder, known,
                PurifyRunParameters(device=device.name), workers=computer.workers, overwrite=True,
                progress=progress,
            )  # fmt: skip
            folders.append(folder)
    return folders


def _attack_once(
    base: str, attack: Attack, made: Path, shared: Path, computer: Computer, progress: Progress
) -> None:
    """Attack the training photographs on the original model, unless this was done before."""
    if not (made / MANIFEST).exists():
        original = model(shared, base)
        attack_images(
            [shared / "train"], original.path, [attack], made,
            AttackRunParameters(only_correct=False, device=computer.device), original.input_options,
            labels=LabelOptions(shared / "train" / "labels.csv"), workers=computer.workers,
            progress=progress,
        )  # fmt: skip


def plan(name: str, shared: Path, work: Path, computer: Computer) -> Plan:
    """The plan for the classifiers of a base, at the strengths of Table II and some between them.

    Slow classifiers get fewer attacks. Call ``make`` first.
    """
    base = BASES[name]
    scenarios = [
        scenario(str(path_of(work, base, training)))
        for scenario, training in SCENARIOS
        if training in names_of(base, computer)
    ]
    least = {} if computer.is_on_gpu else LEAST.get(base, {})
    judging = {"attacks": TABLE_TWO_AND_BETWEEN, **LESS.get(base, {}), **least}
    return judged(
        name, shared, work, beside=(*SETTINGS, "jpeg:quality=20"), base=base,
        scenarios=[GrayBox(), *scenarios], **judging,
    )  # fmt: skip


def are_made(base: str, work: Path, computer: Computer) -> bool:
    """Whether the classifiers of a base exist."""
    return all(path_of(work, base, name).exists() for name in names_of(base, computer))


def figures_beside(path: Path) -> Path:
    """The path of a classifier's figures."""
    return path.with_suffix(".json")


def figures_of(path: Path) -> Figures:
    """The figures of the training of a classifier."""
    return Figures(**json.loads(figures_beside(path).read_text(encoding="utf-8")))


def all_figures(work: Path) -> dict[str, dict[str, Figures]]:
    """The figures of each training, by base and name."""
    found: dict[str, dict[str, Figures]] = {}
    for base, names in TRAININGS.items():
        paths = {name: path_of(work, base, name) for name in names}
        found[base] = {
            name: figures_of(path) for name, path in paths.items() if figures_beside(path).exists()
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True, help="photographs and models")
    parser.add_argument("--work", type=Path, required=True, help="folder for the models")
    parser.add_argument("--only", nargs="+", choices=TRAININGS, help="original models to retrain")
    add_options(parser)
    options = parser.parse_args()
    for base in options.only or TRAININGS:
        for path in make(base, options.shared, options.work, chosen_computer(options)):
            print(path)


if __name__ == "__main__":
    main()
