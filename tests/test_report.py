"""Reports: verdicts, subjects, figures and tables."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from rsparse.defenses.recorded import defense_of
from rsparse.evaluation.estimates import mean_share, paired_difference, percent, points
from rsparse.evaluation.names import GRAY_BOX, TRANSFER
from rsparse.evaluation.results import CLEAN
from rsparse.evaluation.statistics import share
from rsparse.pictures.charts import svg
from rsparse.pictures.series import INKS
from rsparse.report.figures import styles_of
from rsparse.report.headline import key_numbers
from rsparse.report.knowledge import known_and_unknown
from rsparse.report.markdown import render_markdown
from rsparse.report.page import data_files, plain, render_page
from rsparse.report.pictures import Gallery, data_url, evenly
from rsparse.report.sections import figures_of
from rsparse.report.subjects import find_subjects
from rsparse.report.tables import attacks, by_column, overview
from rsparse.report.verdict import verdicts
from tests.evaluations import ADAPTIVE, FEW, make_evaluation, with_flags
from tests.refusals import refused


class TestVerdict:
    def test_names_scenario_images_baseline_and_interval(self):
        evaluation = with_flags({
            "none": [False] * 40,
            "regionsparse-sparsity=2": [True] * 30 + [False] * 10,
            "jpeg-quality=75": [True] * 10 + [False] * 30,
        })  # fmt: skip
        (verdict,) = verdicts(find_subjects(evaluation))
        first, knowledge, second, third = verdict.sentences
        assert first == (
            "Under 1 gray-box attack (the attacker knows mobilenet-v2 but not the defense), 75.0 % "
            "of the images are classified correctly behind regionsparse-sparsity=2 on average "
            "(59.8–85.8 %), and 75.0 % before any attack; without a defense, 0.0 % are."
        )
        assert knowledge == (
            "This attacker does not know the defense, so these numbers are not robustness; rsparse "
            "evaluate --scenario adaptive attacks through it."
        )
        assert second == (
            "The best baseline by this mean, chosen after the fact, is jpeg-quality=75 with "
            "25.0 %; the difference is +50.0 points (95 % interval +33.8 to +66.2), significantly "
            "in favour of regionsparse-sparsity=2."
        )
        assert third == (
            "These numbers are from 40 images, only those that the undefended model classifies "
            "correctly (7 left out); 75.0 % stay correct under every attack, 25.0 % behind "
            "jpeg-quality=75 (McNemar's p < 0.001); of 4 checks, 2 passed, 1 failed and 1 was not "
            "run."
        )

    def test_names_the_failed_checks_first(self):
        subjects = find_subjects(make_evaluation(6, defenses=FEW))
        failed = (
            "1 check failed; read this before the numbers.",
            "Failed: accuracy falls with the strength behind regionsparse-sparsity=2 (cw-l2: "
            "41.0 % at d = 0.15, 44.5 % at d = 0.2).",
        )
        verdict = verdicts(subjects)[0]
        assert verdict.failed == failed
        assert verdict.text[:2] == failed
        page = render_page(subjects, figures_of(subjects), Gallery())
        assert page.index("read this before the numbers") < page.index("Under 22 gray-box attacks")
        text = render_markdown(subjects)
        assert text.index(failed[0]) < text.index("Under 22 gray-box attacks")

    def test_corrects_for_the_choice_of_the_best_baseline(self):
        """A lead of 6 images in 40: p = 0.012, but 0.12 for the best of ten."""
        rivals = tuple((f"jpeg-quality={q}", "jpeg") for q in range(20, 30))
        ours = [True] * 20 + [False] * 20
        best = [True] * 26 + [False] * 14

        def sentence(m: int) -> str:
            flags = {text: ours for text, _ in rivals[:m]} | {"jpeg-quality=20": best}
            evaluation = with_flags(
                {"none": [False] * 40, "regionsparse-sparsity=2": ours} | flags,
                (*FEW[:2], *rivals[:m]),
            )
            return verdicts(find_subjects(evaluation))[0].sentences[2]

        assert "significantly in favour of jpeg-quality=20" in sentence(1)
        assert "corrected for the best of 10" in sentence(10)
        assert sentence(10).endswith("not significant and may be due to chance.")

    def test_says_that_a_difference_may_be_due_to_chance(self):
        evaluation = with_flags({
            "none": [False] * 10,
            "regionsparse-sparsity=2": [True] * 5 + [False] * 5,
            "jpeg-quality=75": [False] + [True] * 3 + [False] * 6,
        })  # fmt: skip
        assert (
            "not significant and may be due to chance"
            in verdicts(find_subjects(evaluation))[0].sentences[2]
        )

    def test_says_when_ours_loses(self):
        evaluation = with_flags({
            "none": [False] * 40,
            "regionsparse-sparsity=2": [False] * 40,
            "jpeg-quality=75": [True] * 30 + [False] * 10,
        })  # fmt: skip
        sentence = verdicts(find_subjects(evaluation))[0].sentences[2]
        assert sentence.endswith("significantly in favour of jpeg-quality=75.")

    def test_says_when_all_images_were_judged(self):
        evaluation = replace(make_evaluation(10, defenses=FEW), only_correct=False, checks=())
        third = verdicts(find_subjects(evaluation))[0].sentences[3]
        assert "10 images, whether or not the undefended model" in third
        assert third.endswith("no checks were run.")

    @pytest.mark.parametrize("kept", [("none",), ("none", "jpeg"), ("regionsparse",), ("jpeg",)])
    def test_works_whatever_was_judged(self, kept):
        few = tuple(pair for pair in FEW if pair[1] in kept)
        subjects = find_subjects(make_evaluation(6, defenses=few))
        n_sentences = 3 if subjects.judged is None else 4
        assert [len(verdict.sentences) for verdict in verdicts(subjects)] == [n_sentences] * 2
        assert render_page(subjects, figures_of(subjects), Gallery()).startswith("<!doctype html>")
        assert render_markdown(subjects)

    def test_works_without_clean_images_and_for_one_image(self):
        whole = make_evaluation(1, defenses=FEW)
        columns = tuple(column for column in whole.columns if column.family != CLEAN)
        subjects = find_subjects(replace(whole, columns=columns))
        assert "single image" in verdicts(subjects)[0].sentences[2]
        assert render_page(subjects, figures_of(subjects), Gallery())


class TestSubjects:
    def test_gray_box_comes_first_and_the_first_regionsparse_is_judged(self):
        subjects = find_subjects(make_evaluation())
        assert subjects.scenarios == (GRAY_BOX, TRANSFER)
        assert subjects.judged.text == "regionsparse-sparsity=2"
        assert len(subjects.families_of(GRAY_BOX)) == 4
        assert subjects.families_of(GRAY_BOX)[0].middle.strength == 10

    def test_an_unknown_defense_is_refused_and_a_known_one_taken(self):
        evaluation = make_evaluation(defenses=FEW)
        assert find_subjects(evaluation, "jpeg-quality=75").judged.kind == "jpeg"
        with refused(
            "the evaluation has no defense 'jpeg-quality=70'; did you mean jpeg-quality=75?"
        ):
            find_subjects(evaluation, "jpeg-quality=70")

    def test_one_setting_of_each_kind_is_in_colour(self):
        subjects = find_subjects(make_evaluation())
        styles = styles_of(subjects, GRAY_BOX)
        assert list(styles.values()) == ["ours", "none", "b1", "b2", "b3", "b4", "b5"]
        assert len({text.split("-quality")[0] for text in styles}) == len(styles)

    def test_attacks_with_other_parameters_have_charts_of_their_own(self):
        whole = make_evaluation(defenses=FEW, transfer=False)
        other = [
            replace(c, attack=f"{c.attack}-steps=20", parameters={**c.parameters, "steps": 20})
            for c in whole.columns
            if c.family == "bim"
        ]
        trials = [
            replace(trial, column=o.key)
            for o in other
            for trial in whole.trials
            if trial.column[-1] == o.attack.removesuffix("-steps=20")
        ]
        subjects = find_subjects(
            replace(whole, columns=(*whole.columns, *other), trials=(*whole.trials, *trials))
        )
        titles = [family.title for family in subjects.families]
        assert titles == ["fgsm", "bim (steps=10)", "mi-fgsm", "cw-l2", "bim (steps=20)"]
        assert len({figure.key for figure in figures_of(subjects)}) == len(figures_of(subjects))


class TestEstimates:
    def test_a_mean_over_columns_has_the_interval_of_one_column(self):
        evaluation = make_evaluation(50, defenses=FEW)
        defense = evaluation.defenses[1]
        one = mean_share(evaluation, defense, evaluation.columns[1:2])
        twice = mean_share(evaluation, defense, [evaluation.columns[1]] * 2)
        assert one == twice

    def test_a_paired_difference_of_known_spread(self):
        found = paired_difference(np.array([0.5, 0, 0.5, 0]), np.zeros(4))
        half = 3.182446 * np.sqrt(1 / 12) / 2  # Student's t with 3 degrees of freedom
        assert found.numbers == pytest.approx((0.25, 0.25 - half, 0.25 + half))

    def test_no_interval_of_a_difference_goes_beyond_what_shares_can_differ_by(self):
        found = paired_difference(np.array([1.0, 0]), np.zeros(2))
        assert found.numbers == (0.5, -1.0, 1.0)

    @pytest.mark.parametrize("sign", [1, -1])
    @pytest.mark.parametrize("n", [2, 5, 6])
    def test_images_that_all_differ_alike_decide_as_the_sign_test_does(self, n, sign):
        found = paired_difference(np.full(n, max(sign, 0.0)), np.full(n, max(-sign, 0.0)))
        p = 2 * 0.5**n  # the sign test, both sides
        assert found.value == sign
        assert (found.low * found.high > 0) == (p < 0.05)

    def test_numbers_are_written_as_people_write_them(self):
        assert percent(0.8126) == "81.3"
        assert (points(-0.031), points(0.031), points(np.nan)) == ("−3.1", "+3.1", "–")

    def test_images_are_spread_evenly(self):
        assert evenly("abcdefghij", 2) == [2, 7]
        assert evenly("abc", 5) == [0, 1, 2]


class TestAttacksThroughDefenses:
    """A scenario in which each attack is judged with the defense it was made through."""

    def test_every_row_has_the_accuracy_under_its_own_attack(self):
        subjects = find_subjects(make_evaluation(defenses=FEW, transfer=False, adaptive=True))
        evaluation = subjects.evaluation
        columns = subjects.columns(ADAPTIVE)
        assert len(columns) == len(subjects.columns(GRAY_BOX)) == 22
        assert len(subjects.all_columns(ADAPTIVE)) == 22 * len(FEW)
        table = by_column(subjects, columns[:1], ["fgsm eps 2"])
        for row, defense in zip(table.rows, evaluation.defenses, strict=True):
            own = "" if defense.kind == "none" else defense.text
            (column,) = (c for c in subjects.all_columns(ADAPTIVE)
                         if (c.attack, c.through) == ("fgsm-eps=2", own))  # fmt: skip
            trial = evaluation.trial(column, defense)
            assert row[1].order == pytest.approx((trial.prediction == evaluation.labels).mean())
        means = [row[2].order for row in overview(subjects, ADAPTIVE).rows]
        assert means == pytest.approx([subjects.mean(d, ADAPTIVE) for d in evaluation.defenses])
        assert subjects.mean(subjects.judged, ADAPTIVE) < subjects.mean(subjects.judged, GRAY_BOX)

    def test_tables_and_page_name_the_defense_that_was_attacked_through(self):
        subjects = find_subjects(make_evaluation(defenses=FEW, transfer=False, adaptive=True))
        table = attacks(subjects)
        assert table.header[:5] == ("scenario", "made on", "judged by", "through", "attack")
        through = {row[3].text for row in table.rows if row[0].text == ADAPTIVE}
        assert through == {"", *(text for text, kind in FEW if kind != "none")}
        page = render_page(subjects, figures_of(subjects), Gallery())
        assert "the attacker knows mobilenet-v2 and the defense, and attacks through it" in page
        assert f"{ADAPTIVE} mobilenet-v2 mobilenet-v2 through {FEW[1][0]} fgsm-eps=2" in page
        assert "through" in render_markdown(subjects)
        assert "through" in data_files(subjects, [])["attacks.csv"].splitlines()[0]

    def test_the_attacker_who_knows_stands_first_and_the_other_beside(self):
        subjects = find_subjects(make_evaluation(defenses=FEW, transfer=False, adaptive=True))
        assert subjects.scenarios == (ADAPTIVE, GRAY_BOX)
        labels = [number.label for number in key_numbers(subjects)]
        assert labels[:2] == ["attacker knows the defense", "attacker does not know it"]
        known, unknown = (
            share(np.logical_and.reduce([
                subjects.evaluation.correct(c, subjects.judged)
                for c in subjects.columns(scenario) if (c.strength_name, c.strength) == ("eps", 10)
            ]))
            for scenario in (ADAPTIVE, GRAY_BOX)
        )  # fmt: skip
        table = known_and_unknown(subjects)
        row = next(row for row in table.rows if row[0].text == subjects.judged.text)
        cells = dict(zip(table.header, row, strict=True))
        assert cells["eps 10, knows the defense"].order == known.value
        assert cells["eps 10, does not know it"].order == unknown.value > known.value
        page = render_page(subjects, figures_of(subjects), Gallery())
        assert page.index("attacker knows the defense") < page.index("attacker does not know it")
        assert page.index('id="knowledge"') < page.index('id="defenses"')
        assert "eps 10, knows the defense" in data_files(subjects, [])["knowledge.csv"]
        sentences = verdicts(subjects)[1].sentences
        assert "these numbers are not robustness: one who does leaves" in sentences[1]
        text = render_markdown(subjects)
        assert text.index("an attacker who knows") < text.index("All defenses, gray-box")

    def test_a_gray_box_verdict_alone_says_that_it_is_not_robustness(self):
        subjects = find_subjects(make_evaluation(defenses=FEW, transfer=False))
        assert known_and_unknown(subjects) is None
        assert "--scenario adaptive attacks through it" in verdicts(subjects)[0].sentences[1]
        assert 'id="knowledge"' not in render_page(subjects, figures_of(subjects), Gallery())

    def test_without_such_attacks_there_is_no_column_for_it(self):
        subjects = find_subjects(make_evaluation(defenses=FEW, transfer=False))
        assert "through" not in attacks(subjects).header

    def test_a_defense_that_was_not_tried_has_dashes(self):
        whole = make_evaluation(defenses=FEW, transfer=False, adaptive=True)
        left_out = FEW[1][0]
        columns = {c.key for c in whole.columns if c.scenario == ADAPTIVE}
        kept = [t for t in whole.trials if t.column not in columns or t.defense != left_out]
        subjects = find_subjects(replace(whole, trials=tuple(kept)))
        assert subjects.judged.text == left_out
        row = next(r for r in overview(subjects, ADAPTIVE).rows if r[0].text == left_out)
        assert [value.text for value in row[2:-1]] == ["–", "–", "–"]
        assert render_markdown(subjects)
        assert render_page(subjects, figures_of(subjects), Gallery())


class TestFigures:
    def test_each_csv_has_the_numbers_of_the_statistics(self):
        evaluation = make_evaluation(30)
        figure = next(f for f in figures_of(find_subjects(evaluation)) if f.key.endswith("x-bim"))
        rows = list(csv.DictReader(io.StringIO(figure.csv())))
        assert list(rows[0]) == ["defense", "eps", "accuracy", "low", "high", "n"]
        chosen = next(r for r in rows if r["defense"] == "tvm" and r["eps"] == "6")
        column = next(c for c in evaluation.columns if c.attack == "bim-eps=6")
        defense = next(d for d in evaluation.defenses if d.text == "tvm")
        assert float(chosen["accuracy"]) == pytest.approx(
            evaluation.correct(column, defense).mean(), abs=1e-6
        )
        assert float(chosen["low"]) <= float(chosen["accuracy"]) <= float(chosen["high"])

    def test_an_svg_uses_the_pages_colours_and_has_unique_identifiers(self):
        figures = figures_of(find_subjects(make_evaluation(12)))
        drawn = [svg(f.chart, f.key, "<&>", f.description) for f in figures]
        identifiers = [name for text in drawn for name in re.findall(r'\bid="([^"]+)"', text)]
        assert len(identifiers) == len(set(identifiers))
        assert "<title" in drawn[0]
        assert "&lt;&amp;&gt;" in drawn[0]
        assert not [ink for ink in INKS.values() if any(ink in text for text in drawn)]
        used = {name for text in drawn for name in re.findall(r"url\(#([^)]+)\)", text)}
        assert used <= set(identifiers)

    def test_axes_run_from_0_to_100(self):
        figures = figures_of(find_subjects(make_evaluation(12)))
        drawn = [svg(f.chart, f.key, f.title, f.description) for f in figures]
        assert all(">100 %<" in text and ">0<" in text for text in drawn)

    def test_a_picture_is_no_larger_than_it_is_shown(self):
        large = data_url(np.zeros((600, 900, 3), np.uint8), 240)
        from base64 import b64decode

        with Image.open(io.BytesIO(b64decode(large.split(",")[1]))) as picture:
            assert picture.size == (240, 160)


def test_parameters_are_written_plainly():
    attacks = [{"name": "bim", "eps": 8.0, "step_size": None}, {"name": "fgsm", "eps": 2.5}]
    assert plain(attacks) == "bim eps=8 step_size=–; fgsm eps=2.5"
    assert (plain(True), plain([0.5, 1]), plain("")) == ("yes", "0.5, 1", "–")


def test_the_page_says_what_is_missing():
    subjects = find_subjects(make_evaluation(6, defenses=FEW))
    gallery = Gallery((), (), "no sheets here", "no panels here", "no activation here")
    page = render_page(subjects, figures_of(subjects), gallery)
    assert all(text in page for text in ("no sheets here", "no panels here", "no activation here"))


def test_a_defense_comes_back_from_its_record():
    from rsparse.defenses import defense_text, parse_defense

    for text in (
        "jpeg:quality=20",
        "bilateral+jpeg:quality=40",
        "regionsparse:sparsity=3",
        "none",
        "policy:default",
    ):
        (defense,) = parse_defense(text)
        assert defense_of(defense.as_record()) == defense
        assert defense_text(defense_of(defense.as_record())) == defense_text(defense)
    with refused("unknown defense {'name': 'magic'}"):
        defense_of({"name": "magic"})


@pytest.mark.parametrize(
    ("seconds", "text"), [(2e-5, "0.02"), (0.0403, "40.3"), (1.591, "1591"), (None, "–")]
)
def test_times_have_no_exponent(seconds, text):
    whole = make_evaluation(4, defenses=FEW, transfer=False)
    timed = tuple(replace(defense, seconds=seconds) for defense in whole.defenses)
    subjects = find_subjects(replace(whole, defenses=timed))
    assert {row[-1].text for row in overview(subjects, GRAY_BOX).rows} == {text}
