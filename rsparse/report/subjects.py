"""What a report talks about: the defense it judges, the baselines beside it, the attacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rsparse.errors import InputError
from rsparse.evaluation.estimates import per_image
from rsparse.evaluation.results import CLEAN, GRAY_BOX, Column, Evaluation, JudgedDefense
from rsparse.evaluation.statistics import attacked_columns, one_of_each_attack, tried_behind
from rsparse.options.specs import nearest

UNDEFENDED = "none"
MOST_FEATURED = 7


@dataclass(frozen=True)
class Family:
    """One kind of attack by one attacker, at its strengths in rising order.

    ``key`` can be part of a file name; ``columns`` holds one column where it has no strength.
    """

    key: str
    title: str
    scenario: str
    source: str
    strength_name: str
    columns: tuple[Column, ...]

    @property
    def middle(self) -> Column:
        """The (lower) median of its strengths."""
        return self.columns[(len(self.columns) - 1) // 2]

    @property
    def strongest(self) -> Column:
        """The column of the largest strength."""
        return self.columns[-1]


@dataclass(frozen=True)
class Subjects:
    """The parts of an evaluation under the names that a report calls them by.

    Attributes
    ----------
    evaluation : Evaluation
    cleans : mapping of str to Column
        The columns of the clean images by their judge.
    scenarios : tuple of str
        Gray-box first where it was run, else in the order of the plan. Where several models judge
        in a scenario, each has its own, named after it.
    families : tuple of Family
    judged : JudgedDefense or None
        The defense the verdict is about: the first of the plan that is RegionSparse or a policy
        that holds it, else the first other defense, else none.
    ablations : tuple of JudgedDefense
        All such settings of RegionSparse.
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
        """The one that the verdict is about."""
        return self.scenarios[0]

    @property
    def clean(self) -> Column | None:
        """The clean images before the judge of the main scenario."""
        return self.clean_of(self.main_scenario)

    def columns(self, scenario: str) -> list[Column]:
        """The attacked columns of a scenario, one of each attack."""
        return list(self._columns.get(scenario, ()))

    def all_columns(self, scenario: str) -> list[Column]:
        """Those of the same attack through several defenses too."""
        keys = {column.attack_key for column in self.columns(scenario)}
        return [column for column in self.evaluation.columns if column.attack_key in keys]

    @cached_property
    def _columns(self) -> dict[str, list[Column]]:
        attacked = one_of_each_attack(attacked_columns(self.evaluation))
        found: dict[str, list[Column]] = {}
        for column, name in zip(attacked, scenario_names(attacked), strict=True):
            found.setdefault(name, []).append(column)
        return found

    def clean_of(self, scenario: str) -> Column | None:
        """The clean images before the judge of a scenario."""
        return self.cleans.get(self.judge_of(scenario))

    def judge_of(self, scenario: str) -> str:
        """The model that is shown the images of a scenario."""
        return self.columns(scenario)[0].judged

    def counterpart(self, scenario: str) -> str | None:
        """The gray-box scenario, where this is one of another judge and both have its attacks."""
        wanted = {column.attack for column in self.columns(scenario)}
        if self.judge_of(scenario) == self.evaluation.model or GRAY_BOX not in self.scenarios:
            return None
        same = wanted == {column.attack for column in self.columns(GRAY_BOX)}
        return GRAY_BOX if same else None

    def families_of(self, scenario: str) -> list[Family]:
        """The kinds of attacks of a scenario."""
        return [family for family in self.families if family.scenario == scenario]

    def mean(self, defense: JudgedDefense, scenario: str) -> float:
        """Mean accuracy over the attacked columns of a scenario."""
        return float(per_image(self.evaluation, defense, self.columns(scenario)).mean())

    def is_adaptive(self, scenario: str) -> bool:
        """Whether the attacks of a scenario were made through the defenses."""
        return any(column.through for column in self.all_columns(scenario))

    def best_baseline(self, scenario: str) -> JudgedDefense | None:
        """The baseline with the largest mean over a scenario; the first of several."""
        baselines = self._baselines(scenario)
        if not baselines:
            return None
        return max(baselines, key=lambda defense: self.mean(defense, scenario))

    def featured(self, scenario: str) -> list[JudgedDefense]:
        """The defenses that a chart shows in colour: ours, none, the best of each other kind."""
        best: dict[str, JudgedDefense] = {}
        for defense in sorted(
            self._baselines(scenario),
            key=lambda defense: self.mean(defense, scenario),
            reverse=True,
        ):
            best.setdefault(defense.kind, defense)
        first = [defense for defense in (self.judged, self.undefended) if defense is not None]
        others = [defense for defense in best.values() if defense not in first]
        return [*first, *others][:MOST_FEATURED]

    def _baselines(self, scenario: str) -> list[JudgedDefense]:
        """Those that were tried in a scenario."""
        return [
            defense
            for defense in self.evaluation.defenses
            if defense.is_baseline
            and defense is not self.judged
            and tried_behind(self.evaluation, defense, self.columns(scenario))
        ]


def find_subjects(evaluation: Evaluation, judged: str | None = None) -> Subjects:
    """Sort an evaluation's columns and defenses.

    Parameters
    ----------
    evaluation : Evaluation
    judged : str, optional
        Short name of the defense that the verdict is to be about.

    Raises
    ------
    InputError
        If there is no such defense, or the evaluation holds no attack.
    """
    attacked = one_of_each_attack(attacked_columns(evaluation))
    if not attacked:
        raise InputError("the evaluation holds no attack, so there is nothing to report")
    scenarios = list(dict.fromkeys(scenario_names(attacked)))
    scenarios.sort(key=lambda scenario: scenario != GRAY_BOX)
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
    """The scenario of each column; with its judge where others judge in that scenario too."""
    judges: dict[str, set[str]] = {}
    for column in attacked:
        judges.setdefault(column.scenario, set()).add(column.judged)
    return [
        c.scenario if len(judges[c.scenario]) == 1 else f"{c.scenario}: {c.judged}"
        for c in attacked
    ]


def _judged(defenses: Sequence[JudgedDefense], wanted: str | None) -> JudgedDefense | None:
    named = {defense.text: defense for defense in defenses}
    if wanted is not None:
        if wanted not in named:
            guess = nearest(wanted, named)
            hint = f"; did you mean {guess}?" if guess else ""
            raise InputError(f"the evaluation has no defense {wanted!r}{hint}")
        return named[wanted]
    ranked = sorted(defenses, key=lambda defense: not defense.is_ours)
    return next((defense for defense in ranked if defense.kind != UNDEFENDED), None)


def _families(attacked: Sequence[Column]) -> list[Family]:
    groups: dict[tuple[Any, ...], list[Column]] = {}
    for column in attacked:
        rest = tuple(sorted((key, repr(value)) for key, value in _rest(column).items()))
        groups.setdefault((*column.threat, column.family, rest), []).append(column)
    sources: dict[str, set[str]] = {}
    names = scenario_names(attacked)
    named = {column.key: name for column, name in zip(attacked, names, strict=True)}
    for column, scenario in zip(attacked, names, strict=True):
        sources.setdefault(scenario, set()).add(column.source)
    found: list[Family] = []
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
        key = _file_word(f"{scenario}-{title}", keys)
        found.append(Family(key, title, scenario, source, columns[0].strength_name, tuple(columns)))
    return found


def _rest(column: Column) -> Mapping[str, Any]:
    """An attack's parameters without its strength, which it may hold under another name."""
    strengths = {column.strength_name, "eps", "d", "average_d"}
    return {key: value for key, value in column.parameters.items() if key not in strengths}


def _difference(column: Column, alike: Sequence[Column]) -> str:
    """The parameters in which an attack differs from others of its name."""
    differing = [
        key for key in _rest(column) if len({repr(_rest(other).get(key)) for other in alike}) > 1
    ]
    if not differing:
        return ""
    return " (" + ", ".join(f"{key}={_rest(column)[key]}" for key in differing) + ")"


def _file_word(text: str, taken: set[str]) -> str:
    """``text`` as part of a file name, unlike those taken before."""
    word = "".join(c if c.isascii() and c.isalnum() else "-" for c in text).strip("-")
    word = "-".join(part for part in word.split("-") if part)[:80] or "attack"
    unique, number = word, 2
    while unique.lower() in taken:
        unique, number = f"{word}-{number}", number + 1
    taken.add(unique.lower())
    return unique
