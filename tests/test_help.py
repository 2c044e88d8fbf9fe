"""Each command's help: short by default, whole with --help-all, in the same sections."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from update_docs import command_paths, printed, program

LINES, COLUMNS = 60, 80
COMMANDS = [path for path in command_paths() if path]
LEAVES = [path for path in COMMANDS if not any(path == other[:-1] for other in COMMANDS)]
SECTIONS = ["Arguments", "Input and output", "Method", "Attack"]
LEAKED = re.compile(r"<\w|\b(INTEGER|FLOAT|BOOLEAN|PATH|RANGE|DIRECTORY|UUID)\b|\bPath\(|\{")


def shown(*arguments: str, width: int = COLUMNS) -> str:
    """What a terminal of this width shows."""
    return printed(*arguments, width=width - 2)


def options_in(text: str) -> list[str]:
    return re.findall(r"^  (?:-\w, )?(--[\w-]+)", text, re.MULTILINE)


def titles_in(text: str) -> list[str]:
    return re.findall(r"^(\w[\w ]+):$", text, re.MULTILINE)


@pytest.mark.parametrize("path", [(), *COMMANDS], ids=" ".join)
def test_the_short_help_fits_on_a_screen(path):
    lines = shown(*path, "--help").splitlines()
    assert len(lines) <= LINES
    too_long = [line for line in lines if len(line) > COLUMNS and "rsparse " not in line]
    assert not too_long


@pytest.mark.parametrize("path", [(), *COMMANDS], ids=" ".join)
def test_no_help_names_a_type_of_the_program(path):
    for option in ("--help", "--help-all"):
        assert not LEAKED.search(shown(*path, option))


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_the_whole_help_has_the_options_of_the_short_one_and_every_other(path):
    short, whole = shown(*path, "--help"), shown(*path, "--help-all")
    assert "\nExamples:\n  rsparse " in short
    assert "\f" not in short + whole
    first, last, others = titles_in(whole)[:1], titles_in(whole)[-2:], titles_in(whole)[1:-2]
    assert last == ["Running", "Examples"]
    order = [title for title in SECTIONS if title in titles_in(whole)]
    assert [*first, *others][: len(order)] == order
    listed = options_in(whole)
    assert set(options_in(short)) <= set(listed)
    assert len(listed) == len(set(listed))
    command = command_at(path)
    known = {max(param.opts, key=len) for param in command.params if param.opts[0][0] == "-"}
    has_rare = len(listed) > len(options_in(short))
    assert set(listed) == (known if has_rare else known - {"--help-all"}) | {"--help"}


def command_at(path: tuple[str, ...]):
    found = program()
    for name in path:
        found = found.commands[name]
    return found


def test_details_are_in_the_whole_help_only():
    short, whole = shown("purify", "--help"), shown("purify", "--help-all")
    assert "policy:default+jpeg" not in short
    assert "policy:default+jpeg" in whole
    assert "[1 to 64; default: 2, with --sparsity]" in " ".join(short.split())


def test_a_default_that_goes_with_another_option_says_so():
    for text in (shown("purify", "--help"), shown("purify", "--help-all")):
        assert text.count("with --sparsity]") == 2  # of --stride and --localize
        assert "[default: localize, with --sparsity]" in " ".join(text.split())


def test_help_of_a_command_by_the_word_help():
    assert shown("help", "train") == shown("train", "--help")
    whole = shown("train", "--help-all")
    assert whole == shown("help", "train", "--all") == shown("help", "--all", "train")
    assert shown("help", "model", "tag", "--all") == shown("model", "tag", "--help-all")


def test_a_group_and_the_program_list_all_in_their_help():
    assert shown("model", "--help-all") == shown("model", "--help")
    assert shown("--help-all") == shown("help", "--all") == shown("--help")


def test_a_terminal_of_80_columns_shows_the_same():
    done = subprocess.run(
        [sys.executable, "-m", "rsparse", "purify", "--help"],
        env={**os.environ, "COLUMNS": str(COLUMNS)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.partition("\n")[2] == shown("purify", "--help").partition("\n")[2]
