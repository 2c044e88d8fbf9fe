"""Tables of docs/results/ with comparisons: baselines, the paper, retrained classifiers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from rsparse.core.paired import SIGNIFICANT, mcnemar
from rsparse.evaluation import statistics
from rsparse.evaluation.estimates import mean_share, percent
from rsparse.evaluation.names import ADVERSARIAL_TRAINING, BLACK_BOX, EXTENDED_GRAY_BOX, GRAY_BOX
from rsparse.evaluation.results import CLEAN, Column, Evaluation, JudgedDefense
from rsparse.evaluation.statistics import accuracy
from rsparse.report.subjects import Subjects, find_subjects
from rsparse.report.table_two import TableTwo, tables_two
from studies.tables import Row, difference_to, gain, read_rows

PAPER = Path(__file__).parent.parent / "docs" / "results" / "paper-table-two.csv"
STRONG = {"eps": 10.0, "d": 0.05}  # the least strength that counts as strong
OF_PAPER = "strong of Table II"
BEHIND = 0.02  # a larger gap below the best baseline of a column counts as behind


def paper_table() -> Mapping[str, Row]:
    """The rows of the paper's Table II by name: top-1 of Inception-v3 in per cent, by attack."""
    return {row["row"]: row for row in read_rows(PAPER)}


def best_baselines(subjects: Subjects) -> Iterator[Row]:
    """Our defense and the best baseline in each column, with McNemar's paired test."""
    evaluation, ours, undefended = _found(subjects)
    for column in _all_columns(subjects):
        other = statistics.best_baseline(evaluation, column)
        assert other is not None
        right = [evaluation.correct(column, d) for d in (undefended, ours, other)]
        yield {
            "attack": column.attack,
            "none": percent(right[0].mean()),
            "ours": percent(right[1].mean()),
            "best_baseline": other.text,
            "best_baseline_percent": percent(right[2].mean()),
            "difference": percent(right[1].mean() - right[2].mean()),
            "p": f"{mcnemar(right[1], right[2]):.2g}",
        }


def columns_behind(rows: list[Row]) -> Mapping[str, str]:
    """The number of attacked columns in which ours is behind the best baseline; the lowest gap."""
    gaps = [float(row["difference"]) for row in rows if row["attack"] != CLEAN]
    behind = sum(gap < -100 * BEHIND for gap in gaps)
    return {"columns_behind": str(behind), "least_difference": f"{min(gaps):.1f}"}


def gain_over_baseline(subjects: Subjects) -> Iterator[Row]:
    """Our defense compared with the best single baseline, over all attacked columns."""
    evaluation, ours, _ = _found(subjects)
    scenario = subjects.main_scenario
    best, columns = subjects.best_baseline(scenario), subjects.columns(scenario)
    assert best is not None
    what = {"what": "best single baseline", "scenario": scenario, "columns": "all"}
    yield what | gain(evaluation, (ours, columns), (best, columns))


def beside_paper(subjects: Subjects, plain: JudgedDefense) -> Iterator[Row]:
    """The paper's Table II and our figures, and the share that any of the defenses gets right.

    ``plain`` codes the whole image with K = 1 and without a filter.
    """
    evaluation, ours, undefended = _found(subjects)
    paper = paper_table()
    for column in _all_columns(subjects):
        best = statistics.best_baseline(evaluation, column)
        assert best is not None
        none, start, mine, theirs = (
            accuracy(evaluation, column, d).value for d in (undefended, plain, ours, best)
        )
        target = int(paper["RegionSparse"][column.attack])
        anyhow = np.any([evaluation.correct(column, d) for d in evaluation.defenses], axis=0)
        yield {
            "attack": column.attack,
            "paper_none": paper["Normal"][column.attack],
            "paper_regionsparse": str(target),
            "none": percent(none),
            "k1_whole": percent(start),
            "halfway": f"{(100 * start + target) / 2:.1f}",
            "ours": percent(mine),
            "best_baseline": best.text,
            "best_baseline_percent": percent(theirs),
            "any_of_them": percent(anyhow.mean()),
        }


def paper_facts(evaluation: Evaluation, rows: list[Row]) -> Mapping[str, str]:
    """The number of columns in which ours gets at least halfway; the size of MI-FGSM's changes."""
    momentum, steps = (
        next(c for c in evaluation.columns if (c.family, c.strength) == place)
        for place in (("mi-fgsm", 0.14), ("bim", 22))
    )
    return {
        "halfway_in": str(sum(float(row["ours"]) >= float(row["halfway"]) for row in rows)),
        "mi_fgsm_014_linf": f"{momentum.linf.mean():.0f}",
        "mi_fgsm_014_norm_to_bim_22": f"{momentum.d.mean() / steps.d.mean():.1f}",
    }


def ablations(evaluation: Evaluation, named: Mapping[str, str]) -> Iterator[Row]:
    """The paper's Fig. 4. ``named`` has the text of a defense for each of the paper's names.

    The first one is the whole method; the others have their paired difference to it.
    """
    by_text = {defense.text: defense for defense in evaluation.defenses}
    whole = by_text[next(iter(named.values()))]
    columns = statistics.attacked_columns(evaluation)
    for name, text in named.items():
        defense = by_text[text]
        families = {
            family: [column for column in columns if column.family == family]
            for family in dict.fromkeys(column.family for column in columns)
        }
        yield {
            "name": name,
            "defense": text,
            "clean": percent(accuracy(evaluation, _clean(evaluation), defense).value),
            "mean": percent(statistics.mean_attacked(evaluation, defense)),
            **{
                family: percent(statistics.mean_attacked(evaluation, defense, own))
                for family, own in families.items()
            },
            **difference_to(whole, evaluation, defense, columns),
        }


def retraining_gains(subjects: Subjects, settings: list[str], default: str) -> Iterator[Row]:
    """The gain of retrained models over gray-box on strong attacks, by defense.

    First each of ``settings`` with all models; then the judged defense with the retrained model,
    compared with ``default`` with the original model; then only the strengths of Table II.
    """
    evaluation, ours, _ = _found(subjects)
    by_text = {defense.text: defense for defense in evaluation.defenses}
    pairs = [(text, text, "strong") for text in settings if text in by_text]
    if default in by_text and ours.text != default:
        pairs.append((ours.text, default, "strong"))
    for after, before, what in [*pairs, (ours.text, ours.text, OF_PAPER)]:
        for scenario in (BLACK_BOX, EXTENDED_GRAY_BOX):
            columns = [strong_columns(subjects, s, what == OF_PAPER) for s in (scenario, GRAY_BOX)]
            row = gain(evaluation, (by_text[after], columns[0]), (by_text[before], columns[1]))
            yield {"what": "retrained", "scenario": scenario, "columns": what, **row}


def gains_by_retraining(subjects: Subjects) -> Iterator[Row]:
    """Fig. 6 and 7: a retrained model compared with the original one, behind the judged defense.

    The two are judged on the same benign images and under all attacks of each scenario.
    """
    evaluation, ours, _ = _found(subjects)
    retrained, original = (subjects.cleans[subjects.judged_model(s)] for s in (BLACK_BOX, GRAY_BOX))
    yield {"scenario": CLEAN, **gain(evaluation, (ours, [retrained]), (ours, [original]))}
    for scenario in (BLACK_BOX, EXTENDED_GRAY_BOX):
        after, before = (subjects.columns(s) for s in (scenario, GRAY_BOX))
        yield {"scenario": scenario, **gain(evaluation, (ours, after), (ours, before))}


def strong_columns(subjects: Subjects, scenario: str, of_paper: bool = False) -> list[Column]:
    """The columns of strong attacks; with ``of_paper`` only those in the paper's Table II."""
    known = paper_table()["Normal"]
    return [
        column
        for column in subjects.columns(scenario)
        if column.strength is not None
        and column.strength >= STRONG[column.strength_name]
        and (not of_paper or column.attack in known)
    ]


def order(evaluation: Evaluation, settings: list[str]) -> Iterator[Row]:
    """The number of columns in which the order of Table II holds, by defense and attacked model."""
    judged = {defense.text for defense in evaluation.defenses}
    for text in settings:
        for two in tables_two(find_subjects(evaluation, text)) if text in judged else ():
            violations = two.violations
            only_undefended = bool(violations) and all(v.undefended for v in violations)
            significant = [v.column for v in violations if v.p < SIGNIFICANT]
            yield {
                "scenario": two.scenario,
                "defense": text,
                "holds_in": str(len(two.attacked) - len(violations)),
                "columns": str(len(two.attacked)),
                "not_in": "; ".join(v.column for v in violations),
                "only_undefended": "yes" if only_undefended else "",
                "contradicted_in": "; ".join(significant),
            }


def table_two_means(subjects: Subjects) -> Iterator[Row]:
    """Top-1 of each row of Table II on average over its attacked columns."""
    for two in tables_two(subjects):
        for (_, scenario, defense), name in zip(two.rows, paper_table(), strict=True):
            columns = [pair[scenario] for pair in _pairs(two)]
            found = mean_share(subjects.evaluation, defense, columns)
            yield {"scenario": two.scenario, "row": name, "percent": percent(found.value)}


def cw_found(subjects: Subjects) -> Mapping[str, str]:
    """The lowest share of images for which CW-L2 found a change on the attacked model."""
    columns = [
        column
        for scenario in (GRAY_BOX, ADVERSARIAL_TRAINING)
        if scenario in subjects.scenarios
        for column in subjects.columns(scenario)
        if column.family == "cw-l2"
    ]
    return {"cw_found_least": percent(min(float(c.found.mean()) for c in columns), 0)}


def _pairs(two: TableTwo) -> list[Mapping[str, Column]]:
    """The attacked columns that are also in the paper's table."""
    known = paper_table()["Normal"]
    return [pair for pair in two.attacked if pair[GRAY_BOX].attack in known]


def _all_columns(subjects: Subjects) -> list[Column]:
    """The clean column, then the attacked ones of the main scenario."""
    assert subjects.clean is not None
    return [subjects.clean, *subjects.columns(subjects.main_scenario)]


def _clean(evaluation: Evaluation) -> Column:
    return statistics.clean_column(evaluation)


def _found(subjects: Subjects) -> tuple[Evaluation, JudgedDefense, JudgedDefense]:
    """The evaluation, the judged defense and the undefended model."""
    assert subjects.judged is not None
    assert subjects.undefended is not None
    return subjects.evaluation, subjects.judged, subjects.undefended
