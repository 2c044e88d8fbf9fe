"""The list of commands: each is imported only when it is called."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

import rsparse.cli
from rsparse.cli import app
from rsparse.cli.app import COMMANDS

SOURCES = {
    path.stem.replace("_", "-"): path.read_text(encoding="utf-8")
    for path in Path(rsparse.cli.__file__).parent.glob("*.py")
}
IMPORTED = """
import json, sys
from rsparse.cli import main
try:
    main()
finally:
    names = [name for name in sys.modules if name.startswith("rsparse.cli.")]
    print(json.dumps(names), file=sys.stderr)
"""


def imported(*arguments):
    """The modules of the command line that a call has imported."""
    line = [sys.executable, "-c", IMPORTED, *arguments]
    found = subprocess.run(line, capture_output=True, text=True, check=True)
    return {name.removeprefix("rsparse.cli.") for name in json.loads(found.stderr)}


def test_the_list_holds_every_module_with_a_command():
    registering = {
        name
        for name, source in SOURCES.items()
        if ("\n@command(" in source and "group=group" not in source) or "app.add_typer" in source
    }
    assert registering == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_made_by_its_name(name):
    assert typer.main.get_command(app).commands[name].name == name


def test_the_help_has_one_line_for_each_command(run_cli):
    lines = run_cli("--help").stdout.rpartition("Commands:\n")[2].splitlines()
    assert [line.split(maxsplit=1) for line in lines] == [list(row) for row in COMMANDS.items()]


def test_the_help_imports_no_command():
    assert imported("--help") == {"app", "groups", "usage"}


def test_a_command_imports_no_other():
    others = {name.replace("-", "_") for name in COMMANDS} - {"purify"}
    assert "purify" in imported("purify", "--help")
    assert not imported("purify", "--help") & others
