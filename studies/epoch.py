"""Measure the time of an epoch of retraining, on the CPU or on a GPU.

    python -m studies.epoch --shared ../shared --work bench-work/results [--device cuda]
        [--base inception-v3] [--only purified]

This module times the first epochs of the trainings of ``trainings.py``: on purified photographs
only, and also on attacks on the current weights behind a defense. Work before the first epoch, such
as purifying photographs once, does not count.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from rsparse.commands.train.retraining import purify_and_train
from rsparse.defenses import parse_defenses
from rsparse.report.markdown_tables import table_text
from rsparse.work.progress import SILENT
from studies.hardware import Computer, EpochClock, add_options, chosen_computer
from studies.plans import OURS, dictionaries, model
from studies.recipes import RETRAINED, TRAININGS

SHOWN: Mapping[str, tuple[str, ...]] = {  # defenses that purify the attacked images
    "purified": (),
    "purified; attacked, then purified": (OURS,),
}
COLUMNS = ("shown", "photographs", "validated", "CPU s an epoch", "wall s an epoch")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True, help="photographs and models")
    parser.add_argument("--work", type=Path, required=True, help="folder for purified photographs")
    parser.add_argument("--base", choices=TRAININGS, default="mobilenet-v2")
    parser.add_argument("--only", nargs="+", choices=SHOWN, default=list(SHOWN))
    parser.add_argument("--epochs", type=int, default=2)
    add_options(parser)
    options = parser.parse_args()
    computer = chosen_computer(options)
    rows = [
        _row(name, options.base, options.shared, options.work, options.epochs, computer)
        for name in options.only
    ]
    print(f"{options.base} on {computer.name}, {computer.jobs} processes")
    print(table_text(list(COLUMNS), rows))


def _row(
    shown: str, base: str, shared: Path, work: Path, epochs: int, computer: Computer
) -> list[str]:
    training, behind = TRAININGS[base][RETRAINED], SHOWN[shown]
    parameters = replace(training.parameters, epochs=epochs, device=computer.device)
    if behind:
        parameters = replace(
            parameters, train_on="both", adversarial_share=0.5, attack_steps=3, attack_eps=24.0
        )
    original = model(shared, base)
    clock = EpochClock(SILENT)
    with tempfile.TemporaryDirectory() as folder:
        outcome = purify_and_train(
            [shared / "train"], original.path, Path(folder) / "model.onnx", parameters,
            original.input_options, defenses=parse_defenses(training.purified),
            dictionaries=dictionaries([*training.purified, *behind], shared, work),
            adversarial_defenses=parse_defenses(behind), cache=work / "purified" / base,
            workers=computer.workers, progress=clock,
        )  # fmt: skip
    cpu, wall = clock.an_epoch()
    validated = outcome.held_out * len(outcome.history[0]["validation"]["versions"])
    return [shown, str(outcome.shown), str(validated), f"{cpu:.1f}", f"{wall:.1f}"]


if __name__ == "__main__":
    main()
