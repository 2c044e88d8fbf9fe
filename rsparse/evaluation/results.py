"""What an evaluation found: every defense against every attack, image by image.

An ``Evaluation`` is a table whose rows are images. Each ``Column`` holds what one attack did to
them, each ``Trial`` what the classifier then said of them behind one defense. Not every column is
tried behind every defense: one that was made through a defense is tried behind that one only. All
numbers that a report prints are made from these by ``rsparse.evaluation.statistics``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

CLEAN = "clean"
GRAY_BOX = "gray-box"
TRANSFER = "transfer"
BLACK_BOX = "black-box"
EXTENDED_GRAY_BOX = "extended-gray-box"
ADVERSARIAL_TRAINING = "adversarial-training"
ADVERSARIAL_TRAINING_BLACK_BOX = f"{ADVERSARIAL_TRAINING}-{BLACK_BOX}"

ThreatKey = tuple[str, str, str]
AttackKey = tuple[str, str, str, str]
ColumnKey = tuple[str, str, str, str, str]


@dataclass(frozen=True)
class Column:
    """One attack at one strength before one judge, or the clean images before it.

    Attributes
    ----------
    scenario : str
        ``gray-box``, ``transfer``, …; what the attacker knew.
    source : str
        Name of the model that was attacked; "" for the clean images.
    judged : str
        Name of the model that was shown the images.
    through : str
        Short name of the defense that the attack was made through; "" where the bare model was
        attacked.
    attack : str
        The attack's short name (``bim-eps=8``), or ``clean``.
    family : str
        The name of its kind (``bim``), or ``clean``.
    strength_name : str
        ``eps`` (grey levels), ``d`` (dissimilarity), or "" where the attack has no strength.
    strength : float or None
    parameters : mapping
        All the attack's parameters.
    linf, l2, d : float arrays of shape (n,)
        The change really made to each image after rounding to 8 bits: grey levels, norm in units
        of [0, 1], and relative to the image's norm. 0 for the clean images.
    found : bool array of shape (n,)
        False where an attack that seeks the least change found nothing; the image is then benign.
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

    @property
    def threat(self) -> ThreatKey:
        """Scenario, attacked model and judged model."""
        return self.scenario, self.source, self.judged

    @property
    def key(self) -> ColumnKey:
        """What tells a column from all others."""
        return *self.threat, self.through, self.attack

    @property
    def attack_key(self) -> AttackKey:
        """What it has in common with columns of the same attack through other defenses."""
        return *self.threat, self.attack


@dataclass(frozen=True)
class Defended:
    """A defense that was judged.

    Attributes
    ----------
    text : str
        Its short name with its strengths (``jpeg-quality=40``, ``bilateral+jpeg-quality=40``).
    kind : str
        Its name without parameters (``jpeg``, ``regionsparse``, ``none``).
    parameters : mapping
    seconds : float or None
        Mean time of one core for one image; ``None`` where it is not known.
    """

    text: str
    kind: str
    parameters: Mapping[str, Any]
    seconds: float | None = None

    @property
    def is_ours(self) -> bool:
        """Whether it is RegionSparse, or a policy that cleans some images by it."""
        rules = self.parameters.get("rules", ()) if self.kind == "policy" else ()
        kinds = [self.kind, *(rule["defense"]["name"] for rule in rules)]
        return "regionsparse" in kinds

    @property
    def is_baseline(self) -> bool:
        """Whether it is a defense other than ours and other than none."""
        return self.kind != "none" and not self.is_ours


@dataclass(frozen=True)
class Trial:
    """A column behind a defense: what the column's judge says of all its images there.

    Attributes
    ----------
    column : ColumnKey
        The column's ``key``.
    defense : str
        The defense's ``text``.
    prediction : int64 array of shape (n,)
        Class indices; −1 for an image that could not be judged.
    probability : float32 array of shape (n,)
        Softmax probability of the predicted class.
    """

    column: ColumnKey
    defense: str
    prediction: NDArray[np.int64]
    probability: NDArray[np.float32]


@dataclass(frozen=True)
class Check:
    """One item of the checklist (Carlini et al. 2019) with its outcome and its evidence.

    ``outcome`` is ``pass``, ``fail`` or ``not run``; ``detail`` tells the numbers, or why it was
    not run.
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
        Its record (``rsparse.store.records``): parameters, seed, inputs with their records.
    model : str
        Name of the model that the evaluation is about; some scenarios judge others beside it.
    names, labels : tuple of str; int64 array of shape (n,)
        The images judged, and their right classes.
    only_correct : bool
        Whether only images that the undefended model gets right were judged, as in the paper.
    left_out : int
        Images that were left out for that reason.
    class_names : tuple of str
    columns, defenses : tuple of Column, tuple of Defended
        In the order of the plan.
    trials : tuple of Trial
        Of columns behind defenses, each pair at most once.
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
    defenses: tuple[Defended, ...]
    trials: tuple[Trial, ...]
    checks: tuple[Check, ...] = field(default=())

    def trial(self, column: Column, defense: Defended) -> Trial | None:
        """The trial of a column behind a defense; None where it was not tried there."""
        return self._by_column.get((column.key, defense.text))

    def trial_against(self, column: Column, defense: Defended) -> Trial | None:
        """The trial of an attack behind a defense: of the column, or of one like it.

        An attack that was made through each defense is a column for each. This finds the one that
        was made through ``defense``, so that defenses can be compared under the same attack.
        """
        return self.trial(column, defense) or self._by_attack.get((column.attack_key, defense.text))

    def column_against(self, column: Column, defense: Defended) -> Column:
        """The column that ``trial_against`` tells of; ``column`` itself where there is none."""
        trial = self.trial_against(column, defense)
        return column if trial is None else self._columns[trial.column]

    def correct(self, column: Column, defense: Defended) -> NDArray[np.bool_]:
        """Which images are classified rightly under an attack behind a defense, (n,).

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
        """Trials by attack and defense: through the defense itself, else of the bare model."""
        found: dict[tuple[AttackKey, str], Trial] = {}
        for trial in self.trials:
            column = self._columns.get(trial.column)
            if column is not None and column.through == trial.defense:
                found[column.attack_key, trial.defense] = trial
            elif column is not None and not column.through:
                found.setdefault((column.attack_key, trial.defense), trial)
        return found
