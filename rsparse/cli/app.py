"""The application: its commands, and the one place where errors become exit codes.

Exit codes: 0 all done; 1 some images failed, the rest is done; 2 unusable input or options;
130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Annotated, Any

import typer

from rsparse import __version__
from rsparse.cli.groups import LazyGroup
from rsparse.cli.usage import UsageError, is_help, usage_line
from rsparse.errors import InputError, one_line

COMMANDS = {  # each in the module of its name, in the order of the help
    "learn-dict": "Learn a dictionary from benign images.",
    "localize": "Find the object region of images by their gradients.",
    "purify": "Clean images by sparse coding, as strongly as each needs.",
    "policy": "See how images are cleaned by the noise in each.",
    "attack": "Make adversarial images that mislead a classifier.",
    "classify": "Classify images with an ONNX model; tell the accuracy.",
    "activations": "See which layers of a model an attack excites.",
    "attention": "Show where a model sees a class, by class activation maps.",
    "evaluate": "Judge defenses: every attack behind every defense.",
    "fetch": "Get a classifier by its name, as an ONNX file.",
    "train": "Retrain a classifier on clean, purified or adversarial images.",
    "model": "See what an ONNX classifier wants as input, or set it.",
    "report": "Write what an evaluation found, as a page or a table.",
    "show": "Print what made an artifact, from what, and how.",
    "demo": "Run the whole pipeline on the embedded photographs.",
}


class Commands(LazyGroup):
    """The commands. What a user can mend ends as one line and exit code 2, a bug as a traceback."""

    LINES = COMMANDS

    def make(self, name: str) -> Any:
        """The command of that name; its module registers it with ``app``."""
        if name not in self.made:
            import_module(f"rsparse.cli.{name.replace('-', '_')}")
            self.made = typer.main.get_command(app).made  # type: ignore[attr-defined]
        return self.made[name]

    def make_context(self, *arguments: Any, **settings: Any) -> Any:
        """Read what stands before the command."""
        with errors_on_one_line():
            return super().make_context(*arguments, **settings)

    def invoke(self, ctx: Any) -> Any:
        """Read the chosen command's options, and run it."""
        with errors_on_one_line():
            return super().invoke(ctx)


@contextmanager
def errors_on_one_line() -> Iterator[None]:
    """Print what a user can mend as one line on stderr, and end with its exit code."""
    try:
        yield
    except InputError as error:
        typer.echo(f"rsparse: error: {one_line(str(error))}", err=True)
        raise typer.Exit(2) from None
    except UsageError as error:
        if is_help(error):
            raise
        typer.echo(f"rsparse: error: {one_line(usage_line(error))}", err=True)
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
    cls=Commands,
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


def main() -> None:
    """Run the ``rsparse`` command."""
    app()
