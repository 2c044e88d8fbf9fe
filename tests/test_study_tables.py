"""The tables in docs/results/ contain the results of an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from rsparse.evaluation.names import (
    ADVERSARIAL_TRAINING,
    ADVERSARIAL_TRAINING_BLACK_BOX,
    BLACK_BOX,
    EXTENDED_GRAY_BOX,
    GRAY_BOX,
)
from rsparse.evaluation.results import Column, Evaluation
from rsparse.report.subjects import find_subjects
from rsparse.report.table_two import tables_two
from tests.evaluations import DEFENSES, make_evaluation

pytest.importorskip("torch")

from studies import comparisons, tables
from studies.plans import OURS as DEFAULT_SPEC
from studies.plans import text_of
from studies.recipes import BEFORE, SETTINGS
from studies.tables import read_rows, write_rows
from studies.trainings import Figures

NAME, BASE = "retrained-mobilenet-v2", "mobilenet-v2"
FIRST = text_of(BEFORE[BASE])
SECOND = next(text for text in map(text_of, SETTINGS) if text != FIRST)
DEFAULT = text_of(DEFAULT_SPEC)
OURS = tuple((text, "regionsparse") for text in (FIRST, SECOND, DEFAULT))
FIGURES = {
    "retrained": Figures(900, 10, 9, 61.2, 34.6, "AMD EPYC, 2 cores", False),
    "adversarial": Figures(900, 30, 28, 12.7, 8.4, "NVIDIA H200", True),
}
ALL, NONE = ("100.0", "100.0", "0.0", "0.0", "0.0"), ("0.0", "0.0", "0.0", "0.0", "0.0")


@pytest.fixture(scope="module")
def whole() -> Evaluation:
    return make_evaluation(trained=True, transfer=False, defenses=(*DEFENSES, *OURS))


def with_right(evaluation: Evaluation, is_right: Callable[[Column, str], bool]) -> Evaluation:
    """The same evaluation, with each defense right on all images of a column or on none."""
    columns = {column.key: column for column in evaluation.columns}
    trials = tuple(
        replace(
            trial,
            prediction=np.where(
                is_right(columns[trial.column], trial.defense), evaluation.labels, -1
            ),
        )
        for trial in evaluation.trials
    )
    return replace(evaluation, trials=trials)


def made(evaluation: Evaluation) -> Mapping[str, list[tables.Row]]:
    from studies.parts import tables_of

    return tables_of(NAME, evaluation, "a machine", FIGURES)


def numbers(row: tables.Row) -> tuple[str, ...]:
    return tuple(
        row[name] for name in ("ours_percent", "other_percent", "difference", "difference_low",
                               "difference_high")
    )  # fmt: skip


def gains(evaluation: Evaluation, columns: str = "strong") -> dict[tuple[str, ...], tables.Row]:
    rows = [row for row in made(evaluation)["gains"] if row["columns"] == columns]
    return {(row["scenario"], row["ours"], row["other"]): row for row in rows}


def is_strong(column: Column) -> bool:
    return column.strength is not None and column.strength >= (
        10 if column.strength_name == "eps" else 0.05
    )


def test_rows_are_read_as_they_were_written(tmp_path):
    rows = [{"a": "1", "b": "x,y"}, {"a": "2", "c": "é"}]
    write_rows(tmp_path / "folder" / "t.csv", rows)
    assert read_rows(tmp_path / "folder" / "t.csv") == [
        {"a": "1", "b": "x,y", "c": ""}, {"a": "2", "b": "", "c": "é"},
    ]  # fmt: skip


def test_accuracy_has_every_scenario_and_defense(whole):
    rows = made(whole)["accuracy"]
    scenarios = find_subjects(whole, FIRST).scenarios
    assert [(row["scenario"], row["defense"]) for row in rows] == [
        (scenario, defense.text) for scenario in scenarios for defense in whole.defenses
    ]
    row = next(r for r in rows if (r["scenario"], r["defense"]) == (BLACK_BOX, FIRST))
    defense = next(d for d in whole.defenses if d.text == FIRST)
    columns = find_subjects(whole, FIRST).columns(BLACK_BOX)
    shares = [100 * whole.correct(column, defense).mean() for column in columns]
    assert [row[column.attack] for column in columns] == [f"{share:.1f}" for share in shares]
    assert float(row["mean"]) == pytest.approx(np.mean(shares), abs=0.05)


def test_models_that_were_attacked_have_rows_of_their_own():
    evaluation = make_evaluation()
    rows = list(tables.accuracy(find_subjects(evaluation)))
    assert [row["scenario"] for row in rows if row["defense"] == "none"] == [
        "gray-box", "transfer: mobilenet-v1", "transfer: inception-v3",
    ]  # fmt: skip
    means = {row["defense"]: row["attacked"] for row in tables.means(evaluation)}
    assert set(means) == {defense.text for defense in evaluation.defenses}


def test_defenses_are_compared_with_the_best_baseline():
    subjects = find_subjects(make_evaluation())
    rows = [r for r in tables.defenses(subjects) if r["scenario"] == GRAY_BOX]
    best = subjects.best_baseline(GRAY_BOX)
    assert [row["defense"] for row in rows if row["difference"] == ""] == [best.text]
    ours = next(row for row in rows if row["defense"] == subjects.judged.text)
    reference = next(row for row in rows if row["defense"] == best.text)
    found = float(ours["attacked"]) - float(reference["attacked"])
    assert float(ours["difference"]) == pytest.approx(found, abs=0.11)
    assert float(ours["worst_case"]) <= float(ours["clean"])


def test_the_best_baseline_of_each_column(whole):
    evaluation = with_right(whole, lambda column, text: text == "jpeg-quality=20")
    rows = list(comparisons.best_baselines(find_subjects(evaluation, FIRST)))
    assert {row["best_baseline"] for row in rows} == {"jpeg-quality=20"}
    assert {row["difference"] for row in rows} == {"-100.0"}
    n = len(rows) - 1
    assert comparisons.columns_behind(rows) == {
        "columns_behind": str(n), "least_difference": "-100.0",
    }  # fmt: skip


def test_a_gain_counts_strong_columns_only(whole):
    found = gains(
        with_right(whole, lambda c, d: d == FIRST and c.scenario == BLACK_BOX and is_strong(c))
    )
    low = f"{100 * (2 * 0.025 ** (1 / len(whole.names)) - 1):.1f}"  # as in the sign test
    assert numbers(found[BLACK_BOX, FIRST, FIRST]) == ("100.0", "0.0", "100.0", low, "100.0")
    assert numbers(found[EXTENDED_GRAY_BOX, FIRST, FIRST]) == NONE


def test_strong_columns_of_table_two_alone_are_told_too(whole):
    """RegionSparse is right in black-box only at one strength that is not in Table II."""

    def is_moved(column: Column) -> bool:
        return (column.family, column.strength) == ("fgsm", 14)

    columns = tuple(
        replace(c, strength=11.0, attack="fgsm-eps=11") if is_moved(c) else c for c in whole.columns
    )
    keys = {old.key: new.key for old, new in zip(whole.columns, columns, strict=True)}
    trials = tuple(replace(trial, column=keys[trial.column]) for trial in whole.trials)
    moved = with_right(
        replace(whole, columns=columns, trials=trials),
        lambda c, d: d == FIRST and c.scenario == BLACK_BOX and c.attack == "fgsm-eps=11",
    )
    strong = gains(moved)[BLACK_BOX, FIRST, FIRST]
    alone = gains(moved, "strong of Table II")[BLACK_BOX, FIRST, FIRST]
    n = int(strong["n_columns"])
    assert 0 < int(alone["n_columns"]) < n
    assert strong["ours_percent"] == f"{100 / n:.1f}"
    assert numbers(alone) == NONE


def test_gains_are_told_beside_the_default_before_the_original(whole):
    """The default is right in gray-box, and the other setting everywhere else."""
    found = gains(
        with_right(whole, lambda c, d: d == (DEFAULT if c.scenario == GRAY_BOX else FIRST))
    )
    for scenario in (BLACK_BOX, EXTENDED_GRAY_BOX):
        assert numbers(found[scenario, FIRST, DEFAULT]) == ALL
        assert numbers(found[scenario, FIRST, FIRST])[2] == "100.0"
        assert numbers(found[scenario, DEFAULT, DEFAULT])[2] == "-100.0"
        assert numbers(found[scenario, SECOND, SECOND]) == NONE


def test_the_order_of_table_two_by_setting_and_by_what_is_attacked(whole):
    scenarios = (GRAY_BOX, ADVERSARIAL_TRAINING_BLACK_BOX)
    rows = made(with_right(whole, lambda c, d: d == SECOND and c.scenario in scenarios))["order"]
    n = len(tables_two(find_subjects(whole, FIRST))[0].attacked)
    assert [(row["scenario"], row["defense"], row["holds_in"]) for row in rows] == [
        (ADVERSARIAL_TRAINING, FIRST, str(n)), (ADVERSARIAL_TRAINING_BLACK_BOX, FIRST, str(n)),
        (ADVERSARIAL_TRAINING, SECOND, "0"), (ADVERSARIAL_TRAINING_BLACK_BOX, SECOND, str(n)),
        (ADVERSARIAL_TRAINING, DEFAULT, str(n)), (ADVERSARIAL_TRAINING_BLACK_BOX, DEFAULT, str(n)),
    ]  # fmt: skip
    broken = rows[2]
    assert broken["columns"] == str(n)
    assert broken["not_in"].startswith("fgsm eps 2; fgsm eps 14; ")
    assert broken["not_in"].count(";") == n - 1
    assert (broken["only_undefended"], broken["contradicted_in"]) == ("", broken["not_in"])


def test_an_order_that_only_undefended_rows_break_is_told(whole):
    def is_right(column: Column, text: str) -> bool:
        trained = column.scenario == ADVERSARIAL_TRAINING and column.attack == "bim-eps=14"
        return not (text == "none" and trained)

    row = made(with_right(whole, is_right))["order"][0]
    assert (row["not_in"], row["only_undefended"]) == ("bim eps 14", "yes")


def test_means_of_table_two(whole):
    is_right = with_right(whole, lambda c, d: d == FIRST and c.scenario == GRAY_BOX)
    rows = made(is_right)["table-two-means"]
    assert [(row["row"], row["percent"]) for row in rows[:4]] == [
        ("Normal", "0.0"), ("FGSM Adversarial", "0.0"), ("RegionSparse", "100.0"),
        ("RegionSparse + FGSM Adversarial", "0.0"),
    ]  # fmt: skip


def test_for_how_many_cw_found_a_change(whole):
    """C&W fails on half of the images in one column of the adversarially trained model."""
    failed = np.arange(len(whole.labels)) % 2 == 0

    def column(c: Column) -> Column:
        is_it = (c.scenario, c.family) == (ADVERSARIAL_TRAINING, "cw-l2")
        return replace(c, found=~failed if is_it else np.ones_like(failed))

    rows = made(replace(whole, columns=tuple(map(column, whole.columns))))["about"]
    assert {row["key"]: row["value"] for row in rows}["cw_found_least"] == "50"


def test_what_the_figures_are_of(whole):
    about = {row["key"]: row["value"] for row in made(whole)["about"]}
    assert (about["model"], about["photographs"]) == ("mobilenet-v2", str(len(whole.names)))
    assert about["machine"] == "a machine"
    assert int(about["checks_failed"]) == len(made(whole)["failed-checks"])


def test_what_a_training_took_and_on_what(whole):
    assert [tuple(row.values()) for row in made(whole)["training"]] == [
        ("retrained", "purified", "900", "10", "9", "61", "35", "AMD EPYC, 2 cores"),
        ("adversarial", "purified, adversarial", "900", "30", "28", "13", "8", "NVIDIA H200"),
    ]


def test_no_table_two_without_an_adversarial_model(whole):
    columns = tuple(column for column in whole.columns if column.judged != "adversarial")
    keys = {column.key for column in columns}
    trials = tuple(trial for trial in whole.trials if trial.column in keys)
    found = made(replace(whole, columns=columns, trials=trials))
    assert {"order", "table-two-means"}.isdisjoint(found)
    assert "gains" in found


def test_the_papers_table_beside_ours():
    """Ours is right only in the clean column, where the paper has 84 %."""
    from studies.plans import PLAIN

    plain = text_of(PLAIN)
    defenses = (("none", "none"), (DEFAULT, "regionsparse"), (plain, "regionsparse"),
                ("jpeg-quality=20", "jpeg"))  # fmt: skip
    evaluation = make_evaluation(transfer=False, defenses=defenses)
    known = comparisons.paper_table()["Normal"]
    columns = tuple(column for column in evaluation.columns if column.attack in known)
    keys = {column.key for column in columns}
    trials = tuple(trial for trial in evaluation.trials if trial.column in keys)
    evaluation = replace(evaluation, columns=columns, trials=trials)
    evaluation = with_right(evaluation, lambda c, d: d == DEFAULT and c.family == "clean")
    subjects = find_subjects(evaluation, DEFAULT)
    rows = list(comparisons.beside_paper(subjects, evaluation.defenses[2]))
    clean = rows[0]
    assert (clean["attack"], clean["paper_none"], clean["paper_regionsparse"]) == (
        "clean", "100", "84",
    )  # fmt: skip
    assert (clean["halfway"], clean["ours"], clean["any_of_them"]) == ("42.0", "100.0", "100.0")
    assert {row["ours"] for row in rows[1:]} == {"0.0"}
