"""What an evaluation is required to show: ``adaptive.eps=2>=0.1``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rsparse.core.metrics import Estimate
from rsparse.errors import InputError
from rsparse.evaluation.results import CLEAN, Column, Evaluation, JudgedDefense
from rsparse.evaluation.statistics import (
    accuracy,
    attacked_columns,
    clean_column,
    share,
    tried_behind,
    worst_case,
)

_FORM = re.compile(r"(?P<where>.+?)\s*>=\s*(?P<least>[0-9]*\.?[0-9]+)(?P<percent>\s*%)?")
EXAMPLE = "adaptive.eps=2>=0.1"


@dataclass(frozen=True)
class Requirement:
    """At least a share of the images has to be right under the attacks that all words name.

    Attributes
    ----------
    text : str
        As the user wrote it.
    words : tuple of str
        Scenarios, attacks (``bim``, ``bim-eps=8``), strengths or other parameters (``eps=2``),
        defenses (``jpeg-quality=40``), or ``clean`` for the images that were not attacked.
    least : float
        From 0 to 1.
    """

    text: str
    words: tuple[str, ...]
    least: float


@dataclass(frozen=True)
class Outcome:
    """What an evaluation shows about a requirement.

    ``found`` is the share of images that are right without an attack and under each of the
    ``attacks``, behind ``defense``.
    """

    requirement: Requirement
    defense: str
    attacks: int
    found: Estimate

    @property
    def is_met(self) -> bool:
        """Whether the share is large enough."""
        return self.found.value >= self.requirement.least

    @property
    def sentence(self) -> str:
        """The outcome in words."""
        found, least = self.found, self.requirement.least
        against = (
            f"under each of {self.attacks} attacks" if self.attacks > 1 else "under the attack"
        )
        against = against if self.attacks else "without an attack"
        return (
            f"{self.requirement.text}: {'met' if self.is_met else 'NOT met'}: {found.value:.3f} of "
            f"{found.n} images are right {against} behind {self.defense} (95 % interval "
            f"{found.low:.3f} to {found.high:.3f}), required {least:g}"
        )

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "requirement": self.requirement.text,
            "met": self.is_met,
            "found": self.found.value,
            "low": self.found.low,
            "high": self.found.high,
            "n": self.found.n,
            "defense": self.defense,
        }


def parse_requirement(text: str) -> Requirement:
    """Read a requirement; its words are joined by dots.

    Raises
    ------
    InputError
        If it has another form, or its share is not from 0 to 1.
    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise InputError(f"require: expected WHERE>=SHARE, such as {EXAMPLE}, got {text!r}")
    least = float(found["least"]) / (100 if found["percent"] else 1)
    if least > 1:
        raise InputError(f"require: expected a share from 0 to 1, or in %, got {text!r}")
    words = re.split(r"\.(?=[^\d.])", found["where"].strip())  # but not in d=0.05
    if not all(words):
        raise InputError(f"require: expected WHERE>=SHARE, such as {EXAMPLE}, got {text!r}")
    return Requirement(text.strip(), tuple(words), least)


def judge_requirement(
    evaluation: Evaluation, requirement: Requirement, defense: JudgedDefense
) -> Outcome:
    """Measure what a requirement is about.

    Parameters
    ----------
    evaluation : Evaluation
    requirement : Requirement
    defense : JudgedDefense
        Used if no word names one.

    Raises
    ------
    InputError
        If the evaluation has nothing that a word, or all words together, name.
    """
    columns: Sequence[Column] = evaluation.columns
    is_clean = False
    for word in requirement.words:
        named = next((d for d in evaluation.defenses if word in (d.text, d.kind)), None)
        kept = [column for column in columns if _is_named(column, word)]
        if named is not None and not kept:
            defense = named
        elif kept:
            columns, is_clean = kept, is_clean or word == CLEAN
        else:
            raise InputError(_unknown(evaluation, requirement, word))
    if is_clean:
        column = clean_column(evaluation, columns[0].judged)
        return Outcome(requirement, defense.text, 0, accuracy(evaluation, column, defense))
    kinds = {column.key for column in attacked_columns(evaluation)}
    columns = tried_behind(evaluation, defense, [c for c in columns if c.key in kinds])
    if not columns:
        raise InputError(f"require: no attack was tried behind {defense.text}: {requirement.text}")
    flags = share(worst_case(evaluation, defense, columns))
    return Outcome(requirement, defense.text, len(columns), flags)


def _is_named(column: Column, word: str) -> bool:
    if word in (column.scenario, column.family, column.attack):
        return True
    name, equals, value = word.partition("=")
    if not equals or column.family == CLEAN:
        return False
    known = dict(column.parameters)
    if column.strength_name:
        known[column.strength_name] = column.strength
    if name not in known:
        return False
    try:
        return float(value) == float(known[name])
    except (TypeError, ValueError):
        return value == str(known[name])


def _unknown(evaluation: Evaluation, requirement: Requirement, word: str) -> str:
    columns = attacked_columns(evaluation)
    strengths = {f"{c.strength_name}={c.strength:g}" for c in columns if c.strength is not None}
    known = [
        *dict.fromkeys(column.scenario for column in columns),
        *dict.fromkeys(column.family for column in columns),
        *sorted(strengths, key=lambda text: (text.partition("=")[0], float(text.split("=")[1]))),
        *(defense.text for defense in evaluation.defenses),
        CLEAN,
    ]
    return (
        f"require: the evaluation has no {word!r} (in {requirement.text}); "
        f"it has {', '.join(dict.fromkeys(known))}"
    )
