"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from rsparse.errors import InputError
from rsparse.work.workers import LocalWorkers, Workers

Images = Annotated[
    list[Path],
    typer.Argument(
        metavar="IMAGES",
        help="Folders (searched recursively) or single images: PNG, JPEG, WebP, TIFF, BMP.",
        show_default=False,
    ),
]
Model = Annotated[
    Path, typer.Option("--model", "-m", help="The classifier, an ONNX file.", show_default=False)
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
