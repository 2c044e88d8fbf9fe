"""docs/results.md on trained classifiers: the targets are judged by what was found."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from rsparse.evaluation.results import (
    ADVERSARIAL_TRAINING,
    ADVERSARIAL_TRAINING_BLACK_BOX,
    BLACK_BOX,
    GRAY_BOX,
)
from rsparse.report.table_two import tables_two
from tests.conftest import REPOSITORY
from tests.evaluations import DEFENSES, make_evaluation

BASES = ("mobilenet-v2", "inception-v3")
BEFORE, DEFAULT = "regionsparse-dictionary=wide", "regionsparse"
OTHER = "regionsparse-dictionary=coarse"
OURS = tuple((text, "regionsparse") for text in (BEFORE, OTHER, DEFAULT))


@pytest.fixture
def figures():
    """Of both models, the adversarially trained one made on a GPU."""
    from studies.trainings import Figures

    return {
        "retrained": Figures(900, 10, 9, 61.2, 34.6, "AMD EPYC, 2 cores", False),
        "adversarial": Figures(900, 30, 28, 12.7, 8.4, "NVIDIA H200", True),
    }


@pytest.fixture(scope="module")
def whole():
    return make_evaluation(trained=True, transfer=False, defenses=(*DEFENSES, *OURS))


@pytest.fixture
def rows(whole, figures):
    """Renders an evaluation in which RegionSparse is right in some scenarios; its table rows."""
    from studies import trained_text

    def render(right: set[str], *, weak: bool = True) -> dict[str, list[str]]:
        columns = {column.key: column for column in whole.columns}

        def prediction(trial):
            column = columns[trial.column]
            strong = column.strength is None or column.strength >= (
                10 if column.strength_name == "eps" else 0.05
            )
            is_right = trial.defense == ours.text and column.scenario in right and (weak or strong)
            return np.where(is_right, whole.labels, -1)

        ours = next(d for d in whole.defenses if d.text == BEFORE)
        found = replace(
            whole, trials=tuple(replace(t, prediction=prediction(t)) for t in whole.trials)
        )
        text = "\n".join(trained_text.render(found, BASES[0], figures))
        cut = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
        return {row[0]: row for row in cut}

    return render


def of(rows: dict[str, list[str]], start: str) -> list[str]:
    return next(row for name, row in rows.items() if name.startswith(start))


def test_a_gain_counts_strong_columns_only(rows):
    found = of(rows({BLACK_BOX}, weak=False), "black-box: at least")
    assert found[1:] == ["100.0 % against 0.0 %: +100.0 points (+100.0 to +100.0)", "met"]


def test_strong_columns_of_table_two_alone_are_told_too(whole, figures):
    """RegionSparse is right in black-box at one strength, which is not Table II's."""
    from studies import gains_text, trained_text
    from studies.paper import STRENGTHS

    def is_moved(column):
        return (column.family, column.strength) == ("fgsm", 14)

    columns = tuple(replace(c, strength=10.0) if is_moved(c) else c for c in whole.columns)
    moved = {c.key for c in whole.columns if is_moved(c) and c.scenario == BLACK_BOX}

    def prediction(trial):
        is_right = trial.defense == BEFORE and trial.column in moved
        return np.where(is_right, whole.labels, -1)

    trials = tuple(replace(trial, prediction=prediction(trial)) for trial in whole.trials)
    found = replace(whole, columns=columns, trials=trials)
    lines = list(trained_text.render(found, BASES[0], figures))
    strong = gains_text.strong_columns(trained_text.subjects_of(found, BASES[0]), BLACK_BOX)
    n, of_paper = len(strong), sum(c.strength in STRENGTHS[c.family] for c in strong)
    assert 0 < of_paper < n
    (all_strong,) = (line for line in lines if line.startswith("| black-box: at least"))
    assert f"the {n} strong columns" in all_strong
    assert f"{100 / n:.1f} % against 0.0 %: +{100 / n:.1f} points" in all_strong
    (alone,) = (line for line in lines if "at Table II's strengths alone" in line)
    assert f"the {of_paper} at Table II's strengths alone: black-box 0.0 % against 0.0 %" in alone


def test_no_gain_is_missed(rows):
    found = rows({BLACK_BOX, GRAY_BOX})
    assert of(found, "black-box: at least")[2] == "**missed**"
    assert of(found, "extended-gray-box: at least")[1].startswith("0.0 % against 100.0 %: −100.0")
    assert of(found, "clean accuracy")[1:] == ["0.0 %", "**missed**"]


def test_gains_are_told_beside_the_default_levels_too(whole, figures):
    """The default is right in gray-box and these levels everywhere else."""
    from studies import trained_text

    columns = {column.key: column for column in whole.columns}

    def prediction(trial):
        is_gray = columns[trial.column].scenario == GRAY_BOX
        is_right = trial.defense == (DEFAULT if is_gray else BEFORE)
        return np.where(is_right, whole.labels, -1)

    trials = tuple(replace(trial, prediction=prediction(trial)) for trial in whole.trials)
    found = list(trained_text.render(replace(whole, trials=trials), BASES[0], figures))
    for scenario in ("black-box", "extended-gray-box"):
        lines = [line for line in found if line.startswith(f"| {scenario} | {DEFAULT} | regions")]
        assert [line.split(" | ")[2:] for line in lines] == [
            [BEFORE, "100.0 % against 100.0 %: +0.0 points (+0.0 to +0.0) |"],
            [DEFAULT, "0.0 % against 100.0 %: −100.0 points (−100.0 to −100.0) |"],
        ]


def test_the_targets_are_told_with_each_setting_before_all(whole, figures):
    """Behind one setting the original is right, and the adversarial model of attacks on it."""
    from studies import trained_text

    columns = {column.key: column for column in whole.columns}
    scenarios = (GRAY_BOX, ADVERSARIAL_TRAINING_BLACK_BOX)

    def prediction(trial):
        is_right = columns[trial.column].scenario in scenarios and trial.defense == OTHER
        return np.where(is_right, whole.labels, -1)

    trials = tuple(replace(trial, prediction=prediction(trial)) for trial in whole.trials)
    found = list(trained_text.render(replace(whole, trials=trials), BASES[0], figures))
    start = found.index("| before all | clean | black-box | extended-gray-box | Table II's order |")
    rows = [line.strip("| ").split(" | ") for line in found[start + 2 : start + 5]]
    none = "0.0 % against 0.0 %: +0.0 points (+0.0 to +0.0)"
    lost = "0.0 % against 100.0 %: −100.0 points (−100.0 to −100.0)"
    two, _ = tables_two(trained_text.subjects_of(whole, BASES[0]))
    n = len(two.attacked)
    on_itself, on_the_original = "each model attacked itself", "all attacks made on the original"
    holds = f"{n} of {n}, {on_itself}; {n} of {n}, {on_the_original}"
    breaks = f"0 of {n}, {on_itself}; {n} of {n}, {on_the_original}"
    assert rows == [
        [BEFORE, "0.0 %", none, none, holds],
        [OTHER, "0.0 %", lost, lost, breaks],
        [DEFAULT, "0.0 %", none, none, holds],
    ]


def test_for_how_many_cw_found_a_change_is_told(whole, figures):
    """It failed for half of the images in one column of the adversarial model on itself."""
    from studies import trained_text

    failed = np.arange(len(whole.labels)) % 2 == 0

    def column(c):
        is_it = (c.scenario, c.family) == (ADVERSARIAL_TRAINING, "cw-l2")
        return replace(c, found=~failed) if is_it else replace(c, found=np.ones_like(failed))

    found = replace(whole, columns=tuple(map(column, whole.columns)))
    text = "\n".join(trained_text.render(found, BASES[0], figures))
    share = round(100 * np.mean(~failed))
    assert f"found one for {share} % of the images at the least" in text


@pytest.mark.parametrize("scenario", [ADVERSARIAL_TRAINING, ADVERSARIAL_TRAINING_BLACK_BOX])
def test_the_order_of_table_two_is_told_for_each_knowledge(rows, scenario):
    from studies.table_two_text import KNOWN

    found = rows({GRAY_BOX, scenario})
    told = {
        name: next(row[2] for start, row in found.items() if start.endswith(known))
        for name, known in KNOWN.items()
    }
    assert told == {name: "met" if name == scenario else "**missed**" for name in KNOWN}


def test_the_papers_numbers_stand_beside(rows):
    """Of the two tables the last is of attacks on the original."""
    found = rows({ADVERSARIAL_TRAINING_BLACK_BOX})
    assert found["Normal"][1:4] == ["0 (100)", "0 (25)", "0 (22)"]
    assert found["RegionSparse + FGSM Adversarial"][2:4] == ["100 (85)", "100 (73)"]
    assert rows({ADVERSARIAL_TRAINING})["RegionSparse + FGSM Adversarial"][2] == "0 (85)"


def test_what_a_training_took_and_on_what(rows):
    found = rows({BLACK_BOX})
    assert found["retrained"] == [
        "retrained", "purified", "900", "10", "epoch 9", "61", "35", "AMD EPYC, 2 cores",
    ]  # fmt: skip
    assert found["adversarial"] == [
        "adversarial", "purified, adversarial", "900", "30", "epoch 28", "13", "8", "NVIDIA H200",
    ]  # fmt: skip


def test_a_gpu_is_missed_where_no_model_was_made_on_one(whole, figures):
    from studies import trained_text

    sentence = "None was trained on a GPU;"
    assert sentence not in "\n".join(trained_text.render(whole, BASES[0], figures))
    on_cpu = {"retrained": figures["retrained"]}
    assert sentence in "\n".join(trained_text.render(whole, BASES[0], on_cpu))


def test_each_base_is_told_of_by_its_name(whole, figures):
    from studies import trained_text

    made = {"retrained": figures["retrained"]}
    texts = ["\n".join(trained_text.render(whole, base, made)) for base in BASES]
    for text, name in zip(texts, ("MobileNet-v2", "Inception-v3"), strict=True):
        assert f"All are {name}, retrained" in text
        assert f"here it is {name}" in text
    assert "MobileNet" not in texts[1]


def test_an_adversarial_model_that_was_not_made_is_not_told_of(figures):
    from studies import trained_text

    whole = make_evaluation(trained=True, transfer=False, defenses=(*DEFENSES, *OURS))
    columns = tuple(column for column in whole.columns if column.judged != "adversarial")
    keys = {column.key for column in columns}
    trials = tuple(trial for trial in whole.trials if trial.column in keys)
    found = "\n".join(trained_text.render(
        replace(whole, columns=columns, trials=trials), BASES[1],
        {"retrained": figures["retrained"]},
    ))  # fmt: skip
    assert "- `retrained`: purified by" in found
    assert "Table II's order" not in found
    assert "### Table II" not in found
    assert "FGSM adversarial training" not in found
    assert "(`--original-share 0.5`)" in found
    assert "Inception-v3, and with it Table II, is missing" in found


def test_shown_versions_are_told_with_the_defense_behind_each(whole, figures, monkeypatch):
    from studies import trained_text
    from studies.recipes import TRAININGS, Attacked, Training

    first, second = TRAININGS[BASES[0]].values()
    shown = [
        Attacked(attack, defense)
        for attack, defense in (("fgsm:eps=2", "nlm"), ("fgsm:eps=4", "nlm"), ("bim:eps=2", "tvm"))
    ]
    toy = {
        "retrained": Training(first.parameters, ("jpeg:quality=20", "nlm"), tuple(shown)),
        "adversarial": Training(second.parameters, ("nlm",), tuple(shown[:1])),
    }
    monkeypatch.setattr(trained_text, "TRAININGS", {BASES[0]: toy})
    text = "\n".join(trained_text.render(whole, BASES[0], figures))
    assert (
        "- `retrained`: purified by `jpeg-quality=20` and `nlm-h=4`; attacked on the original by "
        "`fgsm-eps=2` and `fgsm-eps=4` and then purified by `nlm-h=4`; "
        "attacked on the original by `bim-eps=2` and then purified by `tvm-weight=0.03`\n"
    ) in text
    assert (
        "- `adversarial`: purified by `nlm-h=4`; attacked on the original by `fgsm-eps=2` and then "
        "purified by `nlm-h=4`; attacked by FGSM on itself, by up to 16 grey levels (V-H), and not "
        "purified\n"
    ) in text
    assert "`retrained` was shown attacks on the original:" in text


def test_parts_that_were_not_run_again_stay():
    from studies import results_text

    page = (REPOSITORY / "docs" / "results.md").read_text(encoding="utf-8")
    assert results_text.render({}, "", {}, page) == page


def test_parts_that_never_ran_are_left_out_and_others_keep_their_place(figures):
    from studies import results_text

    assert results_text.render({}, "", {}) == results_text.HEAD
    defenses = (("none", "none"), *OURS)
    found = make_evaluation(defenses=defenses, trained=True, transfer=False)
    all_figures = {BASES[0]: figures, BASES[1]: {"retrained": figures["retrained"]}}
    page = results_text.render({"trained": found}, "a machine", all_figures)
    assert marks(page) == ["trained"]
    assert "All are MobileNet-v2" in page
    second = results_text.render({"trained-inception-v3": found}, "another", all_figures, page)
    assert second.startswith(page)
    assert marks(second) == ["trained", "trained-inception-v3"]
    assert "All are Inception-v3" in second
    assert results_text.render({}, "", {}, second) == second
    only_second = results_text.HEAD + second.removeprefix(page)
    assert results_text.render({"trained": found}, "a machine", all_figures, only_second) == second


def marks(page: str) -> list[str]:
    """The plans whose parts a page holds."""
    return re.findall("^<!-- part: (.*) -->$", page, re.MULTILINE)
