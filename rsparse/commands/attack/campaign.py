"""An attack on many batches, whose results may be needed twice: to scale them, or to keep floats.

Each batch's result then goes into a file of its own, written whole or not at all, so that an
interrupted run goes on after the last batch and a folder of any length fits into memory.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rsparse.attacks.parameters import Attack
from rsparse.attacks.running import AttackResult
from rsparse.attacks.scaling import Scaling, scale_to_average, scaled
from rsparse.commands.attack.attacker import AttackedImage, Attacker, Batch, Target
from rsparse.store.files import atomic_path, sha256_of, sha256_of_file
from rsparse.store.folders import OutputFolder
from rsparse.store.images import to_unit
from rsparse.store.journal import Journal, to_line

_MEASURED_TOGETHER = 4  # images


class Part(NamedTuple):
    """Some images of a batch, and what the attack made of them."""

    batch: Batch
    result: AttackResult


@dataclass(frozen=True)
class Campaign:
    """An attack, who carries it out, and where results are kept if they are needed again."""

    attacker: Attacker
    attack: Attack
    kept: KeptResults | None

    def result(self, batch: Batch) -> AttackResult:
        """What the attack makes of a batch, now or as it was kept."""
        if self.kept is not None and batch.number in self.kept:
            return self.kept.load(batch.number)
        result = self.attacker.run(batch, self.attack)
        if self.kept is not None:
            self.kept.save(batch.number, result)
        return result

    def parts(self, batch: Batch) -> list[Part]:
        """The batch's images with their results, a few together: what one core measures."""
        result = self.result(batch)
        starts = range(0, len(batch.targets), _MEASURED_TOGETHER)
        return [_part(batch, result, slice(i, i + _MEASURED_TOGETHER)) for i in starts]

    def measured(self, part: Part, tau: float) -> list[AttackedImage]:
        """The images of a part, scaled, rounded and measured."""
        return self.attacker.measure(*part, tau)

    def scaling_to(self, d: float, batches: Sequence[Batch]) -> Scaling:
        """The factor that brings the results of all batches to an average of d."""
        return scale_to_average(
            lambda: (
                pair for batch in batches for pair in self.attacker.pairs(batch, self.result(batch))
            ),
            d,
        )

    def floats(
        self, batches: Iterable[Batch], tau: float
    ) -> Iterator[tuple[Target, NDArray[np.float32]]]:
        """All images with their results scaled but not rounded."""
        for batch in batches:
            x = to_unit(self.attacker.load(batch))
            yield from zip(batch.targets, scaled(x, self.result(batch).x_adv, tau), strict=True)


def _part(batch: Batch, result: AttackResult, some: slice) -> Part:
    targets = Batch(batch.number, batch.targets[some])
    return Part(targets, AttackResult(result.x_adv[some], result.failed[some]))


@dataclass(frozen=True)
class Keeping:
    """Makes sure that a batch's result is kept, and tells how many images it has."""

    campaign: Campaign

    def __call__(self, batch: Batch) -> int:
        self.campaign.result(batch)
        return len(batch.targets)


class KeptResults:
    """A hidden folder beside the output, named after what identifies the run."""

    def __init__(self, output: Path, run: Mapping[str, Any]) -> None:
        digest = sha256_of(to_line(run))[:12]
        self.folder = output.with_name(f".{output.absolute().name}.{digest}.tmp")

    def _path(self, batch: int) -> Path:
        return self.folder / f"{batch:06d}.npz"

    def __contains__(self, batch: int) -> bool:
        return self._path(batch).exists()

    def save(self, batch: int, result: AttackResult) -> None:
        """Keep the result of a batch."""
        with atomic_path(self._path(batch), durable=False) as temporary:
            with temporary.open("wb") as file:
                np.savez(file, x_adv=result.x_adv, failed=result.failed)

    def load(self, batch: int) -> AttackResult:
        """The kept result of a batch."""
        with np.load(self._path(batch)) as arrays:
            return AttackResult(arrays["x_adv"], arrays["failed"])

    def remove(self) -> None:
        """Remove the folder; what was kept is not needed any more."""
        shutil.rmtree(self.folder, ignore_errors=True)


def is_written(batch: Batch, folder: OutputFolder, tau: float) -> bool:
    """Whether the whole batch is in the folder, unharmed, from the images as they are now."""
    for target in batch.targets:
        if target.image.name not in folder.journal:
            return False
        entry = folder.journal[target.image.name]
        if entry["source_sha256"] != target.digest or entry["tau"] != tau:
            return False
        file = folder.path / entry["file"]
        if not file.exists() or sha256_of_file(file) != entry["sha256"]:
            return False
    return True


def forget_others(journal: Journal, targets: Sequence[Target]) -> None:
    """Drop images that are not attacked any more, because they have changed since."""
    names = {target.image.name for target in targets}
    for entry in list(journal.entries()):
        if entry["name"] not in names:
            journal.drop(entry["name"])
