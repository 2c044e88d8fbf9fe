"""How a command gets its options: from the types of its function's arguments.

``@command(…)`` replaces an argument by the options that its type stands for, and hands the
function the value that is made of them:

- a parameter set (``PurifyParameters``): an option for each of its fields;
- ``InputOptions``: the options on a model's input;
- ``Workers``: ``--jobs`` and ``--cluster``.

Any other argument is one option or argument of its own, as typer has it.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Annotated, Any, TypeVar

import typer

from rsparse.cli.app import app
from rsparse.cli.input_options import INPUT_OPTIONS, input_options_from
from rsparse.cli.options import ClusterAddress, Jobs, choose_workers
from rsparse.models.spec import InputOptions
from rsparse.options.fields import Parameters, describe, field_type
from rsparse.work.workers import Workers

Function = TypeVar("Function", bound=Callable[..., Any])
Values = dict[str, Any]


def command(*examples: str, group: typer.Typer = app) -> Callable[[Function], Function]:
    """Register a function as the command of its name.

    Parameters
    ----------
    examples : str
        Command lines that its help ends with, one to a line.
    group : typer.Typer
        Where it belongs.
    """

    def register(function: Function) -> Function:
        # A ``\b`` line keeps the help formatter from filling the lines into a paragraph.
        epilog = "\b\nExamples:\n" + "\n".join(f"  {line}" for line in examples)
        group.command(epilog=epilog)(with_options(function))
        return function

    return register


def with_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` with the options that its arguments' types stand for in their place."""
    groups: dict[str, _Group] = {}
    options: list[inspect.Parameter] = []
    for argument in inspect.signature(function, eval_str=True).parameters.values():
        group = _group_of(argument.annotation)
        if group is None:
            options.append(argument.replace(kind=inspect.Parameter.KEYWORD_ONLY))
        else:
            groups[argument.name] = group
            options += group.options

    @functools.wraps(function)
    def run(**values: Any) -> Any:
        with ExitStack() as stack:
            for argument, group in groups.items():
                own = {option.name: values.pop(option.name) for option in group.options}
                values[argument] = group.make(own, stack)
            return function(**values)

    run.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    run.__annotations__ = {option.name: option.annotation for option in options}
    return run


@dataclasses.dataclass(frozen=True)
class _Group:
    """The options that stand for one argument, and what makes its value of theirs."""

    options: Sequence[inspect.Parameter]
    make: Callable[[Values, ExitStack], Any]


def _group_of(kind: Any) -> _Group | None:
    """The options that a type stands for, or None if it is one option itself."""
    if not isinstance(kind, type):
        return None
    if issubclass(kind, Parameters):
        fields = [_field_option(field) for field in dataclasses.fields(kind)]
        return _Group(fields, lambda values, _: kind(**values))
    if kind is InputOptions:
        inputs = [option(name, spelled) for name, spelled in INPUT_OPTIONS.items()]
        return _Group(inputs, lambda values, _: input_options_from(**values))
    if kind is Workers:
        workers = [option("jobs", Jobs, 0), option("cluster", ClusterAddress)]
        return _Group(workers, lambda values, stack: stack.enter_context(choose_workers(**values)))
    return None


def option(name: str, annotation: Any, default: Any = None) -> inspect.Parameter:
    """A keyword argument that typer turns into an option."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, keyword, default=default, annotation=annotation)


def _field_option(field: dataclasses.Field[Any]) -> inspect.Parameter:
    """The option of a parameter set's field."""
    kind = field_type(field)
    rules: Mapping[str, Any] = field.metadata
    dashed = field.name.replace("_", "-")
    spelled = rules["flag"] or (f"--{dashed}/--no-{dashed}" if kind is bool else f"--{dashed}")
    help_text = rules["help"] + ("" if kind is bool else f" [{describe(field)}]")
    none = rules["none"]
    if none == "none":
        made = typer.Option(spelled, help=help_text)
    else:
        made = typer.Option(
            spelled,
            help=help_text,
            metavar=f"<{kind.__name__}|{none}>",
            show_default=none if field.default is None else True,
            parser=lambda word: None if word == none else _number(word, kind, field),
        )
    annotation: Any = kind | None if "None" in str(field.type) else kind
    return option(field.name, Annotated[annotation, made], field.default)


def _number(word: str, kind: type, field: dataclasses.Field[Any]) -> Any:
    try:
        return kind(word)
    except ValueError:
        raise typer.BadParameter(f"expected {describe(field)}, got {word!r}") from None
