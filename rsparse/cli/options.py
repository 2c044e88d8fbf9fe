"""Options that several commands share, and options made from parameter dataclasses."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from rsparse.errors import InputError
from rsparse.options.fields import Parameters, describe, field_type
from rsparse.work.workers import LocalWorkers, Workers

Images = Annotated[
    list[Path],
    typer.Argument(
        metavar="IMAGES",
        help="Folders (searched recursively) or single images: PNG, JPEG, WebP, TIFF, BMP.",
        show_default=False,
    ),
]
Jobs = Annotated[
    int,
    typer.Option(
        "--jobs",
        "-j",
        min=0,
        help="Processes; 0 takes all cores where that pays.",
    ),
]
ClusterAddress = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="ADDRESS",
        show_default=False,
        help="Work on a Dask cluster instead: its address, its scheduler file (.json), or local:N "
        "for N processes here.",
    ),
]
Dictionaries = Annotated[
    list[str] | None,
    typer.Option(
        "--dict",
        "-d",
        metavar="[NAME=]FILE",
        show_default=False,
        help="Dictionary that learn-dict wrote, for regionsparse. Several are told apart by names: "
        "--dict dct=other.h5 is the one of regionsparse:dictionary=dct.",
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace an output that exists already.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]


def output_option(help_text: str) -> Any:
    """The ``-o/--output`` option with the command's own words."""
    return typer.Option("--output", "-o", help=help_text, show_default=False)


def worker_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command ``--jobs`` and ``--cluster`` in place of its argument ``workers``."""

    @functools.wraps(function)
    def command(*, jobs: int, cluster: str | None, **options: Any) -> Any:
        with choose_workers(jobs, cluster) as workers:
            return function(**options, workers=workers)

    made = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, default, kind in (("jobs", 0, Jobs), ("cluster", None, ClusterAddress))
    ]
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(function, eval_str=True).parameters.values():
        kept = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)]
        parameters += made if parameter.name == "workers" else kept
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {entry.name: entry.annotation for entry in parameters}
    return command


def choose_workers(jobs: int, cluster: str | None) -> Workers:
    """The processes of this machine, or the cluster that is named.

    Raises
    ------
    InputError
        If both are asked for, or no cluster is named so.
    """
    if cluster is None:
        return LocalWorkers(jobs)
    if jobs:
        raise InputError("--jobs and --cluster exclude each other; give one of them")
    from rsparse.work.cluster import Cluster

    return Cluster(cluster)


def parameter_options(**groups: type[Parameters]) -> Callable[[Callable[..., Any]], Any]:
    """Give a command an option for each field of the named parameter dataclasses.

    ``@parameter_options(parameters=PurifyParameters)`` replaces the function's argument
    ``parameters`` by the fields' options, and hands it the checked dataclass.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def command(**options: Any) -> Any:
            for argument, kind in groups.items():
                values = {f.name: options.pop(f.name) for f in dataclasses.fields(kind)}
                options[argument] = kind(**values)
            return function(**options)

        signature = inspect.signature(function, eval_str=True)
        kept = [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for parameter in signature.parameters.values()
            if parameter.name not in groups
        ]
        made = [_option(field) for kind in groups.values() for field in dataclasses.fields(kind)]
        command.__signature__ = signature.replace(parameters=[*kept, *made])  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in [*kept, *made]}
        return command

    return decorate


def _option(field: dataclasses.Field[Any]) -> inspect.Parameter:
    """A keyword parameter that typer turns into the field's option."""
    kind = field_type(field)
    names = [field.metadata["flag"]] if field.metadata.get("flag") else []
    if not names:
        dashed = field.name.replace("_", "-")
        names = [f"--{dashed}/--no-{dashed}" if kind is bool else f"--{dashed}"]
    help_text = field.metadata["help"]
    if kind is not bool:
        help_text += f" [{describe(field)}]"
    annotation: Any = kind | None if "None" in str(field.type) else kind
    none = field.metadata.get("none", "none")
    if none == "none":
        option = typer.Option(*names, help=help_text)
    else:
        option = typer.Option(
            *names,
            help=help_text,
            metavar=f"<{kind.__name__}|{none}>",
            show_default=none if field.default is None else True,
            parser=lambda word: None if word == none else _number(word, kind, field),
        )
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=field.default,
        annotation=Annotated[annotation, option],
    )


def _number(word: str, kind: type, field: dataclasses.Field[Any]) -> Any:
    try:
        return kind(word)
    except ValueError:
        raise typer.BadParameter(f"expected {describe(field)}, got {word!r}") from None


def examples(*lines: str) -> str:
    """The examples at the end of a command's help, one to a line.

    A ``\\b`` line keeps the help formatter from filling them into a paragraph.
    """
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
