"""The pages of docs/ that studies write are up to date, and their numbers come from tables."""

from __future__ import annotations

import re
import shutil

import pytest

from studies.pages import DOCS, PAGES, TEMPLATES, Tables, policy_of, render, short, signed


@pytest.mark.parametrize("page", PAGES)
def test_the_committed_page_is_the_rendered_one(page):
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    assert text == render(page), "run `make results-page`"


@pytest.mark.parametrize("page", PAGES)
def test_no_share_is_typed_into_a_template(page):
    text = (TEMPLATES / f"{page}.md.j2").read_text(encoding="utf-8")
    text = re.sub(r"{{.*?}}|{%.*?%}|{#.*?#}", "", text, flags=re.DOTALL)
    allowed = {"100 % by construction", "95 %", "the 2 % quantile"}
    for words in allowed:
        text = text.replace(words, "")
    assert re.findall(r"\d[\d.]* ?%|[+−]\d+\.\d", text) == []


def test_another_figure_in_a_table_is_on_the_page(tmp_path):
    shutil.copytree(DOCS / "results", tmp_path / "results")
    shutil.copytree(DOCS / "policies", tmp_path / "policies")
    path = tmp_path / "results" / "mobilenet-v2" / "gains.csv"
    text = path.read_text(encoding="utf-8")
    gain = Tables(tmp_path).value("results/mobilenet-v2/gains", "difference")
    path.write_text(text.replace(f",{gain},", ",77.7,"), encoding="utf-8")
    page = render("results", tmp_path)
    assert "+77.7 points" in page
    assert "is met" in " ".join(page.split())


def test_a_row_that_is_not_there_or_not_the_only_one_is_an_error(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,x\n1,y\n")
    tables = Tables(tmp_path)
    assert tables.value("t", "a", b="y") == "1"
    with pytest.raises(LookupError, match="2 rows with {'a': '1'}, expected one"):
        tables.row("t", a="1")
    with pytest.raises(LookupError, match=r"t.csv: 0 rows with {'a': '2'}"):
        tables.row("t", a="2")


def test_numbers_and_attacks_as_they_are_written():
    assert (signed("8.6"), signed("-1.2"), signed("0.0")) == ("+8.6", "−1.2", "+0.0")
    attacks = ("clean", "fgsm-eps=2", "mi-fgsm-d=0.1", "cw-l2-d=0.01-steps=30")
    assert list(map(short, attacks)) == ["clean", "FGSM 2", "MI-FGSM 0.1", "CW-L2 0.01"]


def test_a_page_is_short_enough_to_be_read():
    assert len(render("results").split()) <= 2500
    assert len(render("policies").splitlines()) <= 80


def test_readme_s_line_about_attackers_who_know_is_that_of_the_table():
    every = Tables(DOCS).rows("results/robustness/left")
    rows = [row for row in every if row["rules"] and policy_of(row["rules"]) == "default"]
    if not rows:
        pytest.skip("today's default policy was not attacked by one who knows it")
    by_eps = {row["eps"]: row for row in rows}
    text = " ".join((DOCS.parent / "README.md").read_text(encoding="utf-8").split())
    said = re.search(
        r"leaves (\w+) of (\d+) right by changes of one grey level, and (\w+) by two\*\* "
        r"\(95 % interval (\d+)–(\d+) %",
        text,
    )
    assert said is not None
    one, two = ("none" if by_eps[eps]["knows"] == "0" else by_eps[eps]["knows"] for eps in "12")
    ends = by_eps["1"]["knows_low"], by_eps["1"]["knows_high"]
    assert said.groups() == (one, rows[0]["photographs"], two, *ends)


def test_the_line_about_evasion_is_that_of_the_table():
    from rsparse.detection.evasion import EVASION

    rows = Tables(DOCS).rows("detection/evasion")
    told = re.findall(r"(\d+) of (\d+)[^,]*? (?:of|at) (\d+)", EVASION)
    assert told == [tuple(row[key] for key in ("found", "wrong", "eps")) for row in rows]
