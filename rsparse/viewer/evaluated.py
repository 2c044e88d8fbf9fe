"""An evaluation as a collection: its attacks and defenses are chosen, cleaned images made anew."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from rsparse.defenses import Defense, Resources
from rsparse.defenses.recorded import defense_of
from rsparse.errors import InputError, attempt
from rsparse.evaluation.loading import load_evaluation
from rsparse.evaluation.places import images_folder
from rsparse.evaluation.results import CLEAN, Column, ColumnKey, Evaluation, JudgedDefense, Trial
from rsparse.report.evaluated import EvaluatedImages, digests, with_embedded
from rsparse.report.subjects import UNDEFENDED, find_subjects
from rsparse.store.dictionaries import load_dictionary
from rsparse.store.files import sha256_of_file
from rsparse.store.folders import read_manifest, record_of
from rsparse.viewer.artifacts import Artifacts
from rsparse.viewer.folders import in_order, read_folder
from rsparse.viewer.gathered import make_versions
from rsparse.viewer.links import Bounds
from rsparse.viewer.tables import Tables
from rsparse.viewer.versions import (
    ATTACKED,
    BENIGN,
    PURIFIED,
    Choice,
    Collection,
    Pixels,
    Predictions,
    Scene,
    Version,
)
from rsparse.work.one_core import one_thread


class EvaluatedVersion(Version):
    """The images of a column of an evaluation, as its folder has them."""

    def __init__(
        self, folder: Path, evaluation: Evaluation, column: Column, title: str, trial: Trial | None
    ) -> None:
        self._place = folder / images_folder(column)
        self._images, self._bounds = EvaluatedImages(folder), Bounds([folder])
        self.column, self._names = column, evaluation.names
        self.title, self.kind = title, BENIGN if column.family == CLEAN else ATTACKED
        self.present = np.ones(len(evaluation.names), bool)
        self.rejected = column.rejected
        self.predictions = _predictions(trial)
        manifest = attempt(read_manifest, self._place)
        if isinstance(manifest, dict):  # a damaged one is told by each image
            self.record = record_of(manifest)
            self._entries = {entry["name"]: entry for entry in manifest["images"]}

    _entries: Mapping[str, Mapping[str, Any]] = MappingProxyType({})

    def load(self, number: int) -> Pixels:
        """The pixels of an image."""
        name = self._names[number]
        if self._place.is_dir():
            self._bounds.resolve(self._place / f"{name}.png")
        return self._images.load(self.column, name)

    def facts(self, number: int) -> dict[str, Any]:
        """The change by the attack."""
        column = self.column
        if self.kind == BENIGN:
            return {}
        return {
            "attack found a change": bool(column.found[number]),
            "L∞ of the change, grey levels": float(column.linf[number]),
            "dissimilarity d": float(f"{column.d[number]:.3g}"),
        }

    def origin(self, number: int) -> tuple[str | None, str | None]:
        """The digests in the manifest."""
        entry = self._entries.get(self._names[number], {})
        return entry.get("sha256"), entry.get("source_sha256")


class CleanedVersion(Version):
    """What a defense makes of a version; an image is cleaned when it is asked for."""

    kind = PURIFIED
    is_slow = True

    def __init__(self, of: Version, title: str, clean: Cleaning, trial: Trial | None) -> None:
        self._of, self._clean, self._treated = of, clean, None if trial is None else trial.treated
        self.title, self.source = title, of
        self.present = of.present
        self.predictions = _predictions(trial)
        if self._treated is not None:
            self.psnr = self._treated.psnr.astype(np.float64)

    def load(self, number: int) -> Pixels:
        """Clean an image."""
        return self._clean(self._of.load(number))

    def facts(self, number: int) -> dict[str, Any]:
        """What the defense did, as the evaluation recorded it."""
        if self._treated is None or self._treated.done[number] < 0:
            return {}
        psnr = float(self._treated.psnr[number])
        return {
            "done": self._treated.texts[self._treated.done[number]],
            "PSNR of the change, dB": "no change" if np.isinf(psnr) else round(psnr, 2),
        }

    def origin(self, number: int) -> tuple[str | None, str | None]:
        """A cleaned image has no file; it is made of the other version's."""
        return None, self._of.origin(number)[0]


class Cleaning:
    """A defense that cleans one image at a time, as the commands do."""

    _turn = threading.Lock()

    def __init__(self, defense: Defense, resources: Resources) -> None:
        self._defense, self._resources = defense, resources

    def __call__(self, pixels: Pixels) -> Pixels:
        """Clean an image.

        Raises
        ------
        InputError
            If the defense lacks a dictionary, or cannot clean the image.
        """
        self._defense.check(self._resources)
        with self._turn, one_thread():
            return self._defense.clean(pixels, resources=self._resources)


def _predictions(trial: Trial | None) -> Predictions | None:
    if trial is None:
        return None
    return Predictions(trial.prediction.astype(np.int32), trial.probability)


class EvaluationCollection(Collection):
    """The images of an evaluation, and folders with versions of the same images.

    Parameters
    ----------
    artifacts : Artifacts
    dictionaries : mapping of str to Path
        Those of the defenses, by name; they have to be the evaluated ones.
    follow_links : bool

    Raises
    ------
    InputError
        If the evaluation, a folder or a dictionary cannot be used.
    """

    def __init__(
        self, artifacts: Artifacts, dictionaries: Mapping[str, Path], follow_links: bool = False
    ) -> None:
        (self._folder,) = artifacts.evaluations
        self._evaluation = evaluation = load_evaluation(self._folder)
        self._subjects = find_subjects(evaluation)
        self.names, self.record = evaluation.names, evaluation.record
        self.title = f"{self._folder.resolve().name}: {evaluation.model}"
        self._attacks = [
            (f"{scenario}: {column.attack}", column)
            for scenario in self._subjects.scenarios
            for column in self._subjects.columns(scenario)
        ]
        self._defenses = [d for d in evaluation.defenses if d.kind != UNDEFENDED]
        self._defenses.sort(key=lambda defense: defense is not self._subjects.judged)
        options = {
            "Attack": tuple(text for text, _ in self._attacks),
            "Defense": tuple(defense.text for defense in self._defenses),
        }
        self.choices = tuple(Choice(title, texts) for title, texts in options.items() if texts)
        self._resources = _resources(evaluation, dictionaries)
        self._others = self._other_versions(artifacts, follow_links)
        self._version = lru_cache(maxsize=8)(self._make_version)

    def _other_versions(self, artifacts: Artifacts, follow_links: bool) -> Sequence[Version]:
        folders = in_order([read_folder(path) for path in artifacts.images])
        for folder in folders:
            if not set(folder.images.names()) & set(self.names):
                raise InputError(f"{folder.path}: has no image of the evaluation {self._folder}")
        versions = make_versions(folders, self.names, follow_links) if folders else []
        labels = self._evaluation.labels.astype(np.int32)
        tables = Tables(self.names, versions, labels)
        for path in artifacts.tables:
            tables.add(path, required=True)
        return versions

    def scene(self, *chosen: int) -> Scene:
        """Benign and attacked images, and both behind a defense."""
        picked = dict(zip((choice.title for choice in self.choices), chosen, strict=True))
        column = self._attacks[picked["Attack"]][1] if "Attack" in picked else None
        defense = self._defenses[picked["Defense"]] if "Defense" in picked else None
        if column is not None and defense is not None:
            column = self._evaluation.column_against(column, defense)
        clean = self._subjects.cleans[self._evaluation.model if column is None else column.judged]
        bare = [self._version(clean.key, "benign")]
        bare += [self._version(column.key, "attacked")] if column is not None else []
        cleaned = [self._cleaned(each, defense) for each in reversed(bare)] if defense else []
        names = dict(enumerate(self._evaluation.class_names))
        labels = self._evaluation.labels.astype(np.int32)
        return Scene((*bare, *cleaned, *self._others), labels, names)

    def _make_version(self, key: ColumnKey, title: str) -> EvaluatedVersion:
        column = next(column for column in self._evaluation.columns if column.key == key)
        bare = self._subjects.undefended
        trial = None if bare is None else self._evaluation.trial(column, bare)
        return EvaluatedVersion(self._folder, self._evaluation, column, title, trial)

    def _cleaned(self, version: EvaluatedVersion, defense: JudgedDefense) -> CleanedVersion:
        clean = Cleaning(defense_of(defense.parameters), self._resources)
        trial = self._evaluation.trial(version.column, defense)
        return CleanedVersion(version, f"{version.title}, cleaned", clean, trial)


def _resources(evaluation: Evaluation, dictionaries: Mapping[str, Path]) -> Resources:
    """The dictionaries of the defenses.

    Raises
    ------
    InputError
        If one is not the evaluated one.
    """
    known = set(digests(evaluation.record))
    files = with_embedded(dictionaries, known)
    for path in files.values():
        if sha256_of_file(path) not in known:
            raise InputError(f"{path}: is not the file that the evaluation used")
    loaded = {name: load_dictionary(path)[0] for name, path in files.items()}
    return Resources(loaded, evaluation.record.get("seed") or 0)
