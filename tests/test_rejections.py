"""A detector in an evaluation: what it rejects is neither right nor does it fool."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rsparse.errors import InputError
from rsparse.evaluation import statistics
from rsparse.evaluation.files import save_evaluation
from rsparse.evaluation.loading import load_evaluation
from rsparse.evaluation.names import ADAPTIVE
from rsparse.evaluation.rejections import examined, shares
from rsparse.evaluation.results import Evaluation
from rsparse.report.markdown import render_markdown
from rsparse.report.page import data_files
from rsparse.report.rejections import rejected
from rsparse.report.subjects import find_subjects
from rsparse.store.checksums import append_checksum
from rsparse.store.records import EVALUATION, Record
from tests.six_images import flags, make_evaluation

REJECTED = {"clean": "000001", "fgsm-eps=2": "110100", "cw-l2-d=0.05": "111111"}
DETECTOR = {"false_alarms": 0.05, "scores": [{"name": "noise"}]}
RECORD = Record(EVALUATION, "evaluate", {"detector": DETECTOR})


@pytest.fixture
def watched() -> Evaluation:
    """The evaluation of ``tests.test_evaluation`` with a detector."""
    bare = make_evaluation()
    columns = tuple(replace(c, rejected=flags(REJECTED[c.attack])) for c in bare.columns)
    return replace(bare, columns=columns, record=RECORD.as_json())


@pytest.mark.parametrize(
    ("attack", "defense", "counts"),
    [
        ("clean", "none", (5, 0, 1)),  # right 111111, rejected 000001
        ("clean", "median-size=3", (4, 1, 1)),  # 111100: the last is wrong and rejected
        ("fgsm-eps=2", "none", (1, 2, 3)),  # 000001 against 110100
        ("fgsm-eps=2", "jpeg-quality=75", (1, 2, 3)),  # 110001: two right ones are rejected
        ("fgsm-eps=2", "median-size=3", (1, 2, 3)),  # 111000
        ("fgsm-eps=2", "regionsparse-sparsity=1", (2, 1, 3)),  # 111110
        ("cw-l2-d=0.05", "regionsparse-sparsity=1", (0, 0, 6)),
    ],
)
def test_three_shares_add_up_to_all_images(watched, attack, defense, counts):
    column = next(c for c in watched.columns if c.attack == attack)
    behind = next(d for d in watched.defenses if d.text == defense)
    found = shares(watched, column, behind)
    assert tuple(each.correct for each in found) == counts
    assert sum(counts) == 6 == found.right.n == found.wrong.n == found.rejected.n


def test_a_detector_that_rejects_nothing_changes_nothing(watched):
    columns = tuple(replace(c, rejected=np.zeros(6, bool)) for c in watched.columns)
    evaluation = replace(watched, columns=columns)
    for column, defense, found in examined(evaluation, columns, evaluation.defenses):
        assert found.right == statistics.accuracy(evaluation, column, defense)
        assert found.rejected.value == 0


def test_accuracy_does_not_depend_on_the_detector(watched):
    bare = make_evaluation()
    for column, same in zip(watched.columns, bare.columns, strict=True):
        for defense in watched.defenses:
            found = statistics.accuracy(watched, column, defense)
            assert found == statistics.accuracy(bare, same, defense)


def test_without_a_detector_there_is_nothing_to_tell():
    bare = make_evaluation()
    assert shares(bare, bare.columns[1], bare.defenses[0]) is None
    assert {row["rejected"] for row in statistics.rows(bare)} == {None}
    assert "rejected" not in render_markdown(find_subjects(bare))


def test_images_that_an_attack_makes_through_a_defense_are_rejected_behind_that_one(watched):
    fgsm, none, jpeg = watched.columns[1], watched.defenses[0], watched.defenses[2]
    own = replace(fgsm, scenario=ADAPTIVE, through=jpeg.text, rejected=flags("000011"))
    other = replace(fgsm, scenario=ADAPTIVE, through="")
    trials = [
        replace(watched.trial(fgsm, defense), column=column.key)
        for column, defense in ((own, jpeg), (other, none))
    ]
    evaluation = replace(
        watched, columns=(*watched.columns, other, own), trials=(*watched.trials, *trials)
    )
    assert shares(evaluation, other, jpeg).rejected.correct == 2
    assert shares(evaluation, other, none).rejected.correct == 3


def test_the_files_hold_what_was_rejected(watched, tmp_path: Path):
    save_evaluation(tmp_path, RECORD, watched)
    found = load_evaluation(tmp_path)
    assert found.detector == DETECTOR
    for column, before in zip(found.columns, watched.columns, strict=True):
        np.testing.assert_array_equal(column.rejected, before.rejected)
    (row,) = [
        row for row in statistics.rows(found)
        if (row["attack"], row["defense"]) == ("fgsm-eps=2", "regionsparse-sparsity=1")
    ]  # fmt: skip
    assert row["right_accepted"] == pytest.approx(2 / 6)
    assert row["wrong_accepted"] == pytest.approx(1 / 6)
    assert row["rejected"] == pytest.approx(3 / 6)


def test_a_rejected_that_does_not_fit_is_damage(watched, tmp_path: Path):
    import h5py

    path = save_evaluation(tmp_path, RECORD, watched)
    with h5py.File(path, "r+") as file:
        del file["column/rejected"]
        file["column/rejected"] = np.zeros((2, 6), np.uint8)
    append_checksum(path)
    with pytest.raises(InputError, match="column/rejected"):
        load_evaluation(tmp_path)


def test_the_report_has_a_table_with_the_false_alarms_first(watched):
    subjects = find_subjects(watched)
    table = rejected(subjects, subjects.main_scenario)
    assert table.header[2:] == ("right, accepted", "wrong, accepted", "rejected")
    assert [value.text for value in table.rows[0]][:2] == ["clean", subjects.judged.text]
    assert table.rows[0][4].order == pytest.approx(1 / 6)  # the false alarms
    for row in table.rows:
        assert sum(value.order for value in row[2:]) == pytest.approx(1)
    text = render_markdown(subjects)
    assert "## With a detector before the defense, gray-box" in text
    assert "An attacker who knows the detector evades it" in text
    assert "rejections-gray-box.csv" in data_files(subjects, [])
