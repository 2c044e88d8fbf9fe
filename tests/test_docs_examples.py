"""The examples in the documents run, and print what the documents say."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

PAGES = [REPOSITORY / "docs" / name for name in ("coder.md", "frameworks.md")]


def examples(page: Path) -> list[tuple[str, str]]:
    """Each block of Python in a page, with the block of text after it."""
    found = re.findall(
        r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?",
        page.read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )
    assert found
    return found


@pytest.mark.filterwarnings("ignore")  # other libraries warn of what they use
@pytest.mark.usefixtures("one_torch_core")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_print_what_the_page_says(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))  # ART writes its settings there
    for name in ("torch", "sklearn", *re.findall(r"^import (\w+)$", page.read_text(), re.M)):
        pytest.importorskip(name)
    names: dict[str, object] = {"__name__": "example"}
    for source, expected in examples(page):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(source, page.name, "exec"), names)
        assert printed.getvalue() == expected, source
