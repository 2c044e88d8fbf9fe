"""The retrained classifiers that docs/results.md tells of, and the plan that judges them.

    python benchmarks/trainings.py --shared ../shared --work bench-work/results

Makes those that the work folder lacks, by what ``rsparse train`` does; ``benchmarks/results.py``
does the same for the plan ``trained``. Nothing is trained on the photographs that are judged.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from plans import TABLE_TWO_STRENGTHS, dictionary, judged, model

from rsparse.attacks import attack_text
from rsparse.cli.console import progress_bar
from rsparse.evaluation.plan import ModelChoice, Plan, parse_attacks, parse_defenses
from rsparse.evaluation.results import BLACK_BOX, EXTENDED_GRAY_BOX, GRAY_BOX
from rsparse.evaluation.scenarios import ADVERSARIAL as ADVERSARIAL_ROLE
from rsparse.evaluation.scenarios import RETRAINED as RETRAINED_ROLE
from rsparse.parallel import Here
from rsparse.parameters import AttackRunParameters, TrainParameters
from rsparse.retraining import train_on
from rsparse.stages.attack import attack_images
from rsparse.stages.purify import purify_images
from rsparse.store.folders import MANIFEST

BASE = "mobilenet-v2"
STRONG, MILD = (f"regionsparse:sparsity={k},localize=no,prefilter=yes" for k in (1, 4))
SHOWN_PURIFIED = (STRONG, MILD)
SHOWN_ATTACKED = {  # and then purified, about as the levels would
    "fgsm:eps=12": STRONG, "bim:eps=14,steps=5": STRONG, "bim:eps=4,steps=5": MILD,
}  # fmt: skip
RETRAINED, ADVERSARIAL = "retrained", "adversarial"
_COMMON = TrainParameters(distill=True, batch_size=16, epochs=8, patience=None)
TRAININGS: Mapping[str, TrainParameters] = {
    RETRAINED: replace(_COMMON, on="purified", clean_share=0.15, epochs=10),
    ADVERSARIAL: replace(_COMMON, on="both", eps=8.0),
}


def trained(shared: Path, work: Path, name: str, jobs: int = 2) -> Path:
    """The classifier of that name, trained on ``train/`` where it is missing.

    Beside it lies ``NAME.json`` with the CPU seconds of an epoch.
    """
    path = work / "models" / f"{name}.onnx"
    if path.exists():
        return path
    base, attacked = model(shared, BASE), purified_attacks(shared, work, jobs)
    start = time.process_time()
    with progress_bar() as progress:
        outcome = train_on(
            [shared / "train"], base.path, path, TRAININGS[name], base.wants,
            defenses=parse_defenses(SHOWN_PURIFIED), dictionaries={"": dictionary(shared, work)},
            purified=attacked, cache=work / "purified", plot=path.with_suffix(".png"),
            workers=Here(jobs), progress=progress,
        )  # fmt: skip
    epochs = len(outcome.history) - outcome.resumed_epochs - 1
    seconds = (time.process_time() - start) / max(epochs, 1)
    figures = {
        "cpu_seconds_an_epoch": round(seconds, 1),
        "epochs": len(outcome.history) - 1,
        "kept": outcome.best_epoch,
        "images": outcome.shown,
    }
    path.with_suffix(".json").write_text(json.dumps(figures) + "\n", encoding="utf-8")
    return path


def purified_attacks(shared: Path, work: Path, jobs: int) -> list[Path]:
    """Folders of the training photographs, attacked on the original model and then purified."""
    base, attacks = model(shared, BASE), parse_attacks(tuple(SHOWN_ATTACKED))
    names = [attack_text(attack) for attack in attacks]
    made, folders = work / "attacked-train", [work / "purified-attacked" / name for name in names]
    defenses = parse_defenses(tuple(SHOWN_ATTACKED.values()))
    with progress_bar() as progress:
        if not all((made / name / MANIFEST).exists() for name in names):
            attack_images(
                [shared / "train"], base.path, attacks, made, AttackRunParameters(), base.wants,
                labels=shared / "train" / "labels.csv", workers=Here(jobs), progress=progress,
            )  # fmt: skip
        for name, defense, folder in zip(names, defenses, folders, strict=True):
            if not (folder / MANIFEST).exists():
                purify_images(
                    [made / name], defense, folder, workers=Here(jobs), progress=progress,
                    dictionaries={"": dictionary(shared, work)},
                )  # fmt: skip
    return folders


def plan(shared: Path, work: Path) -> Plan:
    """Retrained and adversarially trained, at the strengths of Table II."""
    others = {
        role: (ModelChoice(trained(shared, work, name)),)
        for role, name in ((RETRAINED_ROLE, RETRAINED), (ADVERSARIAL_ROLE, ADVERSARIAL))
    }
    return judged(
        "trained", shared, work, TABLE_TWO_STRENGTHS, ("jpeg:quality=20",), base=BASE,
        scenarios=(GRAY_BOX, BLACK_BOX, EXTENDED_GRAY_BOX), others=others,
    )  # fmt: skip


def are_made(work: Path) -> bool:
    """Whether the classifiers are there."""
    return all((work / "models" / f"{name}.onnx").exists() for name in TRAININGS)


def all_figures(work: Path) -> dict[str, dict[str, float]]:
    """What was noted of each training."""
    paths = {name: work / "models" / f"{name}.json" for name in TRAININGS}
    return {
        name: dict(json.loads(path.read_text(encoding="utf-8")))
        for name, path in paths.items()
        if path.exists()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True, help="photographs and models")
    parser.add_argument("--work", type=Path, required=True, help="folder for the models")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    for name in TRAININGS:
        print(trained(options.shared, options.work, name))
    print(json.dumps(all_figures(options.work)))


if __name__ == "__main__":
    main()
