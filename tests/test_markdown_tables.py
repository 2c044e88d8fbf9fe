"""Markdown tables as written by reports and benchmarks."""

from __future__ import annotations

from rsparse.report.markdown_tables import escaped, table_head, table_row, table_text


def test_a_whole_table() -> None:
    text = table_text(["name", "n"], [["a", "1"], ["`b`", "22"]], [False, True])
    assert text == "| name | n |\n|---|--:|\n| a | 1 |\n| `b` | 22 |\n"


def test_a_table_row_by_row_is_the_same() -> None:
    lines = [table_head(["a", "b"]), table_row(["1", "2"]), ""]
    assert table_text(["a", "b"], [["1", "2"]]) == "\n".join(lines)
    assert table_head(["a", "b"]).endswith("\n|---|---|")


def test_text_that_would_be_markup_is_shown_as_it_is() -> None:
    assert escaped("a|b_c*<i>&`x`\n") == r"a\|b\_c\*\<i\>&amp;\`x\`\\n"
