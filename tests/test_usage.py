"""Usage errors and old option names give one line on stderr and exit code 2."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import typer.main

from rsparse.cli import app
from rsparse.cli.app import COMMANDS
from rsparse.defenses import DEFENSES, parse_defense
from rsparse.evaluation.plan_file import read_plan
from rsparse.options import renamed
from tests.refusals import refused

CLASSIFY = ("classify", "imgs", "-m", "m.onnx")


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("unknown command 'purfy'; did you mean purify?", ("purfy",)),
        (f"unknown command 'zzz'; known: {', '.join(COMMANDS)}", ("zzz",)),
        ("unknown command 'tga'; did you mean tag?", ("model", "tga")),
        (f"unknown command 'app'; known: {', '.join(COMMANDS)}", ("app",)),
        ("unknown option --verison; did you mean --version?", ("--verison",)),
        ("unknown option --spasity; did you mean --sparsity?", ("purify", "x", "--spasity=3")),
        ("unknown option --xyzzy; see 'rsparse purify --help'", ("purify", "x", "--xyzzy")),
        ("unknown option -Z; see 'rsparse purify --help'", ("purify", "x", "-Z")),
        ("IMAGES is missing; see 'rsparse purify --help'", ("purify",)),
        ("ARTIFACT is missing; see 'rsparse show --help'", ("show",)),
        ("--model (-m) is missing; see 'rsparse classify --help'", ("classify", "imgs")),
        ("-m: needs a value", ("classify", "imgs", "-m")),
        ("--jobs: needs a value", ("localize", "imgs", "--jobs")),
        ("--json: takes no value", ("show", "x", "--json=yes")),
        ("unexpected argument 'b'; see 'rsparse show --help'", ("show", "a", "b")),
        ("jobs: expected a whole number of 0 or more, got '-3'", ("purify", "x", "--jobs", "-3")),
        ("jobs: expected a whole number of 0 or more, got 'all'", ("demo", "--jobs", "all")),
        ("top: expected a whole number from 1 to 100000, got '1.5'", (*CLASSIFY, "--top", "1.5")),
        ("gradient: expected one of sobel, scharr, got 'canny'",
         ("localize", "x", "-o", "y", "--gradient", "canny")),
        ("mean: expected a number, or three separated by commas, got 'dark'",
         (*CLASSIFY, "--mean", "dark")),
    ],
)  # fmt: skip
def test_one_line_for_what_cannot_be_read(assert_error, line, arguments):
    assert_error(line, *arguments)


@pytest.mark.parametrize("arguments", [(), ("model",)])
def test_a_group_without_a_command_prints_its_help(run_cli, arguments):
    result = run_cli(*arguments)
    assert result.stderr.startswith("Usage: rsparse")
    assert "rsparse: error" not in result.stderr


def test_a_line_break_in_an_option_stays_on_the_line(assert_error):
    assert_error("unknown option --a\\nb; see 'rsparse show --help'", "show", "x", "--a\nb")


OLD = {
    "--sized": "--input-size",
    "train --goal": "--train-on",
    "--goal": "--target",
    "--gradient canny": "--gradient sobel",
    "localize --otsu yes": "--otsu",
    "plan goal": "train-on, a key of its own",
    "median:width": "size",
}


@cache
def program() -> Any:
    """All commands; building them takes long."""
    return typer.main.get_command(app)


def spellings(command: str) -> set[str]:
    """Return the option names of a command, such as ``model tag``."""
    found = program()
    for name in command.split():
        found = found.commands[name]
    return {word for param in found.params for word in (*param.opts, *param.secondary_opts)}


@pytest.mark.parametrize(("old", "new"), renamed.OLD_OPTIONS.items())
def test_what_an_old_spelling_names_is_there_and_the_old_one_is_not(old, new):
    if not new.startswith("--") or " " in new:
        return  # a sentence
    command, _, option = old.rpartition(" ")
    commands = [command] if command else COMMANDS
    assert any(new in spellings(name) for name in commands)
    assert not any(new in spellings(name) and option in spellings(name) for name in commands)


@pytest.mark.parametrize(
    "spec",
    [key for key in renamed.OLD_OPTIONS if key.startswith("regionsparse:") and "=" not in key],
)
def test_an_old_parameter_of_regionsparse_is_told_the_new_one(spec):
    name, _, parameter = spec.partition(":")
    new = renamed.OLD_OPTIONS[spec]
    with refused(f"defense '{spec}=1': {parameter} is now {new}"):
        parse_defense(f"{spec}=1")
    assert " " in new or new in DEFENSES[name].__dataclass_fields__


@pytest.fixture
def old(monkeypatch):
    monkeypatch.setattr(renamed, "OLD_OPTIONS", OLD)


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("--sized is now --input-size", (*CLASSIFY, "--sized", "3")),
        ("--goal is now --train-on", ("train", "imgs", "--goal", "x")),
        ("--goal is now --target", ("purify", "imgs", "--goal=x")),
        ("--gradient canny is now --gradient sobel", ("localize", "x", "--gradient", "canny")),
        ("--gradient canny is now --gradient sobel", ("purify", "x", "--gradient=canny")),
        ("--otsu yes is now --otsu", ("localize", "x", "--otsu", "yes")),
        ("defense 'median:width=3': width is now size",
         ("purify", "x", "--defense", "median:width=3", "-o", "y")),
    ],
)  # fmt: skip
def test_an_old_spelling_is_told_the_new_one(old, assert_error, line, arguments):
    assert_error(line, *arguments)


def test_an_old_value_after_two_dashes_is_an_argument(old, assert_error):
    arguments = ("--", "--gradient", "canny")
    assert_error("--gradient: no such file or folder", "localize", "-o", "y", *arguments)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("goal = 1", "goal is now train-on, a key of its own"),
        ("sized = 1", "sized is now input-size"),
        ('images = "x"\nattack = "noise"\noutput = "o"\nmodel = {file = "m", sized = 3}',
         "model: sized is now input-size"),
    ],
)  # fmt: skip
def test_an_old_key_of_a_plan_is_told_the_new_one(old, tmp_path, content, line):
    path = tmp_path / "plan.toml"
    path.write_text(content)
    with refused(f"{path}: {line}"):
        read_plan(path)
