"""A command whose help lists its options in sections, the rare ones only with ``--help-all``.

In a help text, what follows a form feed is shown only by ``--help-all``, up to the notes in
brackets at the end.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from rsparse.options.sections import ORDER, RUNNING, Place

DETAILS = "\f"
"""What separates the help of an option from its details."""

_SHARE = 3  # names of options take at most a third of a line; longer ones have their own line
_EXAMPLES = 3  # without --help-all
HELP_ALL = "help_all"
_WHOLE = "rsparse.whole-help"


class SectionedCommand(TyperCommand):
    """A command that lists its options under the titles in their ``rich_help_panel``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line; refuse old values and a second defense of one run."""
        if ctx.resilient_parsing:
            return self._find_values(ctx, args)
        if any(arg not in ctx.help_option_names for arg in args):
            from rsparse.cli.usage import refuse_old_values, refuse_several_defenses

            refuse_old_values(ctx, args)
            refuse_several_defenses(ctx, args)
        return super().parse_args(ctx, args)

    def _find_values(self, ctx: Any, args: list[str]) -> list[str]:
        """Find what a shell completes, without checking the values.

        typer checks them with pydantic, which takes longer than everything else.
        """
        given, rest, _ = self.make_parser(ctx).parse_args(args=args)
        for param in self.get_params(ctx):
            value, source = param.consume_value(ctx, given)
            ctx.params[param.name] = value
            ctx.set_parameter_source(param.name, source)
        ctx.args = rest
        return rest

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """The options that a shell completes, each with its help up to the details and notes."""
        found = list(super().shell_complete(ctx, incomplete))
        for item in found:
            item.help = re.split(rf"{DETAILS}|  \[", item.help or "")[0]
        return found

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The words after the command's name in the line of its usage."""
        return ["[OPTIONS]", *(_named(param) for param in _arguments(self.get_params(ctx)))]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and the options of each section."""
        for title, rows in sections_of(self, ctx, is_whole=is_whole(ctx)).items():
            with formatter.section(title):
                write_rows(formatter, rows)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples, of which the short help shows the first ones."""
        examples = list(examples_of(self))
        with formatter.section("Examples"):
            for line in "\n".join(examples if is_whole(ctx) else examples[:_EXAMPLES]).splitlines():
                formatter.write(f"  {line}\n")


def _print_all(context: typer.Context, is_requested: bool) -> None:
    if is_requested and not context.resilient_parsing:
        context.meta[_WHOLE] = True
        typer.echo(context.get_help())
        raise typer.Exit


HelpAll = Annotated[
    bool,
    typer.Option(
        "--help-all",
        callback=_print_all,
        is_eager=True,
        help="Show all options, with details, and exit.",
    ),
]
"""The option of every command that prints its whole help."""


def is_whole(ctx: Any) -> bool:
    """Whether ``--help-all`` asked for the help."""
    return bool(ctx.meta.get(_WHOLE, False))


def place_of(param: Any) -> Place:
    """Where the help lists a parameter."""
    if param.name in ("help", HELP_ALL):
        return Place(RUNNING)
    place = getattr(param, "rich_help_panel", None)
    return place if isinstance(place, Place) else Place()


def examples_of(command: Any) -> Iterator[str]:
    """A command's examples; one may have several lines, which end in a backslash."""
    text = inspect.cleandoc(command.epilog or "").partition("Examples:\n")[2]
    return (match[0] for match in re.finditer(r"(?:.*\\\n)*.+", textwrap.dedent(text)))


def sections_of(command: Any, ctx: Any, *, is_whole: bool) -> dict[str, list[tuple[str, str]]]:
    """The names and the help of a command's arguments and options, by the title above them.

    Unless it ``is_whole``, rare options and all details are left out.
    """
    params = command.get_params(ctx)
    arguments = [(param.metavar, param.get_help_record(ctx)[1]) for param in _arguments(params)]
    sections = {"Arguments": arguments, **{title: [] for title in ORDER}}
    last: list[tuple[str, str]] = []
    rare = [param for param in params if place_of(param).rare]
    for param in params:
        record = param.get_help_record(ctx)
        if record is None or param.param_type_name == "argument":
            continue
        if (param in rare and not is_whole) or (param.name == HELP_ALL and not rare):
            continue
        title, _ = place_of(param)
        (last if title == RUNNING else sections.setdefault(title, [])).append(record)
    return {
        title: [(name, _shown(text, is_whole)) for name, text in rows]
        for title, rows in {**sections, RUNNING: last}.items()
        if rows
    }


def _arguments(params: Sequence[Any]) -> list[Any]:
    return [param for param in params if param.param_type_name == "argument"]


def _named(argument: Any) -> str:
    return f"{argument.metavar}..." if argument.nargs == -1 else str(argument.metavar)


def _shown(text: str, is_whole: bool) -> str:
    """A help text with its details, or without; some versions of typer escape brackets."""
    text = text.replace("\\[", "[")
    if is_whole:
        return text.replace(DETAILS, " ")
    return re.sub(rf"{DETAILS}.*?(?=  \[|$)", "", text, flags=re.DOTALL)


def write_rows(formatter: Any, rows: Sequence[tuple[str, str]]) -> None:
    """Write options and their help side by side; never break the name of an option."""
    indent = " " * formatter.current_indent
    column = min(max(len(name) for name, _ in rows) + 2, formatter.width // _SHARE)
    wrapper = textwrap.TextWrapper(
        max(formatter.width - column - len(indent), 10), break_on_hyphens=False
    )
    for name, text in rows:
        lines = wrapper.wrap(text) or [""]
        if len(name) > column - 2:
            formatter.write(f"{indent}{name}\n")
        else:
            lines[0] = f"{name:<{column}}{lines[0]}"
        for number, line in enumerate(lines):
            is_first = number == 0 and len(name) <= column - 2
            formatter.write(f"{indent}{line if is_first else ' ' * column + line}".rstrip() + "\n")
