"""The results of an evaluation: every defense against every attack, image by image.

An ``Evaluation`` is a table whose rows are images. Each ``Column`` holds the changes that one
attack made to them. Each ``Trial`` holds the classifier's predictions for a column behind one
defense. Not every column is tried behind every defense: a column that was made through a defense is
tried behind that defense only. ``rsparse.evaluation.statistics`` computes all numbers of a report
from these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsparse.evaluation.treated import Treated

CLEAN = "clean"
MADE_ELSEWHERE = "made-elsewhere"
GIVEN = "given"
"""The folder of the images of ``MADE_ELSEWHERE``."""

ThreatKey = tuple[str, str, str]
AttackKey = tuple[str, str, str, str]
ColumnKey = tuple[str, str, str, str, str]


@dataclass(frozen=True)
class Column:
    """One attack at one strength, or the clean images, for one judged model.

    Attributes
    ----------
    scenario : str
        What the attacker knows: ``gray-box``, ``transfer``, …
    source : str
        Name of the attacked model; "" for the clean images.
    judged : str
        Name of the judged model, which classifies the images.
    through : str
        Short name of the defense that the attack was made through; "" if the bare model was
        attacked.
    attack : str
        The attack's short name (``bim-eps=8``), or ``clean``.
    family : str
        The attack's name without parameters (``bim``), or ``clean``.
    strength_name : str
        ``eps`` (grey levels), ``d`` (dissimilarity), or "" if the attack has no strength.
    strength : float or None
    parameters : mapping
        All parameters of the attack.
    linf, l2, d : float arrays of shape (n,)
        The actual change of each image after rounding to 8 bits: in grey levels, as a norm in
        units of [0, 1], and relative to the image's norm. 0 for the clean images.
    found : bool array of shape (n,)
        False where an attack that minimizes the change found no adversarial image; the image is
        then benign.
    target : int64 array of shape (n,), or None
        The class that the attack was to reach; −1 for an image that was not attacked. None if any
        wrong class would do.
    rejected : bool array of shape (n,), or None
        Which images the detector rejects, as they are before any defense. None without a detector.
    """

    scenario: str
    source: str
    judged: str
    through: str
    attack: str
    family: str
    strength_name: str
    strength: float | None
    parameters: Mapping[str, Any]
    linf: NDArray[np.float64]
    l2: NDArray[np.float64]
    d: NDArray[np.float64]
    found: NDArray[np.bool_]
    target: NDArray[np.int64] | None = None
    rejected: NDArray[np.bool_] | None = None

    @property
    def threat(self) -> ThreatKey:
        """Scenario, attacked model and judged model."""
        return self.scenario, self.source, self.judged

    @property
    def key(self) -> ColumnKey:
        """A key that identifies the column."""
        return *self.threat, self.through, self.attack

    @property
    def attack_key(self) -> AttackKey:
        """A key that columns of the same attack share, whichever defense it was made through."""
        return *self.threat, self.attack


@dataclass(frozen=True)
class JudgedDefense:
    """A defense in an evaluation.

    Attributes
    ----------
    text : str
        Its short name with its strengths (``jpeg-quality=40``, ``bilateral+jpeg-quality=40``).
    kind : str
        Its name without parameters (``jpeg``, ``regionsparse``, ``none``).
    parameters : mapping
    seconds : float or None
        Mean time for one image on one core; ``None`` if unknown.
    """

    text: str
    kind: str
    parameters: Mapping[str, Any]
    seconds: float | None = None

    @property
    def is_ours(self) -> bool:
        """Whether it is RegionSparse, or a policy that cleans some images with it."""
        rules = self.parameters.get("rules", ()) if self.kind == "policy" else ()
        kinds = [self.kind, *(rule["defense"]["name"] for rule in rules)]
        return "regionsparse" in kinds

    @property
    def is_baseline(self) -> bool:
        """Whether it is neither ``none`` nor one of ours."""
        return self.kind != "none" and not self.is_ours


@dataclass(frozen=True)
class Trial:
    """The predictions of a column's judged model for all its images behind one defense.

    Attributes
    ----------
    column : ColumnKey
        The column's ``key``.
    defense : str
        The defense's ``text``.
    prediction : int64 array of shape (n,)
        Class indices; −1 for an image that could not be classified.
    probability : float32 array of shape (n,)
        Softmax probability of the predicted class.
    treated : Treated or None
        What was done to the images; None if the evaluation does not tell.
    """

    column: ColumnKey
    defense: str
    prediction: NDArray[np.int64]
    probability: NDArray[np.float32]
    treated: Treated | None = None


@dataclass(frozen=True)
class Check:
    """One check of the checklist (Carlini et al. 2019) with its outcome and its evidence.

    ``outcome`` is ``pass``, ``fail``, ``undecided`` or ``not run``. ``detail`` gives the numbers,
    how many images would decide an undecided check, or the reason why it was not run.
    """

    name: str
    scenario: str
    defense: str
    outcome: str
    detail: str


@dataclass(frozen=True)
class Evaluation:
    """A finished evaluation.

    Attributes
    ----------
    record : mapping
        Its record (``rsparse.store.records``): parameters, seed, and inputs with their records.
    model : str
        Name of the main model. In some scenarios other models judge as well.
    names, labels : tuple of str; int64 array of shape (n,)
        The judged images and their correct classes.
    only_correct : bool
        Whether only images that the undefended model classifies correctly were judged, as in the
        paper.
    left_out : int
        The number of images that were left out for that reason.
    class_names : tuple of str
    columns, defenses : tuple of Column, tuple of JudgedDefense
        In the order of the plan.
    trials : tuple of Trial
        At most one for each pair of a column and a defense.
    checks : tuple of Check
    """

    record: Mapping[str, Any]
    model: str
    names: tuple[str, ...]
    labels: NDArray[np.int64]
    only_correct: bool
    left_out: int
    class_names: tuple[str, ...]
    columns: tuple[Column, ...]
    defenses: tuple[JudgedDefense, ...]
    trials: tuple[Trial, ...]
    checks: tuple[Check, ...] = field(default=())

    @property
    def detector(self) -> Mapping[str, Any] | None:
        """The parameters of the detector, among them ``false_alarms``; None without one."""
        found: Mapping[str, Any] | None = self.record.get("parameters", {}).get("detector")
        return found

    def trial(self, column: Column, defense: JudgedDefense) -> Trial | None:
        """The trial of a column behind a defense; None if it was not tried there."""
        return self._by_column.get((column.key, defense.text))

    def trial_against(self, column: Column, defense: JudgedDefense) -> Trial | None:
        """The trial of a column's attack behind a defense, possibly from another column.

        An attack that was made through each defense has one column for each. This method finds the
        column that was made through ``defense``, so that defenses can be compared under the same
        attack.
        """
        return self.trial(column, defense) or self._by_attack.get((column.attack_key, defense.text))

    def column_against(self, column: Column, defense: JudgedDefense) -> Column:
        """The column of the trial from ``trial_against``; ``column`` itself if there is none."""
        trial = self.trial_against(column, defense)
        return column if trial is None else self._columns[trial.column]

    def correct(self, column: Column, defense: JudgedDefense) -> NDArray[np.bool_]:
        """Which images are classified correctly under an attack behind a defense, (n,).

        Raises
        ------
        KeyError
            If ``trial_against`` finds no trial.
        """
        trial = self.trial_against(column, defense)
        if trial is None:
            raise KeyError((column.key, defense.text))
        return trial.prediction == self.labels

    @cached_property
    def _columns(self) -> dict[ColumnKey, Column]:
        return {column.key: column for column in self.columns}

    @cached_property
    def _by_column(self) -> dict[tuple[ColumnKey, str], Trial]:
        return {(trial.column, trial.defense): trial for trial in self.trials}

    @cached_property
    def _by_attack(self) -> dict[tuple[AttackKey, str], Trial]:
        """Trials by attack and defense: made through the defense, else on the bare model."""
        trials: dict[tuple[AttackKey, str], Trial] = {}
        for trial in self.trials:
            column = self._columns.get(trial.column)
            if column is not None and column.through == trial.defense:
                trials[column.attack_key, trial.defense] = trial
            elif column is not None and not column.through:
                trials.setdefault((column.attack_key, trial.defense), trial)
        return trials
