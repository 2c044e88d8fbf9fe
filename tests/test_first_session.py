"""The first session of a stranger: few commands, each of which the program takes."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import first_session
import pytest
from first_session import MOST, Step, commands, run, told


@pytest.mark.parametrize("real", [False, True])
def test_the_session_is_short(real):
    session = commands("rsparse-1.0-py3-none-any.whl", real)
    assert len(session) <= MOST
    assert {shlex.split(line)[1] for line in session if line.startswith("rsparse")} >= {
        "purify", "evaluate", "report", "view"
    }  # fmt: skip


def test_a_command_runs_in_an_empty_home(tmp_path: Path):
    program = "import os, sys; print(sorted(os.environ), os.environ[chr(72) + 'OME']); sys.exit(3)"
    step = run(shlex.join([sys.executable, "-c", program]), tmp_path)
    assert str(tmp_path) in step.output
    assert "PYTHONPATH" not in step.output
    assert "(exit code 3)" in step.output
    assert step.wall > 0


def test_the_page_tells_each_command_and_its_time():
    steps = [Step(f"command {n}", f"output {n}\n", 10.0 + n, 1.0) for n in range(3)]
    page = told(steps)
    assert page.startswith(
        "3 commands: 21 s to install and 12 s for the rest; all of them took 3 s"
    )
    assert page.count("$ command") == 3
    assert "output 2\n(wall 12.0 s, CPU 1.0 s)" in page


def test_the_strangers_files_are_photographs_by_class():
    photos = first_session._of_the_demo()
    assert len({label for label, _ in photos}) >= 5
    assert all(file.exists() for _, file in photos)


@pytest.mark.parametrize(("last", "code"), [("false", 1), ("true", 0)])
def test_the_session_ends_at_a_command_that_fails(last, code, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["first_session.py"])
    monkeypatch.setattr(first_session, "bring", lambda here, _: here.mkdir() or "wheel")
    session = ["echo begun", last, *(["echo not reached"] if code else [])]
    monkeypatch.setattr(first_session, "commands", lambda *_: session)
    assert first_session.main() == code
    printed = capsys.readouterr().out
    assert "begun" in printed
    assert "not reached" not in printed
