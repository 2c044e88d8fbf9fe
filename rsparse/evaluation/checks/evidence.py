"""The evidence that the checks need in addition to the plan's own columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rsparse.evaluation.results import MADE_ELSEWHERE, Column, ColumnKey
from rsparse.evaluation.statistics import one_of_each_attack

Classes = NDArray[np.int64]


@dataclass(frozen=True)
class AttackRun:
    """What an attack did to the attacked model itself, without any defense.

    Attributes
    ----------
    before, unrounded, after : int64 arrays of shape (n,)
        That model's classes of the benign images, of the attacked ones, and of the attacked ones
        rounded to 8 bits; −1 for an image that was not attacked.
    seeks_minimum : bool
        Whether the attack seeks the smallest change; others use up the change that they are
        allowed.
    is_average : bool
        Whether the strength is a mean over the images instead of a limit for each.
    norm : str or None
        The norm of the limit if it is not given by the strength's name: ``l1``.
    strangers : int
        Number of attacked images that are closer to another benign image than to their own.
    is_best_of_search : bool
        Whether the result is the best image that the attack tried, which may be nearer than the
        limit.
    lowered : float64 array of shape (n,) or None
        The share of the attack's steps after which the loss was lower; NaN where no steps were
        compared.
    gradients : sequence of (tuple of str, str)
        Of each image that fell to a gradient through a defense: the backwards that were tried, in
        their order, and the one that found it.
    """

    before: Classes
    unrounded: Classes
    after: Classes
    seeks_minimum: bool = False
    is_average: bool = False
    norm: str | None = None
    strangers: int = 0
    is_best_of_search: bool = False
    lowered: NDArray[np.float64] | None = None
    gradients: Sequence[tuple[tuple[str, ...], str]] = ()


@dataclass(frozen=True)
class Evidence:
    """The evidence for one scenario and attacked model.

    Attributes
    ----------
    columns : sequence of Column
        The columns of the plan.
    huge_eps : sequence of Column
        Attacks with a huge eps.
    noise : sequence of Column
        Random noise.
    doubled_steps : (Column, Column) or None
        The strongest iterative attack, and the same with twice as many steps.
    long : Column or None
        Many steps of BIM on the attacked model, judged without a defense.
    search : sequence of Column
        A search without gradients on the attacked model: through each defense if the attacks are,
        or else judged without a defense.
    runs : mapping
        By column key, what the attack did to the attacked model.
    digests : mapping
        By column key, the SHA-256 of each image's file; of the columns above, too.
    other : str
        Name of the scenario's second model; "" if it needs none.
    is_same_model : bool
        Whether that second model is a copy of the evaluation's own.
    values : int or None
        Number of values in an attacked image: height × width × 3.
    """

    columns: Sequence[Column]
    huge_eps: Sequence[Column] = ()
    noise: Sequence[Column] = ()
    doubled_steps: tuple[Column, Column] | None = None
    long: Column | None = None
    search: Sequence[Column] = ()
    runs: Mapping[ColumnKey, AttackRun] = field(default_factory=dict)
    digests: Mapping[ColumnKey, Sequence[str]] = field(default_factory=dict)
    other: str = ""
    is_same_model: bool = False
    values: int | None = None

    @property
    def attacks(self) -> list[Column]:
        """One column for each attack, whichever defense it was made through."""
        return one_of_each_attack(self.columns)

    @property
    def is_adaptive(self) -> bool:
        """Whether the attacks were made through the defenses."""
        return any(column.through for column in self.columns)

    @property
    def is_white_box(self) -> bool:
        """Whether the attacked model is the one that is judged."""
        return self.columns[0].source == self.columns[0].judged

    @property
    def is_given(self) -> bool:
        """Whether another program made the adversarial images."""
        return self.columns[0].scenario == MADE_ELSEWHERE

    @property
    def has_extra(self) -> bool:
        """Whether the attacks that only the checks need were made."""
        return bool(self.huge_eps or self.noise)

    @property
    def scenario(self) -> str:
        """The name of the scenario, with that of its second model."""
        first = self.columns[0]
        return f"{first.scenario}: {self.other}" if self.other else first.scenario


@dataclass(frozen=True)
class ModelAnswers:
    """A model's classes of some images.

    Attributes
    ----------
    given : int64 array of shape (m,)
        For the input as it is given.
    others : mapping of str to int64 array of shape (m,)
        For other inputs, by what differs (``channel order bgr``); empty if all images are right.
    """

    given: Classes
    others: Mapping[str, Classes] = field(default_factory=dict)


@dataclass(frozen=True)
class ImageEvidence:
    """The evidence on the images, and on how the models read them.

    Attributes
    ----------
    most_frequent : float
        Share of the most frequent label among all images with a label, selected or not.
    labels : int64 array of shape (m,)
        Labels of some of these images.
    answers : mapping of str to ModelAnswers
        Each model's classes of them, by its name; the main model is first.
    copies : sequence of (str, str)
        Pairs of judged images that show the same picture.
    unreadable : int
        Number of images that could not be read.
    learned_from : sequence of str
        The models and dictionaries that were made from the judged images.
    """

    most_frequent: float
    labels: Classes
    answers: Mapping[str, ModelAnswers] = field(default_factory=dict)
    copies: Sequence[tuple[str, str]] = ()
    unreadable: int = 0
    learned_from: Sequence[str] = ()

    @property
    def predictions(self) -> Classes:
        """The main model's classes."""
        return next(iter(self.answers.values())).given


@dataclass(frozen=True)
class DefenseEvidence:
    """The evidence on one defense, from cleaning a few images several times.

    Attributes
    ----------
    is_random : bool
        Whether it says that it draws random numbers.
    is_repeatable : bool
        Whether it cleans an image in the same way twice.
    follows_seed : bool
        Whether another seed changes the result.
    adds_one_pattern : bool
        Whether it changes every image in the same way.
    draws : mapping of ColumnKey to sequence of int64 array of shape (n,)
        The judged model's classes behind the defense with other seeds.
    """

    is_random: bool
    is_repeatable: bool = True
    follows_seed: bool = True
    adds_one_pattern: bool = False
    draws: Mapping[ColumnKey, Sequence[Classes]] = field(default_factory=dict)
