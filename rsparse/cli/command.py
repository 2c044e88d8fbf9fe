"""``@command``: register a function as a command, with options from its arguments' types.

The decorator replaces an argument by the options that its type stands for, and passes the
function one value built from them:

- a parameter set (``PurifyParameters``): an option for each field; with the type
  ``Annotated[PurifyParameters, RARE]``, only ``--help-all`` lists them;
- ``InputOptions``: the options for a model's input;
- ``LabelOptions``: ``--labels`` and ``--first-class``;
- ``Workers``: ``--jobs`` and ``--cluster``.

Every command also has ``--help-all``. Any other argument is a single option or argument, declared
with ``option`` or ``argument`` (``cli/generated.py``).
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Annotated, Any, TypeVar, get_args, get_origin

import typer

from rsparse.cli.app import app
from rsparse.cli.console import without_tables
from rsparse.cli.generated import field_option, keyword
from rsparse.cli.help import HELP_ALL, HelpAll, SectionedCommand
from rsparse.cli.options import ClusterAddress, Jobs, choose_workers
from rsparse.options.fields import Parameters
from rsparse.options.sections import Place
from rsparse.work.workers import Workers

Function = TypeVar("Function", bound=Callable[..., Any])
Values = dict[str, Any]

RARE = "rare"
"""Marks a parameter set whose options are rare in a command."""


def command(
    *examples: str, group: typer.Typer = app, name: str | None = None
) -> Callable[[Function], Function]:
    """Register a function as a command.

    Parameters
    ----------
    examples : str
        Lines of examples at the end of the help.
    group : typer.Typer
        The group of the command.
    name : str, optional
        The command's name; the function's name by default.
    """

    def register(function: Function) -> Function:
        epilog = "Examples:\n" + "\n".join(f"  {line}" for line in examples)
        group.command(name, cls=SectionedCommand, epilog=epilog)(
            with_options(function, explain_input=group is not app)
        )
        return function

    return register


def with_options(function: Callable[..., Any], *, explain_input: bool) -> Callable[..., Any]:
    """Replace each argument of ``function`` by the options that its type stands for.

    With ``explain_input``, the help lists all options for a model's input.
    """
    groups: dict[str, OptionGroup] = {}
    options: list[inspect.Parameter] = []
    for argument in inspect.signature(function, eval_str=True).parameters.values():
        group = _group_of(argument.annotation, explain_input)
        if group is None:
            options.append(argument.replace(kind=inspect.Parameter.KEYWORD_ONLY))
        else:
            groups[argument.name] = group
            options += group.options
    options.append(keyword(HELP_ALL, HelpAll, False))

    @functools.wraps(function)
    def run(**values: Any) -> Any:
        values.pop(HELP_ALL, None)
        with ExitStack() as stack:
            if values.get("as_json"):
                stack.enter_context(without_tables())
            for argument, group in groups.items():
                own = {option.name: values.pop(option.name) for option in group.options}
                values[argument] = group.make(own, stack)
            return function(**values)

    run.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    run.__annotations__ = {option.name: option.annotation for option in options}
    return run


@dataclasses.dataclass(frozen=True)
class OptionGroup:
    """The options that stand for one argument, and a function that builds its value from them."""

    options: Sequence[inspect.Parameter]
    make: Callable[[Values, ExitStack], Any]


GROUPS: dict[type, Callable[[bool], OptionGroup]] = {}
"""Further types that stand for options, such as ``InputOptions``; their modules add them.

Each function takes whether the help explains the options.
"""


def _group_of(kind: Any, explain_input: bool) -> OptionGroup | None:
    """The options that a type stands for, or None if it is a single option."""
    is_rare = get_origin(kind) is Annotated and get_args(kind)[1:] == (RARE,)
    if is_rare:
        kind = get_args(kind)[0]
    if not isinstance(kind, type):
        return None
    if issubclass(kind, Parameters):
        place = Place(kind.section, is_rare)
        fields = [field_option(field, place) for field in dataclasses.fields(kind)]
        return OptionGroup(fields, lambda values, _: kind(**values))
    if kind in GROUPS:
        return GROUPS[kind](explain_input)
    if kind is Workers:
        workers = [keyword("jobs", Jobs, 0), keyword("cluster", ClusterAddress)]
        return OptionGroup(
            workers, lambda values, stack: stack.enter_context(choose_workers(**values))
        )
    return None


def given_options(context: typer.Context, *kinds: type[Parameters]) -> dict[str, str]:
    """The options of these parameter sets that are on the command line, with their fields."""
    fields = {field.name for kind in kinds for field in dataclasses.fields(kind)}
    given = {}
    for param in context.command.params:
        source = context.get_parameter_source(param.name or "")
        if param.name in fields and source is not None and source.name != "DEFAULT":
            is_off = param.secondary_opts and context.params[param.name] is False
            given[(param.secondary_opts if is_off else param.opts)[0]] = param.name
    return given
