"""The examples in each command's help are read by the real parser, with all their values."""

from __future__ import annotations

import dataclasses
import inspect
import shlex
from typing import Any

import pytest
import typer

from rsparse.attacks import parse_attack
from rsparse.cli import help
from rsparse.cli.app import COMMANDS, app
from rsparse.defenses import parse_defense
from rsparse.defenses.policy import load_policy
from rsparse.denoisers import parse_denoiser
from rsparse.options.fields import Parameters

SHELL = ("|", "&&", ">", ">>", "&")


def leaves() -> list[tuple[str, Any]]:
    """All commands with their names, those of groups too."""
    root = typer.main.get_command(app)
    found = []
    for name in COMMANDS:
        command = root.get_command(None, name)
        inner = getattr(command, "commands", None)
        found += [(f"{name} {sub}", inner[sub]) for sub in inner] if inner else [(name, command)]
    return found


def examples_of(command: Any) -> list[str]:
    return [" ".join(each.replace("\\\n", " ").split()) for each in help.examples_of(command)]


LEAVES = leaves()
EXAMPLES = [(name, line) for name, command in LEAVES for line in examples_of(command)]


@pytest.mark.parametrize(("name", "command"), LEAVES, ids=[name for name, _ in LEAVES])
def test_each_command_has_examples(name, command):
    examples = examples_of(command)
    assert examples
    assert all(line.startswith("rsparse ") for line in examples)
    assert any(line.startswith(f"rsparse {name}") for line in examples)


@pytest.mark.parametrize(("name", "line"), EXAMPLES, ids=[line for _, line in EXAMPLES])
def test_an_example_is_a_valid_command_line(name, line):
    words = shlex.split(line)
    end = next((place for place, word in enumerate(words) if word in SHELL), len(words))
    parse(words[1:end])


def parse(words: list[str]) -> None:
    """Read a command line as the program does, up to the work."""
    root = typer.main.get_command(app)
    context = root.make_context("rsparse", words, resilient_parsing=False)
    group = root
    while hasattr(group, "resolve_command"):
        rest = [*context._protected_args, *context.args]
        name, command, rest = group.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)
        group = command
    check(context)


def check(context: Any) -> None:
    """Build what the command's function would get, and read the specs among its values."""
    function = inspect.unwrap(context.command.callback)
    values = context.params
    for argument in inspect.signature(function, eval_str=True).parameters.values():
        kind = getattr(argument.annotation, "__origin__", argument.annotation)
        if isinstance(kind, type) and issubclass(kind, Parameters):
            kind(**{field.name: values[field.name] for field in dataclasses.fields(kind)})
    for option, read in READERS.items():
        for param in context.command.params:
            if option in param.opts and values[param.name]:
                given = values[param.name]
                for text in given if isinstance(given, list | tuple) else [given]:
                    if not str(text).endswith(".toml"):
                        read(str(text))


READERS = {
    "--attack": parse_attack,
    "--defense": lambda text: parse_defense(text) if ".toml" not in text else None,
    "--through": parse_defense,
    "--policy": load_policy,
    "--denoiser": parse_denoiser,
}


def test_a_wrong_example_would_be_found():
    from rsparse.errors import InputError

    for line, error in (
        ("purify adv/ --sparsty 2", Exception),
        ("purify adv/ --sparsity 0", InputError),
        ("attack imgs/ -m m.onnx -a bmi:eps=8 -o adv/", InputError),
        ("purify adv/ --defense jpg", InputError),
    ):
        with pytest.raises(error):
            parse(line.split())
