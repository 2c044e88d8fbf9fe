"""The manual pages: complete, valid troff, and installed with the wheel."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path, PurePosixPath

import man_pages
import pytest
from update_docs import command_paths, help_of

PAGES = man_pages.pages()
FIRST, LAST = ["NAME", "SYNOPSIS"], ["EXIT STATUS", "SEE ALSO"]


def page_of(path: tuple[str, ...]) -> str:
    return PAGES[f"{'-'.join(('rsparse', *path))}.1"]


def test_equal_programs_give_equal_pages():
    assert man_pages.pages() == PAGES
    assert len(PAGES) == len(command_paths())


@pytest.mark.parametrize("path", command_paths(), ids=" ".join)
def test_a_page_has_the_options_and_examples_of_the_whole_help(path):
    text = page_of(path)
    titles = re.findall(r"^\.SH (.+)$", text, re.MULTILINE)
    assert [*titles[:2], *titles[-2:]] == FIRST + LAST
    plain = text.replace(r"\-", "-").replace(r"\(aq", "'").replace(r"\e", "\\")
    shown = help_of(path)
    for option in re.findall(r"^  (?:-\w, )?(--[\w-]+)", shown, re.MULTILINE):
        assert rf"\fB{option}\fR" in plain
    for example in re.findall(r"^  (rsparse .+)$", shown, re.MULTILINE):
        assert f"\n{example}\n" in plain
    above = "-".join(("rsparse", *path[:-1]))
    assert not path or rf"\fB{above}\fR(1)" in plain.partition(".SH SEE ALSO")[2]


@pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed")
def test_man_shows_the_pages_without_a_warning():
    settings = {"LC_ALL": "C.UTF-8", "MANWIDTH": "80", "TERM": "dumb"}
    shown = subprocess.run(
        ["man", "--warnings=w", "-P", "cat", "-l", *sorted(PAGES)],
        cwd=man_pages.FOLDER, env={**os.environ, **settings},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert shown.stderr == ""
    lines = shown.stdout.splitlines()
    assert "       -o, --output FOLDER" in lines
    assert "       rsparse show adv-purified/ --json | jq .inputs" in lines
    assert "θ of eq. (19)" in shown.stdout


def test_the_wheel_installs_them(tmp_path: Path):
    builder = pytest.importorskip("hatchling.builders.wheel").WheelBuilder
    (wheel,) = builder(str(man_pages.REPOSITORY)).build(directory=str(tmp_path))
    with zipfile.ZipFile(wheel) as archive:
        names = [PurePosixPath(name).parts for name in archive.namelist()]
    data = [parts for parts in names if parts[0].endswith(".data")]
    assert {parts[1:-1] for parts in data} == {("data", "share", "man", "man1")}
    assert {parts[-1] for parts in data} == set(PAGES)
