"""An attack on many batches, whose results may be needed twice: for scaling or for float images.

In these cases each batch's result is written atomically to its own file. An interrupted run
resumes after the last batch, and memory does not grow with the number of images.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rsparse.attacks import Attack, attack_text
from rsparse.attacks.running import AttackResult
from rsparse.attacks.scaling import Scaling, scale_to_average, scaled
from rsparse.commands.attack.attacker import AttackedImage, Attacker, Batch, Target
from rsparse.errors import system_error
from rsparse.store.checksums import checksum_line, without_checksum
from rsparse.store.files import sha256_of, sha256_of_file, write_atomic
from rsparse.store.folders import OutputFolder, is_finished, is_unfinished
from rsparse.store.images import to_unit
from rsparse.store.journal import Journal, to_line
from rsparse.store.pending import hidden_beside

_MEASURED_TOGETHER = 4  # images
_MARK = "*" * 12  # in place of a digest


class Part(NamedTuple):
    """Some images of a batch and their results."""

    batch: Batch
    result: AttackResult


@dataclass(frozen=True)
class Campaign:
    """An attack, the attacker that runs it, and the store of its results if they are kept."""

    attacker: Attacker
    attack: Attack
    kept: KeptResults | None

    def result(self, batch: Batch) -> AttackResult:
        """The result of a batch: the kept one, or a new one."""
        kept = None if self.kept is None else self.kept.load(batch)
        if kept is not None:
            return kept
        result = self.attacker.run(batch, self.attack)
        if self.kept is not None:
            self.kept.save(batch.number, result)
        return result

    def parts(self, batch: Batch) -> list[Part]:
        """The batch split into parts of a few images, each measured on one core."""
        result = self.result(batch)
        starts = range(0, len(batch.targets), _MEASURED_TOGETHER)
        return [_part(batch, result, slice(i, i + _MEASURED_TOGETHER)) for i in starts]

    def measured(self, part: Part, tau: float) -> list[AttackedImage]:
        """The images of a part, scaled, rounded and measured.

        Raises
        ------
        AssertionError
            If a file is farther from its original than the attack allows, which is a bug.
        """
        images = self.attacker.measure(*part, tau)
        limit = file_limit(self.attack)
        if limit is not None:
            for image in images:
                linf = image.measured["linf"]
                if linf > limit:
                    name = attack_text(self.attack)
                    raise AssertionError(f"{name}: {image.target.image.name}: L∞ is {linf}")
        return images

    def scaling_to(self, d: float, batches: Sequence[Batch]) -> Scaling:
        """The factor that scales the results of all batches to the average dissimilarity d."""
        return scale_to_average(
            lambda: (
                pair for batch in batches for pair in self.attacker.pairs(batch, self.result(batch))
            ),
            d,
            shrink=not self.attack.seeks_minimum,
        )

    def floats(
        self, batches: Iterable[Batch], tau: float
    ) -> Iterator[tuple[Target, NDArray[np.float32]]]:
        """All images with their scaled, unrounded results."""
        for batch in batches:
            x = to_unit(self.attacker.load(batch))
            yield from zip(batch.targets, scaled(x, self.result(batch).x_adv, tau), strict=True)


def file_limit(attack: Attack) -> float | None:
    """The largest change of a file, in grey levels, that an attack of whole levels may make.

    None for other attacks, whose change is measured: the checks of an evaluation judge it.
    """
    return getattr(attack, "eps", None) if attack.whole_levels else None


def _part(batch: Batch, result: AttackResult, some: slice) -> Part:
    targets = Batch(batch.number, batch.targets[some])
    aimed = None if result.targets is None else result.targets[some]
    notes = None if result.notes is None else result.notes[some]
    return Part(targets, AttackResult(result.x_adv[some], result.failed[some], aimed, notes))


@dataclass(frozen=True)
class KeepResult:
    """Attacks a batch so that its result is kept; returns its number of images and the seconds."""

    campaign: Campaign

    def __call__(self, batch: Batch) -> tuple[int, float]:
        start = time.perf_counter()
        self.campaign.result(batch)
        return len(batch.targets), time.perf_counter() - start


class KeptResults:
    """A hidden folder next to the output, named after the digest of the run's identity."""

    def __init__(self, output: Path, run: Mapping[str, Any]) -> None:
        digest = sha256_of(to_line(run))[:12]
        self.folder = hidden_beside(output.absolute(), f"{digest}.tmp")

    def _path(self, batch: int) -> Path:
        return self.folder / f"{batch:06d}.npz"

    def save(self, batch: int, result: AttackResult) -> None:
        """Keep the result of a batch."""
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {"x_adv": result.x_adv, "failed": result.failed}
        if result.targets is not None:
            arrays["targets"] = result.targets
        if result.notes is not None:
            arrays["notes"] = np.array(json.dumps(result.notes))
        np.savez(buffer, **arrays)
        content = buffer.getvalue()
        write_atomic(self._path(batch), content + checksum_line(content), durable=False)

    def load(self, batch: Batch) -> AttackResult | None:
        """The kept result of a batch, or None if there is none that is whole."""
        try:
            content = without_checksum(self._path(batch.number).read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise system_error(error, f"{self.folder}: cannot be read") from error
        if content is None:
            return None
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            notes = json.loads(str(arrays["notes"])) if "notes" in arrays else None
            return AttackResult(arrays["x_adv"], arrays["failed"], arrays.get("targets"), notes)

    def remove(self) -> None:
        """Remove the folder when its results are no longer needed."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @staticmethod
    def remove_leftovers(output: Path) -> None:
        """Remove the results beside an output in which no run is unfinished any more.

        A run was killed after it had finished the last folder of attacked images, perhaps before
        it could remove that folder's journal.
        """
        folders = [output, *output.glob("*/")]
        if any(not is_finished(folder) and is_unfinished(folder) for folder in folders):
            return
        start, end = hidden_beside(output.absolute(), f"{_MARK}.tmp").name.split(_MARK)
        name = re.compile(re.escape(start) + "[0-9a-f]{12}" + re.escape(end))
        for folder in output.absolute().parent.glob(".*.tmp/"):
            if name.fullmatch(folder.name):
                shutil.rmtree(folder, ignore_errors=True)


def is_written(batch: Batch, folder: OutputFolder, tau: float) -> bool:
    """Whether the folder holds the whole batch, unmodified, made from the current images."""
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


def drop_others(journal: Journal, targets: Sequence[Target]) -> None:
    """Drop images that are no longer attacked because they have changed."""
    names = {target.image.name for target in targets}
    for entry in list(journal.entries()):
        if entry["name"] not in names:
            journal.drop(entry["name"])
