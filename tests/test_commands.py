"""The list of commands: each is imported only when it is called."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

import rsparse.cli
from rsparse.cli import app
from rsparse.cli.app import COMMANDS
from rsparse.cli.console import table, without_tables
from rsparse.models.spec import INPUT_OPTIONS

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
    """The command line modules that a call imports."""
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
    assert imported("--help") == {"app", "groups", "streams"}


def test_a_command_imports_no_other():
    others = {name.replace("-", "_") for name in COMMANDS} - {"purify"}
    assert "purify" in imported("purify", "--help")
    assert not imported("purify", "--help") & others


def listed(help_text: str) -> dict[str, list[str]]:
    """The options listed in a help text, by panel title."""
    sections: dict[str, list[str]] = {}
    title = ""
    for line in help_text.splitlines():
        if line.endswith(":") and not line.startswith(" "):
            title = line.removesuffix(":")
        elif line.startswith("  -") and title:
            sections.setdefault(title, []).append(re.findall(r"--[\w-]+", line)[0])
    return sections


def test_help_lists_options_by_what_they_set(run_cli):
    found = listed(run_cli("train", "--help-all").stdout)
    assert list(found) == [
        "Input and output", "Method", "Attack", "Noisy images", "Optimisation", "Augmentation",
        "Memory and precision", "Input of the model", "Running",
    ]  # fmt: skip
    assert found["Input and output"][:2] == ["--model", "--output"]
    assert found["Augmentation"] == ["--flip", "--min-crop", "--mixup"]
    assert found["Running"][-4:] == ["--jobs", "--cluster", "--help-all", "--help"]


def test_of_the_options_on_a_models_input_the_short_help_lists_the_preset(run_cli):
    names = [f"--{name}" for name in INPUT_OPTIONS]
    assert listed(run_cli("model", "tag", "--help").stdout)["Input of the model"] == names
    for command in ("classify", "attack", "evaluate", "train", "report", "attention"):
        short = listed(run_cli(command, "--help").stdout)
        assert "--preset" in short["Input and output"]
        assert "Input of the model" not in short
        whole = listed(run_cli(command, "--help-all").stdout)
        assert whole["Input of the model"] == [name for name in names if name != "--preset"]


def test_the_options_of_localize_are_rare_ones_of_purify(run_cli, pictures, dict_file, tmp_path):
    assert "--closing-size" not in run_cli("purify", "--help").stdout
    assert "--closing-size" in run_cli("purify", "--help-all").stdout
    arguments = ("--sparsity", 1, "--closing-size", 3, "-o", tmp_path / "out")
    assert run_cli("purify", pictures, "--dict", dict_file, *arguments).exit_code == 0


def test_help_ends_with_examples(run_cli):
    for name in COMMANDS.keys() - {"dictionaries", "model", "policy"}:
        assert f"Examples:\n  rsparse {name}" in run_cli(name, "--help").stdout


def test_tables_are_printed_again_after_a_command_with_json_has_failed(capsys):
    def show():
        table("title", ["name", "number"], [["a", "1"]])

    def fail():
        with without_tables():
            show()
            raise ValueError("fails")

    with pytest.raises(ValueError, match="fails"):
        fail()
    assert capsys.readouterr().err == ""
    show()
    assert "title" in capsys.readouterr().err
