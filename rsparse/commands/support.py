"""``rsparse support``: benign and attacked images and a dictionary in, ``support.h5`` out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsparse.core.dictionary import Dictionary
from rsparse.core.support import Comparison, compare
from rsparse.defenses.regionsparse import refuse_excess
from rsparse.errors import InputError
from rsparse.options.support import SupportParameters
from rsparse.store.dictionaries import load_dictionaries
from rsparse.store.files import refuse_existing, require_suffix
from rsparse.store.folders import MANIFEST
from rsparse.store.images import ImageFile, Pixels, to_unit
from rsparse.store.inputs import load_inputs
from rsparse.store.job import Job
from rsparse.store.joins import JoinedImage, join_inputs
from rsparse.store.journal import Entry, journal_beside
from rsparse.store.records import SUPPORT
from rsparse.store.supports import MEASURED, save_supports
from rsparse.store.together import appear_together
from rsparse.work.progress import SILENT, Progress
from rsparse.work.runs import Outcome, load_image, refuse_all_failed, run_images
from rsparse.work.steps import OneByOne, failure
from rsparse.work.workers import LocalWorkers, Workers


@dataclass(frozen=True)
class SupportStep:
    """Compares the codes of a benign image with those of its attacked versions."""

    dictionary: Dictionary
    parameters: SupportParameters

    def __call__(self, image: ImageFile) -> Entry:
        assert isinstance(image, JoinedImage)
        benign, digest = load_image(image)
        digests, found = [digest], []
        for version in image.others:
            attacked, digest = load_image(version)
            digests.append(digest)
            found.append(self._compared(benign, attacked, version))
        entry = {
            "name": image.name,
            "source_sha256": digests[0],
            "sha256": digests,
            "radius": found[0].radius,
        }
        return entry | {name: [_number(getattr(c, name)) for c in found] for name in MEASURED}

    def _compared(self, benign: Pixels, attacked: Pixels, version: ImageFile) -> Comparison:
        if benign.shape != attacked.shape:
            sizes = [f"{width}×{height}" for height, width, _ in (benign.shape, attacked.shape)]
            height, width, _ = attacked.shape
            raise InputError(
                f"is {sizes[0]} pixels, but its attacked version {version.path} is {sizes[1]}; "
                f"first resize the benign images: rsparse purify BENIGN --defense none "
                f"--resize-to {height}x{width}"
            )
        b = self.dictionary.patch_size
        if min(benign.shape[:2]) < b:
            raise InputError(
                f"is {benign.shape[1]}×{benign.shape[0]} pixels, smaller than a patch of {b}×{b}"
            )
        values = self.parameters
        x, x_adv = to_unit(benign), to_unit(attacked)
        stops = values.sparsity, values.stride, values.min_correlation
        return compare(x, x_adv, self.dictionary, *stops)


def _number(value: float) -> float | None:
    """A number for a journal, which has no NaN."""
    return None if np.isnan(value) else float(value)


@dataclass
class SupportOutcome(Outcome):
    """Also holds the mean of each measure by attack, and the radii of the images, (n,)."""

    attacks: tuple[str, ...] = ()
    means: dict[str, list[float]] = field(default_factory=dict)
    radii: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        rows = [
            {
                "attack": attack,
                **{
                    name: None if np.isnan(values[number]) else values[number]
                    for name, values in self.means.items()
                },
            }
            for number, attack in enumerate(self.attacks)
        ]
        radius = {"median": float(np.median(self.radii)), "largest": float(self.radii.max())}
        return {**super().as_json(), "radius": radius, "attacks": rows}


def measure_supports(
    benign: Path,
    adversarial: Sequence[Path],
    dictionary: Path,
    output: Path,
    parameters: SupportParameters,
    *,
    workers: Workers = LocalWorkers(),
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> SupportOutcome:
    """Measure how attacks change the atoms that sparse coding chooses.

    Parameters
    ----------
    benign : Path
        Folder of benign images.
    adversarial : sequence of Path
        Folders of attacked images with the same names and sizes. A folder that holds one folder
        for each of several attacks, as ``rsparse attack`` writes it, stands for all of them.
    dictionary : Path
        ``dict.h5``.
    output : Path
        ``support.h5``.
    parameters : SupportParameters
    workers, overwrite, progress
        As for every stage.

    Raises
    ------
    InputError
        If an input cannot be used, the output exists, or no image is in all folders.
    """
    require_suffix(output, ".h5", ".hdf5")
    folders = [part for folder in adversarial for part in _attacks_in(folder)]
    names = _names_of(folders)
    inputs = [load_inputs([benign]), *(load_inputs([folder]) for folder in folders)]
    joined, unmatched = join_inputs(inputs)
    loaded, sources = load_dictionaries({"": dictionary})
    refuse_excess(loaded[""], parameters.sparsity)
    refuse_existing(output, overwrite)
    values = {**parameters.as_record(), "attacks": names}
    known = {"dictionary": sources[""].sha256, "images": joined.names_digest()}
    job = Job("support", SUPPORT, values, known=known)
    step = SupportStep(loaded[""], parameters)
    with journal_beside(output, job.identity(), overwrite) as journal:
        done, resumed, failed = run_images(
            joined,
            journal,
            OneByOne(step),
            task="compare",
            workers=workers,
            progress=progress,
            shared_paths=[dictionary],
        )
        missing = InputError("has no attacked image of the same name in one of the folders")
        failed += [failure(image, missing) for image in unmatched]
        refuse_all_failed(failed, done + resumed, None)
        entries = list(journal.entries())
        record = job.record(
            [
                *(
                    source
                    for number, item in enumerate(inputs)
                    for source in item.sources({e["name"]: e["sha256"][number] for e in entries})
                ),
                sources[""],
            ]
        )
        with appear_together(output, journal) as members:
            save_supports(output, record, journal, names, members.create)
    outcome = SupportOutcome(output, done, resumed, failed, passed_over=joined.passed_over)
    outcome.attacks = tuple(names)
    outcome.means = {name: _means([entry[name] for entry in entries]) for name in MEASURED}
    outcome.radii = np.array([entry["radius"] for entry in entries])
    return outcome


def _attacks_in(folder: Path) -> list[Path]:
    """The folder, or the artifacts in it if it is a folder of several attacks."""
    if (folder / MANIFEST).exists() or not folder.is_dir():
        return [folder]
    return sorted(path.parent for path in folder.glob(f"*/{MANIFEST}")) or [folder]


def _names_of(folders: Sequence[Path]) -> list[str]:
    """The names of the folders, with their parents' where two are alike."""
    counts = Counter(folder.resolve().name for folder in folders)
    names = []
    for folder in map(Path.resolve, folders):
        alike = counts[folder.name] > 1
        names.append(f"{folder.parent.name}/{folder.name}" if alike else folder.name)
    for name, count in Counter(names).items():
        if count > 1:
            raise InputError(f"{name}: is given twice; each attack needs a folder of its own name")
    return names


def _means(rows: Sequence[Sequence[float | None]]) -> list[float]:
    """The mean of each attack over the images for which it is known."""
    table = np.array(rows, np.float64)
    known = ~np.isnan(table)
    sums = np.where(known, table, 0).sum(axis=0)
    return [
        float(total / n) if n else float("nan")
        for total, n in zip(sums, known.sum(axis=0), strict=True)
    ]
