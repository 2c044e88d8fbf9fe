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
        help="Processes; 0, the default, takes all cores where that pays.",
    ),
]
ClusterAddress = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="ADDRESS",
        show_default=False,
        rich_help_panel=COMMON,
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
        help="Dictionary that learn-dict wrote, for regionsparse and policies. Several are told "
        "apart by names: --dict dct=other.h5 is the one of regionsparse:dictionary=dct.",
    ),
]
PolicyName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE",
        show_default=False,
        help="How images are purified by the noise in each: the name of a policy, which rsparse "
        "policy list tells, or its file (.toml). default where nothing else is asked for.",
    ),
]
PolicyNames = Annotated[
    list[str] | None,
    typer.Option(
        "--policy",
        metavar="NAME|FILE",
        show_default=False,
        help="A policy as a defense, by its name or its file (.toml); --defense policy:NAME is the "
        "same, also in a chain (policy:NAME+jpeg).",
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite", rich_help_panel=COMMON, help="Replace an output that exists already."
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json", rich_help_panel=COMMON, help="Print the result as JSON on standard output."
    ),
]


def labels_option(otherwise: str) -> Any:
    """The option ``--labels``, with where labels come from without it."""
    return typer.Option(
        metavar="FILE",
        show_default=False,
        help=f"CSV file with the columns file and label (class index or name). {otherwise}".strip(),
    )


FOUND_LABELS = (
    "Without it, labels come from the images' manifest, or from subfolders named like classes."
)


def output_option(metavar: str, help_text: str) -> Any:
    """The option ``-o/--output`` with the command's own words; it takes a FILE or a FOLDER."""
    return typer.Option("--output", "-o", metavar=metavar, help=help_text, show_default=False)


def folder_argument(metavar: str, help_text: str) -> Any:
    """An argument that takes a folder or a file."""
    return typer.Argument(metavar=metavar, help=help_text, show_default=False)


def path_option(metavar: str, help_text: str, *names: str) -> Any:
    """An option that takes a FILE or a FOLDER."""
    return typer.Option(*names, metavar=metavar, help=help_text, show_default=False)


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
