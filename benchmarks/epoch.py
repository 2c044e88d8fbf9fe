"""How long an epoch of retraining takes, on the CPU or on a GPU.

    python benchmarks/epoch.py --shared ../shared --work bench-work/results [--device cuda]

Times the first epochs of trainings as ``trainings.py`` makes them of MobileNet-v2: on purified
photographs only, and also on its own attacks behind RegionSparse. What comes before an epoch, as
photographs that are purified once, does not count.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import computing
from computing import EpochClock
from lines import head, row
from plans import OURS, dictionary, model
from trainings import RETRAINED, SHOWN_PURIFIED, TRAININGS

from rsparse.evaluation.plan import parse_defenses
from rsparse.parameters.training import TrainParameters
from rsparse.progress import SILENT
from rsparse.retraining import train_on

BASE = "mobilenet-v2"
COLUMNS = ("shown", "photographs", "validated", "CPU s an epoch", "wall s an epoch")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, required=True, help="photographs and models")
    parser.add_argument("--work", type=Path, required=True, help="folder for purified photographs")
    parser.add_argument("--epochs", type=int, default=2)
    computing.add_options(parser)
    options = parser.parse_args()
    how = computing.chosen(options)
    rows = list(_rows(options.shared, options.work, options.epochs, how))
    print(f"{BASE} on {how.name}, {how.jobs} processes")
    print("\n".join([*head(COLUMNS), *rows]))


def _rows(shared: Path, work: Path, epochs: int, how: computing.Computing) -> Iterator[str]:
    purified = replace(TRAININGS[BASE][RETRAINED].parameters, epochs=epochs, device=how.device)
    both = replace(purified, on="both", adversarial_share=0.5, attack_steps=3, eps=24.0)
    shown: Mapping[str, tuple[TrainParameters, tuple[str, ...]]] = {
        "purified": (purified, ()),
        "purified; attacked, then purified": (both, (OURS,)),
    }
    original = model(shared, BASE)
    dictionaries = {"": dictionary(shared, work)}
    for name, (parameters, behind) in shown.items():
        clock = EpochClock(SILENT)
        with tempfile.TemporaryDirectory() as folder:
            outcome = train_on(
                [shared / "train"], original.path, Path(folder) / "model.onnx", parameters,
                original.wants, defenses=parse_defenses(SHOWN_PURIFIED),
                dictionaries=dictionaries, adversarial_defenses=parse_defenses(behind),
                cache=work / "purified" / BASE, workers=how.workers, progress=clock,
            )  # fmt: skip
        cpu, wall = clock.an_epoch()
        validated = outcome.held_out * len(outcome.history[0]["validation"]["versions"])
        yield row([name, str(outcome.shown), str(validated), f"{cpu:.1f}", f"{wall:.1f}"])


if __name__ == "__main__":
    main()
