"""The paper's Table II: adversarial training, the judged defense, and both together."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby

from rsparse.evaluation.evidence import SIGNIFICANT
from rsparse.evaluation.results import ADVERSARIAL_TRAINING, GRAY_BOX, Column, Defended
from rsparse.evaluation.statistics import mcnemar
from rsparse.report.estimates import share
from rsparse.report.subjects import Subjects
from rsparse.report.tables import Table, Value, share_value, strength_head

NOTE = (
    "Each model is attacked itself, without its defense. Strengths are the paper's where an attack "
    "was run at all three of them."
)
PAPER_STRENGTHS = {"eps": (2.0, 14.0, 22.0), "d": (0.01, 0.14, 0.2)}
Row = tuple[str, str, Defended]


def rows_of(subjects: Subjects) -> list[Row]:
    """Name, scenario and defense of the four rows; none where one of them was not evaluated."""
    ours, none = subjects.judged, subjects.undefended
    if (
        ours is None
        or none is None
        or not {GRAY_BOX, ADVERSARIAL_TRAINING} <= set(subjects.scenarios)
    ):
        return []
    name = "RegionSparse" if ours.kind == "regionsparse" else ours.text
    return [
        ("Normal", GRAY_BOX, none),
        ("FGSM Adversarial", ADVERSARIAL_TRAINING, none),
        (name, GRAY_BOX, ours),
        (f"{name} + FGSM Adversarial", ADVERSARIAL_TRAINING, ours),
    ]


def table_two(subjects: Subjects) -> Table | None:
    """The four rows; columns are the clean images and the attacks that both models had."""
    rows = rows_of(subjects)
    if not rows:
        return None
    pairs = columns_of(subjects)
    lines = [
        (
            Value(name, name),
            *(share_value(share(subjects.evaluation, pair[scenario], defense)) for pair in pairs),
        )
        for name, scenario, defense in rows
    ]
    heads = [_head(pair[GRAY_BOX]) for pair in pairs]
    marked = tuple(defense is subjects.judged for _, _, defense in rows)
    return Table(("", *heads), tuple(lines), (False, *[True] * len(heads)), marked)


def order_sentence(subjects: Subjects) -> str:
    """In which attacked columns both ≥ each alone ≥ normal, as the paper finds in all.

    Of the others it tells in which McNemar's paired test finds the order contradicted, not
    corrected for how many are tested.
    """
    if not rows_of(subjects):
        return ""
    broken, certain, n = [], [], 0
    for pair in columns_of(subjects):
        if pair[GRAY_BOX] is subjects.cleans.get(subjects.judge_of(GRAY_BOX)):
            continue
        n += 1
        p = _contradicted(subjects, pair)
        if p is None:
            continue
        broken.append(_head(pair[GRAY_BOX]))
        if p < SIGNIFICANT:
            certain.append(broken[-1])
    text = f"Both together ≥ each alone ≥ normal holds in {n - len(broken)} of {n} attacked columns"
    if not broken:
        return f"{text}."
    return (
        f"{text}; not in {', '.join(broken)}. Beyond chance (McNemar's p < {SIGNIFICANT:g}) the "
        f"order is contradicted in {', '.join(certain) or 'none of these'}."
    )


def _contradicted(subjects: Subjects, pair: Mapping[str, Column]) -> float | None:
    """The least p of what breaks the order in a column; none where it holds."""
    evaluation = subjects.evaluation
    normal, trained, ours, both = (
        evaluation.correct(pair[scenario], defense) for _, scenario, defense in rows_of(subjects)
    )
    wanted = ((both, trained), (both, ours), (trained, normal), (ours, normal))
    broken = [mcnemar(more, less) for more, less in wanted if more.mean() < less.mean()]
    return min(broken, default=None)


def columns_of(subjects: Subjects) -> list[dict[str, Column]]:
    """The column of each scenario: of the clean images, then of each attack that both have."""
    found = []
    clean = {s: subjects.clean_of(s) for s in (GRAY_BOX, ADVERSARIAL_TRAINING)}
    if None not in clean.values():
        found.append({s: column for s, column in clean.items() if column is not None})
    trained = {column.attack: column for column in subjects.columns(ADVERSARIAL_TRAINING)}
    both = [
        {GRAY_BOX: column, ADVERSARIAL_TRAINING: trained[column.attack]}
        for column in subjects.columns(GRAY_BOX)
        if column.attack in trained
    ]
    for _, group in groupby(both, lambda pair: pair[GRAY_BOX].family):
        family = list(group)
        first = family[0][GRAY_BOX]
        wanted = PAPER_STRENGTHS.get(first.strength_name, ())
        chosen = [pair for pair in family if pair[GRAY_BOX].strength in wanted]
        found += chosen if len(chosen) == len(wanted) > 0 else family
    return found


def _head(column: Column) -> str:
    if column.strength is None:
        return column.attack
    return f"{column.family} {strength_head(column)}"
