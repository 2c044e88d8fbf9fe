"""A command whose help lists its options in sections."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from typer.core import TyperCommand

from rsparse.options.fields import COMMON

_WIDEST = 30  # columns for the names of options; a longer name has a line of its own

NOT_LISTED = "not listed"  # options that the help of another option names


class SectionedCommand(TyperCommand):
    """A command that lists its options under the titles in their ``rich_help_panel``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line; refuse old values and a second defense of one run."""
        if not ctx.resilient_parsing and any(arg not in ctx.help_option_names for arg in args):
            from rsparse.cli.usage import refuse_old_values, refuse_several_defenses

            refuse_old_values(ctx, args)
            refuse_several_defenses(ctx, args)
        return super().parse_args(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, the untitled options, those of each section, the common ones."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        common: list[tuple[str, str]] = []
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            title = getattr(param, "rich_help_panel", None) or "Options"
            if record is None or title == NOT_LISTED:
                continue
            if param.param_type_name == "argument":
                name = param.metavar or param.name.upper()
                sections["Arguments"].append((name, record[1]))
            elif title == COMMON or param.name == "help":
                common.append(record)
            else:
                sections.setdefault(title, []).append(record)
        for title, records in {**sections, COMMON: common}.items():
            if records:
                with formatter.section(title):
                    write_rows(formatter, records)


def write_rows(formatter: Any, rows: Sequence[tuple[str, str]]) -> None:
    """Write options and their help side by side; never break the name of an option."""
    indent = " " * formatter.current_indent
    column = min(max(len(name) for name, _ in rows), _WIDEST) + 2
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
