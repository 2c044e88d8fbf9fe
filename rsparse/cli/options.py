"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from rsparse.errors import InputError
from rsparse.options.fields import COMMON
from rsparse.work.workers import LocalWorkers, Workers


def _read_jobs(word: Any) -> int:
    if not str(word).isdecimal():
        raise InputError(f"jobs: expected a whole number of 0 or more, got {word!r}")
    return int(word)


Images = Annotated[
    list[Path],
    typer.Argument(
        metavar="IMAGES",
        help="Folders (searched recursively) or single images: PNG, JPEG, WebP, TIFF, BMP.",
        show_default=False,
    ),
]
Model = Annotated[
    Path,
    typer.Option(
        "--model",
        "-m",
        metavar="FILE",
        show_default=False,
        help="The classifier, an ONNX file.",
    ),
]
Jobs = Annotated[
    int,
    typer.Option(
        "--jobs",
        "-j",
        metavar="N",
        parser=_read_jobs,
        show_default=False,
        rich_help_panel=COMMON,
        help="Number of cores to use; 0, the default, uses all.",
    ),
]
ClusterAddress = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="ADDRESS",
        show_default=False,
        rich_help_panel=COMMON,
        help="Run on a Dask cluster: its address, its scheduler file (.json), or local:N for N "
        "processes on this machine.",
    ),
]
Dictionaries = Annotated[
    list[str] | None,
    typer.Option(
        "--dict",
        "-d",
        metavar="[NAME=]FILE",
        show_default=False,
        help="Dictionary for regionsparse and policies: from learn-dict, or a name from 'rsparse "
        "dictionaries list'; the default is the one that comes with rsparse. Give several by name: "
        "regionsparse:dictionary=dct uses --dict dct=other.h5.",
    ),
]
PolicyName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE",
        show_default=False,
        help="Policy that chooses how to purify each image by its noise: a name from 'rsparse "
        "policy list', or a file (.toml). The default is the policy default.",
    ),
]
PolicyNames = Annotated[
    list[str] | None,
    typer.Option(
        "--policy",
        metavar="NAME|FILE",
        show_default=False,
        help="A policy as a defense: its name or its file (.toml). --defense policy:NAME is the "
        "same and also works in a chain (policy:NAME+jpeg).",
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite", rich_help_panel=COMMON, help="Replace an output that already exists."
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json", rich_help_panel=COMMON, help="Print the result as JSON on standard output."
    ),
]


def output_option(metavar: str, help_text: str) -> Any:
    """The option ``-o/--output`` with a command's own help; it takes a FILE or a FOLDER."""
    return typer.Option("--output", "-o", metavar=metavar, help=help_text, show_default=False)


def folder_argument(metavar: str, help_text: str) -> Any:
    """An argument that takes a folder or a file."""
    return typer.Argument(metavar=metavar, help=help_text, show_default=False)


def path_option(metavar: str, help_text: str, *names: str) -> Any:
    """An option that takes a FILE or a FOLDER."""
    return typer.Option(*names, metavar=metavar, help=help_text, show_default=False)


def choose_workers(jobs: int, cluster: str | None) -> Workers:
    """Processes on this machine, or a cluster.

    Raises
    ------
    InputError
        If both are given, or the address is not that of a cluster.
    """
    if cluster is None:
        return LocalWorkers(jobs)
    if jobs:
        raise InputError("--jobs and --cluster cannot be used together; give one of them")
    from rsparse.work.cluster import Cluster

    return Cluster(cluster)
