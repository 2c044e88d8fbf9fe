"""The application: its commands, and the one place where errors become exit codes.

Exit codes: 0 all done; 1 some images failed, the rest is done; 2 unusable input or options;
130 interrupted.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from rsparse import __version__
from rsparse.errors import InputError, one_line


class QuickGroup(TyperGroup):
    """A group of commands that does not import pydantic to print a help text."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read what stands before the command.

        typer's own switches default to None, and to check that it would import pydantic, which
        takes as long as everything else in a ``--help``; False needs no check.
        """
        for option in self.get_params(ctx):
            if getattr(option, "is_flag", False) and option.default is None:
                option.default = False
        return super().parse_args(ctx, args)


class ErrorBoundary(QuickGroup):
    """Turns what a user can mend into one line and exit code 2; a bug keeps its traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except InputError as error:
            typer.echo(f"rsparse: error: {one_line(str(error))}", err=True)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            typer.echo(
                "rsparse: interrupted; run the same command again to go on where it stopped",
                err=True,
            )
            raise typer.Exit(130) from None
        except BrokenPipeError:  # the reader of our output has gone, as with `| head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from None


app = typer.Typer(
    cls=ErrorBoundary,
    name="rsparse",
    help="Clean adversarial images by region-wise sparse coding, and measure how much it helped.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rsparse {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    pass


def _register_commands() -> None:
    """Import the command modules in the order in which help lists them."""
    from rsparse.cli import (  # noqa: F401, I001
        learn_dict,
        localize,
        purify,
        attack,
        classify,
        activations,
        attention,
        evaluate,
        fetch,
        train,
        model,
        report,
        show,
        demo,
    )


_register_commands()


def main() -> None:
    """Run the ``rsparse`` command."""
    app()
