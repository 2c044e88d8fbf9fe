"""The application: its commands, and the one place that turns errors into exit codes.

Exit codes: 0 success; 1 some images failed, the others are done, or the reader of the output has
closed it; 2 unusable input or options; 3 a failure of the machine; 130, 143, 129 ended by SIGINT,
SIGTERM, SIGHUP.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Annotated, Any

import typer

from rsparse import __version__, signals
from rsparse.cli.groups import LazyGroup
from rsparse.cli.streams import OutputClosedError, OutputFailedError, discard_output, safe_streams
from rsparse.errors import InputError, MachineError, lack_of_memory, one_line, system_error

_COMPLETION = "_RSPARSE_COMPLETE"  # how a shell asks for completions
GOES_ON = "once this is fixed, run the same command again to continue"

UsageError: Any = typer.BadParameter.__base__
"""The exception that typer raises for an invalid command line; it has no public name there."""

COMMANDS = {  # each is in the module of its name; this is the order in the help
    "learn-dict": "Learn a dictionary from benign images.",
    "dictionaries": "List the dictionaries that have a name, and fetch them.",
    "localize": "Find the object region of each image from its gradients.",
    "purify": "Clean images by sparse coding, according to their noise.",
    "policy": "List and print policies, which choose a defense by noise.",
    "attack": "Make adversarial images that mislead a classifier.",
    "detect": "Find images that look attacked, by a reference of clean ones.",
    "classify": "Classify images with an ONNX model and report the accuracy.",
    "activations": "Measure which layers of a model an attack excites.",
    "support": "Measure how attacks change the atoms that sparse coding chooses.",
    "attention": "Show where a model sees a class, with class activation maps.",
    "evaluate": "Evaluate defenses: every attack against every defense.",
    "certify": "Certify radii in which no change of an image changes its class.",
    "fetch": "Get a classifier by name and save it as an ONNX file.",
    "train": "Retrain a classifier on clean, purified or adversarial images.",
    "model": "Show or set the input that an ONNX classifier expects.",
    "report": "Write the results of an evaluation as a page or as tables.",
    "view": "Browse images and their versions in a local page.",
    "show": "Print how an artifact was made: command, options and inputs.",
    "verify": "Check that artifacts are as they were written.",
    "demo": "Run the whole pipeline on the embedded photographs.",
}


class Commands(LazyGroup):
    """The commands. An error ends in one line and its exit code, a bug in a traceback."""

    LINES = COMMANDS

    def make(self, name: str) -> Any:
        """Return a command by name; importing its module registers it with ``app``."""
        if name not in self.made:
            import_module(f"rsparse.cli.{name.replace('-', '_')}")
            self.made = typer.main.get_command(app).made  # type: ignore[attr-defined]
        return self.made[name]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the options before the command.

        ``help COMMAND`` is ``COMMAND --help``; with ``--all``, it is ``COMMAND --help-all``.
        """
        if args[:1] == ["help"]:
            named = [arg for arg in args[1:] if arg != "--all"]
            args = [*named, "--help" if named == args[1:] else "--help-all"]
        return super().parse_args(ctx, args)

    def make_context(self, *arguments: Any, **settings: Any) -> Any:
        """Parse the options before the command."""
        with errors_on_one_line():
            return super().make_context(*arguments, **settings)

    def invoke(self, ctx: Any) -> Any:
        """Parse the chosen command's options and run it."""
        with errors_on_one_line(), signals.as_exceptions():
            return super().invoke(ctx)


@contextmanager
def errors_on_one_line() -> Iterator[None]:
    """Print an error that is no bug as one line on stderr, and exit with its code."""
    try:
        yield
    except (InputError, MachineError) as error:
        raise _told(error) from None
    except UsageError as error:
        from rsparse.cli.usage import is_help, usage_line

        if is_help(error):
            raise
        raise _told(InputError(usage_line(error))) from None
    except KeyboardInterrupt as error:
        line, code = signals.told(error)
        if line is not None:
            typer.echo(line, err=True)
        raise typer.Exit(code) from None
    except OutputClosedError:
        discard_output()
        raise typer.Exit(1) from None
    except OutputFailedError as error:
        discard_output()
        typer.echo(f"rsparse: error: {error}", err=True)
        raise typer.Exit(3) from None
    except Exception as error:
        lack = error if _lacks_threads(error) else lack_of_memory(error)
        if lack is not None:
            text = ": ".join(filter(None, ("not enough memory", str(lack))))
            raise _told(MachineError(text)) from None
        if not isinstance(error, OSError):
            raise
        raise _told(system_error(error, _name_of_file(error))) from None


def _told(error: InputError | MachineError) -> typer.Exit:
    """Print an error as one line on stderr, and return the exit with its code."""
    code, more = (2, "") if isinstance(error, InputError) else (3, f"; {GOES_ON}")
    typer.echo(f"rsparse: error: {one_line(str(error))}{more}", err=True)
    return typer.Exit(code)


def _name_of_file(error: OSError) -> str:
    """The file that an error of the operating system is about."""
    return str(error.filename) if error.filename is not None else "the operating system"


def _lacks_threads(error: Exception) -> bool:
    """Whether a thread could not be started, for which Python has no error of its own."""
    return isinstance(error, RuntimeError) and "can't start new thread" in str(error)


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
            "--version",
            "-V",
            callback=_print_version,
            is_eager=True,
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the ``rsparse`` command."""
    signals.take_over()
    if _COMPLETION in os.environ:
        from rsparse.cli.completion import prepare

        prepare()
    try:
        with safe_streams():
            app(prog_name="rsparse")  # also as python -m rsparse
    finally:
        signals.close()
