"""The statistics of an evaluation, compared with hand-computed ones, and its files."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from rsparse.core import paired
from rsparse.core.metrics import wilson_interval
from rsparse.errors import InputError
from rsparse.evaluation import statistics
from rsparse.evaluation.files import save_evaluation
from rsparse.evaluation.loading import load_evaluation
from rsparse.evaluation.names import GRAY_BOX
from rsparse.evaluation.results import CLEAN, Evaluation
from rsparse.evaluation.timing import load_timing, save_timing, with_timing
from rsparse.store.checksums import append_checksum
from rsparse.store.records import EVALUATION, Record
from tests.six_images import N, flags, make_evaluation


@pytest.fixture
def evaluation() -> Evaluation:
    return make_evaluation()


@pytest.mark.parametrize(
    ("a", "b", "p"),
    [
        ("1111", "1111", 1.0),
        ("1100", "0011", 1.0),  # 2 against 2
        ("1000", "0000", 1.0),  # one coin toss: 2 · ½
        ("111110", "000000", 0.0625),  # 2 · (1/2)^5
        ("1111111110", "0000000001", 2 * (1 + 10) / 2**10),
    ],
)
def test_mcnemar_by_hand(a, b, p):
    assert paired.mcnemar(flags(a), flags(b)) == pytest.approx(p, rel=1e-12)
    assert paired.mcnemar(flags(b), flags(a)) == pytest.approx(p, rel=1e-12)


def test_mcnemar_agrees_with_scipys_binomial_test():
    from scipy.stats import binomtest

    rng = np.random.default_rng(0)
    a, b = rng.random(3000) < 0.5, rng.random(3000) < 0.53
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    expected = binomtest(only_a, only_a + only_b, 0.5).pvalue
    assert paired.mcnemar(a, b) == pytest.approx(expected, rel=1e-9)


def test_mcnemar_refuses_other_images():
    with pytest.raises(InputError, match="same images"):
        paired.mcnemar(flags("11"), flags("111"))


def test_accuracy_has_wilsons_interval(evaluation):
    fgsm, jpeg = evaluation.columns[1], evaluation.defenses[2]
    found = statistics.accuracy(evaluation, fgsm, jpeg)
    assert (found.correct, found.n, found.value) == (3, 6, 0.5)
    assert (found.low, found.high) == wilson_interval(3, 6)


def test_an_image_that_could_not_be_judged_is_not_right(evaluation):
    first = evaluation.trials[0]
    unjudged = replace(first, prediction=np.full(N, -1))
    changed = replace(evaluation, trials=(unjudged, *evaluation.trials[1:]))
    found = statistics.accuracy(changed, changed.columns[0], changed.defenses[0])
    assert (found.correct, found.n) == (0, 6)


def test_worst_case_is_by_image_and_mean_by_column(evaluation):
    ours = evaluation.defenses[3]
    assert statistics.worst_case(evaluation, ours).tolist() == flags("011110").tolist()
    assert statistics.mean_attacked(evaluation, ours) == pytest.approx(5 / 6)
    fgsm = [evaluation.columns[1]]
    assert statistics.worst_case(evaluation, ours, fgsm).tolist() == flags("111110").tolist()
    assert statistics.attacked_columns(evaluation, "transfer") == []
    assert np.isnan(statistics.mean_attacked(evaluation, ours, []))


def test_the_best_baseline_is_neither_ours_nor_none(evaluation):
    best = [statistics.best_baseline(evaluation, column) for column in evaluation.columns]
    assert [defense.kind for defense in best] == ["jpeg", "median", "jpeg"]
    alone = replace(evaluation, defenses=(evaluation.defenses[0], evaluation.defenses[3]))
    assert statistics.best_baseline(alone, alone.columns[0]) is None
    assert statistics.rows(alone)[0]["p"] is None


def test_rows_contain_every_trial(evaluation):
    rows = statistics.rows(evaluation)
    assert len(rows) == 12
    (row,) = [r for r in rows if (r["family"], r["kind"]) == ("cw-l2", "regionsparse")]
    assert (row["n"], row["correct"], row["best_baseline"]) == (6, 5, "jpeg-quality=75")
    assert row["p"] == 0.25  # only ours gets 3 images right: 2 / 2³
    assert (row["mean_linf"], row["max_linf"], row["found"]) == (3.5, 6, 5 / 6)
    assert (row["strength"], row["seconds"], row["only_correct"]) == (0.05, 0.25, True)


def test_an_evaluation_comes_back_from_its_files(evaluation, tmp_path: Path):
    record = Record(EVALUATION, "evaluate", {"seed": 0})
    save_timing(tmp_path, {"none": 0.0, "median-size=3": 0.5, "regionsparse-sparsity=1": 0.25})
    path = save_evaluation(tmp_path, record, evaluation)
    found = load_evaluation(tmp_path)
    assert found.record == record.as_json()
    for name in ("model", "names", "only_correct", "left_out", "class_names", "defenses", "checks"):
        assert getattr(found, name) == getattr(evaluation, name), name
    for a, b in zip(found.columns, evaluation.columns, strict=True):
        np.testing.assert_equal(vars(a), vars(b))
    for a, b in zip(found.trials, evaluation.trials, strict=True):
        np.testing.assert_equal(vars(a), vars(b))
    before = path.read_bytes()
    slower = with_timing(evaluation, {"none": 9.0})
    assert save_evaluation(tmp_path, record, slower).read_bytes() == before


@pytest.mark.parametrize("version", [1, 3])
def test_a_file_of_an_older_version_is_refused(evaluation, tmp_path: Path, version):
    path = save_evaluation(tmp_path, Record(EVALUATION, "evaluate", {}), evaluation)
    with h5py.File(path, "r+") as file:
        record = json.loads(file.attrs["record"]) | {"format_version": version}
        file.attrs["record"] = json.dumps(record)
    with pytest.raises(InputError) as caught:
        load_evaluation(tmp_path)
    assert str(caught.value) == (
        f"{path}: was written by an older rsparse; make it again with 'rsparse evaluate'"
    )


THROUGH = {  # which images are correct behind the defense BIM was made through
    "": "100000",
    "median-size=3": "110000",
    "jpeg-quality=75": "111000",
}


@pytest.fixture
def adaptive(evaluation) -> Evaluation:
    """The evaluation with BIM made through each defense but RegionSparse."""
    columns = [
        replace(evaluation.columns[1], scenario="adaptive", through=text, attack="bim-eps=2")
        for text in THROUGH
    ]
    trials = [
        replace(
            evaluation.trials[0],
            column=c.key,
            defense=c.through or "none",
            prediction=np.where(flags(THROUGH[c.through]), np.arange(N), -1),
        )
        for c in columns
    ]
    return replace(
        evaluation, columns=(*evaluation.columns, *columns), trials=(*evaluation.trials, *trials)
    )


def test_a_column_made_through_a_defense_is_tried_behind_that_one_only(adaptive):
    none, _, jpeg, ours = adaptive.defenses
    bare, _, through_jpeg = adaptive.columns[3:]
    assert adaptive.trial(bare, jpeg) is None
    assert adaptive.trial(through_jpeg, jpeg) is adaptive.trial_against(bare, jpeg)
    assert adaptive.column_against(bare, jpeg) is through_jpeg
    assert adaptive.column_against(through_jpeg, none) is bare
    assert adaptive.correct(bare, jpeg).tolist() == flags("111000").tolist()
    assert adaptive.trial_against(bare, ours) is None
    with pytest.raises(KeyError):
        adaptive.correct(bare, ours)


def test_the_bare_models_column_stands_in_for_a_defense_that_was_not_attacked_through(adaptive):
    """Probes on the bare model run behind all defenses; an attack through one has priority."""
    ours, jpeg = adaptive.defenses[3], adaptive.defenses[2]
    bare, _, through_jpeg = adaptive.columns[3:]
    more = [
        replace(adaptive.trial(bare, adaptive.defenses[0]), defense=d.text) for d in (ours, jpeg)
    ]
    found = replace(adaptive, trials=(*more, *adaptive.trials))
    assert found.trial_against(through_jpeg, ours) is more[0]
    assert found.trial_against(bare, jpeg) is more[1]
    assert found.trial_against(replace(bare, through="tvm"), jpeg).column == through_jpeg.key


def test_means_and_worst_cases_count_only_what_was_tried(adaptive):
    none, _, jpeg, ours = adaptive.defenses
    columns = statistics.attacked_columns(adaptive, "adaptive")
    assert [c.through for c in statistics.one_of_each_attack(columns)] == [""]
    assert statistics.mean_attacked(adaptive, jpeg, columns) == 0.5
    assert statistics.worst_case(adaptive, jpeg, columns).tolist() == flags("111000").tolist()
    assert np.isnan(statistics.mean_attacked(adaptive, ours, columns))
    assert statistics.worst_case(adaptive, ours, columns).shape == (0,)
    unknown = statistics.accuracy(adaptive, columns[0], ours)
    assert (unknown.n, unknown.low, unknown.high) == (0, 0.0, 1.0)
    assert np.isnan(unknown.value)
    assert statistics.mean_attacked(adaptive, none) == pytest.approx((1 + 0 + 1) / 18)
    assert statistics.mean_attacked(adaptive, ours) == pytest.approx(5 / 6)  # over two columns
    assert statistics.best_baseline(adaptive, columns[0]).text == "jpeg-quality=75"


def test_rows_contain_only_what_was_tried(adaptive, tmp_path: Path):
    rows = [row for row in statistics.rows(adaptive) if row["scenario"] == "adaptive"]
    assert [(row["through"], row["defense"], row["correct"], row["p"]) for row in rows] == [
        ("", "none", 1, 0.5), ("median-size=3", "median-size=3", 2, 1.0),
        ("jpeg-quality=75", "jpeg-quality=75", 3, 1.0),
    ]  # fmt: skip
    found = [row for row in statistics.defense_rows(adaptive) if row["scenario"] == "adaptive"]
    assert [(row["defense"], row["worst_case"]) for row in found] == [
        ("none", 1 / 6), ("median-size=3", 1 / 3), ("jpeg-quality=75", 0.5),
    ]  # fmt: skip
    save_evaluation(tmp_path, Record(EVALUATION, "evaluate", {}), adaptive)
    with (tmp_path / "images.csv").open(newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["scenario"] == "adaptive"]
    assert len(lines) == 3 * N
    assert {(line["through"], line["defense"]) for line in lines} == {
        ("", "none"), ("median-size=3", "median-size=3"), ("jpeg-quality=75", "jpeg-quality=75"),
    }  # fmt: skip


def test_missing_trials_take_no_room_in_the_file(adaptive, tmp_path: Path):
    path = save_evaluation(tmp_path, Record(EVALUATION, "evaluate", {}), adaptive)
    with h5py.File(path) as file:
        assert file["trial/prediction"].shape == (3 * 4 + 3, N)
        assert file["trial/prediction"].dtype == np.int64
        assert file["trial/probability"].dtype == np.float32
        assert file["trial/column"][()].tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [3, 4, 5]
        assert file["trial/defense"][()].tolist() == [0, 1, 2, 3] * 3 + [0, 1, 2]
        assert file.attrs["format_version"] == 4
    found = load_evaluation(tmp_path)
    assert [c.key for c in found.columns] == [c.key for c in adaptive.columns]
    assert [(t.column, t.defense) for t in found.trials] == [
        (t.column, t.defense) for t in adaptive.trials
    ]


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("column", [0] * 14 + [6], "trial/column: expected numbers from 0 to 5"),
        ("defense", [0] * 14 + [-1], "trial/defense: expected numbers from 0 to 3"),
        ("defense", [0] * 14, "trial/defense: expected the shape 15, got 14"),
    ],
)
def test_trials_of_nothing_are_damage(adaptive, tmp_path: Path, name, values, message):
    path = save_evaluation(tmp_path, Record(EVALUATION, "evaluate", {}), adaptive)
    with h5py.File(path, "r+") as file:
        del file[f"trial/{name}"]
        file[f"trial/{name}"] = np.array(values, np.int64)
    append_checksum(path)
    with pytest.raises(InputError) as caught:
        load_evaluation(tmp_path)
    assert str(caught.value) == f"{path}: is damaged or incomplete: {message}"


def test_worst_cases_include_the_clean_images_of_the_judged_model(evaluation):
    """The other model gets image 0 wrong even without an attack, and all others right."""
    other = [
        replace(c, judged="other", scenario="" if c.family == CLEAN else "black-box")
        for c in evaluation.columns
    ]
    wrong = np.where(np.arange(N) == 0, -1, np.arange(N))
    trials = [
        replace(evaluation.trials[0], column=c.key, defense=d.text, prediction=wrong)
        for c in other
        for d in evaluation.defenses
    ]
    both = replace(
        evaluation, columns=(*evaluation.columns, *other), trials=(*evaluation.trials, *trials)
    )
    ours = both.defenses[3]
    columns = statistics.attacked_columns(both, "black-box")
    assert statistics.worst_case(both, ours, columns).tolist() == flags("011111").tolist()
    assert statistics.worst_case(both, ours).tolist() == flags("011110").tolist()
    assert statistics.threats(both) == [(GRAY_BOX, "m", "m"), ("black-box", "m", "other")]
    rows = [row for row in statistics.defense_rows(both) if row["judged"] == "other"]
    assert [row["clean"] for row in rows] == [5 / 6] * 4


def test_the_tables_have_a_row_for_each_trial_and_image(evaluation, tmp_path: Path):
    save_evaluation(tmp_path, Record(EVALUATION, "evaluate", {}), evaluation)

    def read(name: str) -> list[dict[str, str]]:
        with (tmp_path / name).open(newline="") as file:
            return list(csv.DictReader(file))

    assert len(read("results.csv")) == 12
    assert len(read("images.csv")) == 12 * N
    assert read("results.csv")[4]["top1"] == "0.166667"
    assert read("results.csv")[0]["strength"] == ""
    assert read("images.csv")[0]["correct"] == "yes"
    assert read("checks.csv")[0]["detail"] == "100 → 17 %"


def test_a_folder_without_an_evaluation_is_refused(tmp_path: Path):
    with pytest.raises(InputError) as caught:
        load_evaluation(tmp_path)
    assert str(caught.value) == f"{tmp_path}: contains no finished evaluation (evaluation.h5)"


def test_a_missing_folder_is_not_called_an_unfinished_evaluation(tmp_path: Path):
    missing = tmp_path / "judged"
    with pytest.raises(InputError) as caught:
        load_evaluation(missing)
    line = f"{missing}: no such folder; 'rsparse evaluate … -o {missing}' makes one"
    assert str(caught.value) == line
    assert not missing.exists()


def test_damaged_files_are_refused(evaluation, tmp_path: Path):
    path = save_evaluation(tmp_path, Record(EVALUATION, "evaluate", {}), evaluation)
    (tmp_path / "timing.json").write_text("[]")
    with pytest.raises(InputError) as caught:
        load_timing(tmp_path)
    assert str(caught.value) == f"{tmp_path / 'timing.json'}: is damaged; remove it"
    (tmp_path / "timing.json").unlink()
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match=r"evaluation\.h5: is "):
        load_evaluation(tmp_path)
