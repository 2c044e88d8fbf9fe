"""The application: its commands, and the one place that turns errors into exit codes.

Exit codes: 0 success; 1 some images failed, the others are done; 2 unusable input or options;
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
from rsparse.errors import InputError, one_line

UsageError: Any = typer.BadParameter.__base__
"""The exception that typer raises for an invalid command line; it has no public name there."""

COMMANDS = {  # each is in the module of its name; this is the order in the help
    "learn-dict": "Learn a dictionary from benign images.",
    "localize": "Find the object region of each image from its gradients.",
    "purify": "Clean images by sparse coding, according to their noise.",
    "policy": "List and print policies, which choose a defense by noise.",
    "attack": "Make adversarial images that mislead a classifier.",
    "classify": "Classify images with an ONNX model and report the accuracy.",
    "activations": "Measure which layers of a model an attack excites.",
    "attention": "Show where a model sees a class, with class activation maps.",
    "evaluate": "Evaluate defenses: every attack against every defense.",
    "fetch": "Get a classifier by name and save it as an ONNX file.",
    "train": "Retrain a classifier on clean, purified or adversarial images.",
    "model": "Show or set the input that an ONNX classifier expects.",
    "report": "Write the results of an evaluation as a page or as tables.",
    "show": "Print how an artifact was made: command, options and inputs.",
    "demo": "Run the whole pipeline on the embedded photographs.",
}


class Commands(LazyGroup):
    """The commands. A user's error ends in one line and exit code 2, a bug in a traceback."""

    LINES = COMMANDS

    def make(self, name: str) -> Any:
        """Return a command by name; importing its module registers it with ``app``."""
        if name not in self.made:
            import_module(f"rsparse.cli.{name.replace('-', '_')}")
            self.made = typer.main.get_command(app).made  # type: ignore[attr-defined]
        return self.made[name]

    def make_context(self, *arguments: Any, **settings: Any) -> Any:
        """Parse the options before the command."""
        with errors_on_one_line():
            return super().make_context(*arguments, **settings)

    def invoke(self, ctx: Any) -> Any:
        """Parse the chosen command's options and run it."""
        with errors_on_one_line():
            return super().invoke(ctx)


@contextmanager
def errors_on_one_line() -> Iterator[None]:
    """Print a user's error as one line on stderr and exit with its code."""
    try:
        yield
    except InputError as error:
        typer.echo(f"rsparse: error: {one_line(str(error))}", err=True)
        raise typer.Exit(2) from None
    except UsageError as error:
        from rsparse.cli.usage import is_help, usage_line

        if is_help(error):
            raise
        typer.echo(f"rsparse: error: {one_line(usage_line(error))}", err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        typer.echo(
            "rsparse: interrupted; run the same command again to continue",
            err=True,
        )
        raise typer.Exit(130) from None
    except BrokenPipeError:  # the reader of the output has closed it, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None


app = typer.Typer(
    cls=Commands,
    name="rsparse",
    help="Clean adversarial images by region-wise sparse coding, and measure how much that helps.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _print_version(is_requested: bool) -> None:
    if is_requested:
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
