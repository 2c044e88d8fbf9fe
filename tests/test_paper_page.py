"""docs/paper.md keeps its word: files, defaults, equation numbers and marks."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("torch")

from rsparse.attacks import gradient_sign
from rsparse.attacks.carlini_wagner import CwL2
from rsparse.attacks.gradient_sign import Bim, Fgsm, MiFgsm
from rsparse.defenses.comdefend import ComDefend
from rsparse.defenses.compression import Jpeg
from rsparse.defenses.smoothing import FeatureSqueezing
from rsparse.defenses.variation import MaskedTotalVariation
from rsparse.options.activations import ActivationParameters
from rsparse.options.attention import AttentionParameters
from rsparse.options.evaluate import EvaluateParameters
from rsparse.options.learn_dict import LearnParameters
from rsparse.options.localize import LocalizeParameters
from rsparse.options.purify import PurifyParameters
from studies.pages import DOCS, render
from studies.paper.figures import form
from studies.tables import read_rows
from tests.conftest import REPOSITORY

KNOWN = {
    kind.__name__: kind
    for kind in (
        Fgsm, Bim, MiFgsm, CwL2, MaskedTotalVariation, FeatureSqueezing, Jpeg, ComDefend,
        LearnParameters, LocalizeParameters, PurifyParameters, ActivationParameters,
        AttentionParameters, EvaluateParameters,
    )
}  # fmt: skip
ROWS = read_rows(DOCS / "paper" / "rows.csv")
OPEN = read_rows(DOCS / "paper" / "open.csv")
MARKS = {"faithful", "by name", "differs", "contradicted", "silent", "missing"}
HELD = [held for row in (*ROWS, *OPEN) for held in row["holds"].split("; ") if held]


def test_every_row_has_a_mark_and_what_differs_has_a_reason():
    assert [row["number"] for row in ROWS] == [str(number) for number in range(1, 76)]
    assert {row["mark"] for row in ROWS} <= MARKS
    assert all(row["why"] for row in ROWS if row["mark"] in ("by name", "differs"))
    assert all(row["here"] for row in ROWS)
    assert all(row["why"] for row in OPEN)


@pytest.mark.parametrize("row", ROWS, ids=[row["number"] for row in ROWS])
def test_its_file_is_there_and_its_options_exist(row):
    assert (REPOSITORY / row["where"]).exists()
    commands = (DOCS / "commands.md").read_text(encoding="utf-8")
    studies = (REPOSITORY / "studies" / "paper" / "__main__.py").read_text(encoding="utf-8")
    for option in re.findall(r"--[a-z][a-z-]+", row["here"]):
        assert option in commands or option in studies, option


@pytest.mark.parametrize("held", sorted(set(HELD)))
def test_what_a_row_says_of_the_source_holds(held):
    """A default (``Class.field=value``), a constant, or words that a file contains."""
    if ": " in held:
        file, words = held.split(": ", 1)
        assert words in (REPOSITORY / file).read_text(encoding="utf-8")
        return
    name, wanted = held.split("=")
    owner, _, field = name.partition(".")
    value = getattr(KNOWN[owner], field) if field else getattr(gradient_sign, owner)
    assert str(value) == wanted


def test_every_equation_of_the_paper_has_a_row():
    numbers = set()
    for row in ROWS:
        for first, last in re.findall(r"eq\. (\d+)(?:–(\d+))?", row["place"]):
            numbers |= set(range(int(first), int(last or first) + 1))
    assert numbers == set(range(1, 21))


def test_what_is_open_is_written_as_the_source_has_it():
    by_name = {row["what"]: row for row in OPEN}
    for what in ("K", "b", "k", "n", "stride", "threshold", "γ", "erosions and dilations"):
        (held,) = by_name[what]["holds"].split("; ")
        assert float(held.split("=")[1]) == float(by_name[what]["ours"])


def test_the_page_says_how_many_rows_have_each_mark():
    page = " ".join(render("paper").split())
    number = [sum(row["mark"] == mark for row in ROWS) for mark in ("faithful", "differs")]
    assert f"Of 75 rows, {number[0]} are faithful, " in page
    assert f" {number[1]} differ and say why" in page


def test_the_files_of_the_page_are_linked_where_they_are():
    for target in re.findall(r"\]\(([^)#]+)", render("paper")):
        assert (DOCS / target).exists(), target


def test_the_names_give_what_the_rows_say():
    whole, learning = form(), LearnParameters.preset("paper")
    assert (whole.feather, whole.blur_size, whole.working_size) == (0, 1, 0)
    assert (whole.gradient_difference, whole.sparsity) == ("horizontal", 2)
    assert (whole.localize, whole.filter_background, whole.prefilter) == (True, True, False)
    assert (learning.color, learning.coder, learning.replace_atoms) == (False, "lars", False)
    assert (learning.smoothing_weights, learning.smoothing_window) == ("printed", None)
    by_name = [row["here"] for row in ROWS if row["mark"] == "by name"]
    assert all("--preset paper" in here or "--policy paper" in here for here in by_name)
