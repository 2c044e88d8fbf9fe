"""The subjects of a report: the judged defense, the baselines, the scenarios and the attacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rsparse.errors import InputError
from rsparse.evaluation.estimates import per_image
from rsparse.evaluation.names import ADAPTIVE, GRAY_BOX
from rsparse.evaluation.results import CLEAN, Column, Evaluation, JudgedDefense
from rsparse.evaluation.statistics import attacked_columns, one_of_each_attack, tried_behind
from rsparse.options.specs import nearest

UNDEFENDED = "none"
MOST_FEATURED = 7
_FIRST = {ADAPTIVE: 0, GRAY_BOX: 1}


@dataclass(frozen=True)
class Family:
    """One kind of attack in one scenario, at increasing strengths.

    ``key`` can be used in file names. ``columns`` has one column if the attack has no strength.
    """

    key: str
    title: str
    scenario: str
    source: str
    strength_name: str
    columns: tuple[Column, ...]

    @property
    def middle(self) -> Column:
        """The column of the (lower) median strength."""
        return self.columns[(len(self.columns) - 1) // 2]

    @property
    def strongest(self) -> Column:
        """The column of the largest strength."""
        return self.columns[-1]


@dataclass(frozen=True)
class Subjects:
    """The parts of an evaluation, sorted by their role in a report.

    Attributes
    ----------
    evaluation : Evaluation
    cleans : mapping of str to Column
        The columns of the clean images, by judged model.
    scenarios : tuple of str
        Adaptive and gray-box come first if they were run; the others keep the order of the plan. A
        scenario with several judged models is split into one for each, and the model is part of its
        name.
    families : tuple of Family
    judged : JudgedDefense or None
        The defense of the verdict: the first in the plan that is RegionSparse or a policy that
        contains it, or else the first other defense, if any.
    ablations : tuple of JudgedDefense
        All settings of RegionSparse, and all policies that contain it.
    undefended : JudgedDefense or None
    """

    evaluation: Evaluation
    cleans: Mapping[str, Column]
    scenarios: tuple[str, ...]
    families: tuple[Family, ...]
    judged: JudgedDefense | None
    ablations: tuple[JudgedDefense, ...]
    undefended: JudgedDefense | None

    @property
    def main_scenario(self) -> str:
        """The scenario of the key numbers and of most sections."""
        return self.scenarios[0]

    @property
    def clean(self) -> Column | None:
        """The clean images for the judged model of the main scenario."""
        return self.clean_of(self.main_scenario)

    def columns(self, scenario: str) -> list[Column]:
        """The attacked columns of a scenario, one for each attack."""
        return list(self._columns.get(scenario, ()))

    def all_columns(self, scenario: str) -> list[Column]:
        """The attacked columns of a scenario, also those of one attack through several defenses."""
        keys = {column.attack_key for column in self.columns(scenario)}
        return [column for column in self.evaluation.columns if column.attack_key in keys]

    @cached_property
    def _columns(self) -> dict[str, list[Column]]:
        attacked = one_of_each_attack(attacked_columns(self.evaluation))
        columns: dict[str, list[Column]] = {}
        for column, name in zip(attacked, scenario_names(attacked), strict=True):
            columns.setdefault(name, []).append(column)
        return columns

    def clean_of(self, scenario: str) -> Column | None:
        """The clean images for the judged model of a scenario."""
        return self.cleans.get(self.judged_model(scenario))

    def judged_model(self, scenario: str) -> str:
        """The judged model of a scenario: the one that classifies its images."""
        return self.columns(scenario)[0].judged

    def counterpart(self, scenario: str) -> str | None:
        """The gray-box scenario, if another model is judged here under the same attacks."""
        attacks = {column.attack for column in self.columns(scenario)}
        if self.judged_model(scenario) == self.evaluation.model or GRAY_BOX not in self.scenarios:
            return None
        same = attacks == {column.attack for column in self.columns(GRAY_BOX)}
        return GRAY_BOX if same else None

    def families_of(self, scenario: str) -> list[Family]:
        """The kinds of attacks in a scenario."""
        return [family for family in self.families if family.scenario == scenario]

    def mean(self, defense: JudgedDefense, scenario: str) -> float:
        """Mean accuracy over the attacked columns of a scenario."""
        return float(per_image(self.evaluation, defense, self.columns(scenario)).mean())

    def is_adaptive(self, scenario: str) -> bool:
        """Whether the attacks in a scenario were made through the defenses."""
        return any(column.through for column in self.all_columns(scenario))

    def best_baseline(self, scenario: str) -> JudgedDefense | None:
        """The baseline with the largest mean over a scenario; ties go to the first."""
        baselines = self.baselines(scenario)
        if not baselines:
            return None
        return max(baselines, key=lambda defense: self.mean(defense, scenario))

    def featured(self, scenario: str) -> list[JudgedDefense]:
        """The defenses that a chart draws in colour: judged, none, the best of each other kind."""
        best: dict[str, JudgedDefense] = {}
        for defense in sorted(
            self.baselines(scenario),
            key=lambda defense: self.mean(defense, scenario),
            reverse=True,
        ):
            best.setdefault(defense.kind, defense)
        first = [defense for defense in (self.judged, self.undefended) if defense is not None]
        others = [defense for defense in best.values() if defense not in first]
        return [*first, *others][:MOST_FEATURED]

    def baselines(self, scenario: str) -> list[JudgedDefense]:
        """The baselines that were tried in a scenario."""
        return [
            defense
            for defense in self.evaluation.defenses
            if defense.is_baseline
            and defense is not self.judged
            and tried_behind(self.evaluation, defense, self.columns(scenario))
        ]


def find_subjects(evaluation: Evaluation, judged: str | None = None) -> Subjects:
    """Sort the columns and defenses of an evaluation by their role in a report.

    Parameters
    ----------
    evaluation : Evaluation
    judged : str, optional
        Short name of the defense for the verdict.

    Raises
    ------
    InputError
        If there is no such defense, or the evaluation contains no attack.
    """
    attacked = one_of_each_attack(attacked_columns(evaluation))
    if not attacked:
        raise InputError("the evaluation contains no attack, so there is nothing to report")
    scenarios = list(dict.fromkeys(scenario_names(attacked)))
    scenarios.sort(key=lambda scenario: _FIRST.get(scenario, len(_FIRST)))
    defenses = evaluation.defenses
    return Subjects(
        evaluation,
        {column.judged: column for column in evaluation.columns if column.family == CLEAN},
        tuple(scenarios),
        tuple(_families(attacked)),
        _judged(defenses, judged),
        tuple(defense for defense in defenses if defense.is_ours),
        next((defense for defense in defenses if defense.kind == UNDEFENDED), None),
    )


def scenario_names(attacked: Sequence[Column]) -> list[str]:
    """The scenario of each column; with the judged model if the scenario has several."""
    models: dict[str, set[str]] = {}
    for column in attacked:
        models.setdefault(column.scenario, set()).add(column.judged)
    return [
        c.scenario if len(models[c.scenario]) == 1 else f"{c.scenario}: {c.judged}"
        for c in attacked
    ]


def _judged(defenses: Sequence[JudgedDefense], name: str | None) -> JudgedDefense | None:
    named = {defense.text: defense for defense in defenses}
    if name is not None:
        if name not in named:
            guess = nearest(name, named)
            hint = f"; did you mean {guess}?" if guess else ""
            raise InputError(f"the evaluation has no defense {name!r}{hint}")
        return named[name]
    ranked = sorted(defenses, key=lambda defense: not defense.is_ours)
    return next((defense for defense in ranked if defense.kind != UNDEFENDED), None)


def _families(attacked: Sequence[Column]) -> list[Family]:
    groups: dict[tuple[Any, ...], list[Column]] = {}
    for column in attacked:
        rest = tuple(sorted((key, repr(value)) for key, value in _other_parameters(column).items()))
        groups.setdefault((*column.threat, column.family, rest), []).append(column)
    sources: dict[str, set[str]] = {}
    names = scenario_names(attacked)
    named = {column.key: name for column, name in zip(attacked, names, strict=True)}
    for column, scenario in zip(attacked, names, strict=True):
        sources.setdefault(scenario, set()).add(column.source)
    families: list[Family] = []
    keys: set[str] = set()
    for (_, source, judged, name, _), columns in groups.items():
        alike = [
            g for g in groups.values() if g[0].threat == columns[0].threat and g[0].family == name
        ]
        title = name + _difference(columns[0], [g[0] for g in alike])
        scenario = named[columns[0].key]
        if source and (source != judged or len(sources[scenario]) > 1):
            title += f", made on {source}"
        columns.sort(key=lambda column: column.strength or 0.0)
        key = unique_key(f"{scenario}-{title}", keys)
        strength_name = columns[0].strength_name
        families.append(Family(key, title, scenario, source, strength_name, tuple(columns)))
    return families


def _other_parameters(column: Column) -> Mapping[str, Any]:
    """The parameters of an attack without its strength, whatever the parameter is called."""
    strengths = {column.strength_name, "eps", "d", "average_d"}
    return {key: value for key, value in column.parameters.items() if key not in strengths}


def _difference(column: Column, alike: Sequence[Column]) -> str:
    """The parameters in which an attack differs from others with the same name."""
    differing = [
        key
        for key in _other_parameters(column)
        if len({repr(_other_parameters(other).get(key)) for other in alike}) > 1
    ]
    if not differing:
        return ""
    return " (" + ", ".join(f"{key}={_other_parameters(column)[key]}" for key in differing) + ")"


def unique_key(text: str, taken: set[str]) -> str:
    """Turn ``text`` into a unique part of a file name."""
    word = "".join(c if c.isascii() and c.isalnum() else "-" for c in text).strip("-")
    word = "-".join(part for part in word.split("-") if part)[:80] or "attack"
    unique, number = word, 2
    while unique.lower() in taken:
        unique, number = f"{word}-{number}", number + 1
    taken.add(unique.lower())
    return unique
