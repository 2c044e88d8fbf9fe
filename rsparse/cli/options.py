"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from rsparse.cli import completion
from rsparse.cli.generated import argument, option
from rsparse.cli.help import DETAILS
from rsparse.errors import InputError
from rsparse.options.sections import INPUT_OUTPUT, RUNNING
from rsparse.work.workers import LocalWorkers, Workers


def _read_jobs(word: Any) -> int:
    if not str(word).isdecimal():
        raise InputError(f"jobs: expected a whole number of 0 or more, got {word!r}")
    return int(word)


Images = Annotated[
    list[Path],
    argument("IMAGES", "Folders, searched recursively, or images: PNG, JPEG, WebP, TIFF, BMP."),
]
Model = Annotated[
    Path, option("FILE", "The classifier, an ONNX file.", "--model", "-m", section=INPUT_OUTPUT)
]
Jobs = Annotated[
    int,
    option(
        "N",
        "Number of cores to use; 0, the default, uses all.",
        "--jobs",
        "-j",
        section=RUNNING,
        parser=_read_jobs,
    ),
]
ClusterAddress = Annotated[
    str | None,
    option(
        "ADDRESS",
        "Run on a Dask cluster: its address, its scheduler file (.json), or local:N for N "
        "processes on this machine.",
        "--cluster",
        section=RUNNING,
        rare=True,
    ),
]
Dictionaries = Annotated[
    list[str] | None,
    option(
        "[NAME=]FILE",
        "Dictionary: a file, or a name from 'rsparse dictionaries list'; one comes with rsparse."
        f"{DETAILS}'rsparse learn-dict' makes a file. Give several by name: "
        "regionsparse:dictionary=dct uses --dict dct=other.h5.",
        "--dict",
        "-d",
        complete=completion.DICTIONARIES,
        section=INPUT_OUTPUT,
    ),
]
PolicyName = Annotated[
    str | None,
    option(
        "NAME|FILE",
        "Policy that chooses how to purify each image by its noise: a name from 'rsparse policy "
        "list', or a file (.toml).  [default: default]",
        "--policy",
        complete=completion.POLICIES,
    ),
]
PolicyNames = Annotated[
    list[str] | None,
    option(
        "NAME|FILE",
        "A policy as a defense: its name or its file (.toml)."
        f"{DETAILS}--defense policy:NAME is the same and also works in a chain (policy:NAME+jpeg).",
        "--policy",
        complete=completion.POLICIES,
    ),
]
Required = Annotated[
    list[str] | None,
    option(
        "WHERE>=SHARE",
        f"Share of images to be right, else the exit code is 1: adaptive.eps=2>=0.1.{DETAILS}They "
        "have to be right under each attack that WHERE names: one or more scenarios, attacks, "
        "parameters or defenses, joined by dots (bim>=40%, clean>=0.7). The defense is by default "
        "the verdict's. Can be given several times.",
        "--require",
    ),
]
Overwrite = Annotated[
    bool,
    option(None, "Replace an output that already exists.", "--overwrite", section=INPUT_OUTPUT),
]
Json = Annotated[
    bool,
    option(None, "Print the result as JSON on standard output.", "--json", section=INPUT_OUTPUT),
]


def output_option(metavar: str, help_text: str) -> Any:
    """The option ``-o/--output`` with a command's own help; it takes a FILE or a FOLDER."""
    return path_option(metavar, help_text, "--output", "-o")


def path_option(metavar: str, help_text: str, *names: str, rare: bool = False) -> Any:
    """An option that takes a FILE or a FOLDER."""
    return option(metavar, help_text, *names, section=INPUT_OUTPUT, rare=rare)


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
