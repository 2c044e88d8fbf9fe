"""CSV cells with arbitrary, untrusted text."""

from __future__ import annotations

import csv
import io

import pytest

from rsparse.store.csv_text import csv_line, name_cell, name_of, text_cell, text_of

TEXTS = ["a", "=1+1", "+a", "-a", "@a", "\ta", "＝1", "'a", "''=a", "./a", "-1", "+2.5", "a,b", ""]


@pytest.mark.parametrize("text", TEXTS)
def test_texts_come_back(text):
    assert text_of(text_cell(text)) == text


@pytest.mark.parametrize("name", [text for text in TEXTS if not text.startswith("./")])
def test_names_come_back(name):
    assert name_of(name_cell(name)) == name


def test_formulas_are_defused():
    assert name_cell("=1+1") == "./=1+1"
    assert text_cell("=1+1") == "'=1+1"
    assert text_cell("-1.5") == "-1.5"


def test_line_breaks_stay_in_their_cell():
    cells = ["a\rb", "c\nd", "e\r\nf", 'g"', "h,i", "j\x85k"]
    text = csv_line(cells)
    assert text.endswith("\n")
    assert list(csv.reader(io.StringIO(text, newline=""))) == [cells]
