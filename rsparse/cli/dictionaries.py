"""The commands ``rsparse dictionaries list`` and ``rsparse dictionaries fetch``."""

from __future__ import annotations

from typing import Annotated

import typer

from rsparse.cli.app import app
from rsparse.cli.command import command
from rsparse.cli.completion import complete_words
from rsparse.cli.console import Stopwatch, answer, answer_json, answer_table, summary
from rsparse.cli.generated import argument, option
from rsparse.cli.groups import QuickGroup
from rsparse.cli.options import Json
from rsparse.options.sections import INPUT_OUTPUT
from rsparse.store.published import PublishedDictionary, fetch_dictionary, published

group = typer.Typer(
    cls=QuickGroup,
    help="List and fetch the dictionaries that --dict accepts by name. One comes with rsparse and "
    "is used without --dict.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(group, name="dictionaries")


@command(
    "rsparse dictionaries list",
    "rsparse dictionaries list --json",
    group=group,
    name="list",
)
def list_dictionaries(as_json: Json = False) -> None:
    """List the dictionaries that have a name: their patches, atoms, error and size.

    The error is the share of the energy of patches that K = 2 atoms leave uncoded, for photographs
    that the dictionary was not learned from.
    """
    dictionaries = list(published().values())
    if as_json:
        answer_json([_as_json(dictionary) for dictionary in dictionaries])
        return
    columns = ["dictionary", "patches", "atoms", "error", "size", "here"]
    answer_table(columns, map(_cells, dictionaries))


@command(
    "rsparse dictionaries fetch photos-12x12-1024 --from https://example.org/dictionaries",
    "rsparse dictionaries fetch photos-6x6-256 --from dictionaries/",
    group=group,
)
def fetch(
    name: Annotated[
        str,
        argument(
            "NAME",
            "A name from 'rsparse dictionaries list'.",
            complete=complete_words(published()),
        ),
    ],
    address: Annotated[
        str | None,
        option(
            "URL|FOLDER",
            "Where the files of all published dictionaries are; by default what the environment "
            "variable RSPARSE_DICTIONARIES says.",
            "--from",
            section=INPUT_OUTPUT,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Fetch a dictionary once, so that --dict accepts its name.

    The file is checked against the SHA-256 of the catalogue and kept in the cache (RSPARSE_CACHE,
    by default rsparse in the user's cache folder). Later commands work offline.
    """
    watch = Stopwatch()
    dictionary, downloaded = fetch_dictionary(name, address)
    if as_json:
        answer_json({**_as_json(dictionary), "file": str(dictionary.file)})
        return
    came = "downloaded" if downloaded else f"was here: {_place(dictionary)}"
    summary("dictionary", {"name": name, "file": came, "time": str(watch)})
    answer(dictionary.file)


def _cells(dictionary: PublishedDictionary) -> list[str]:
    side, kind = dictionary.patch_size, "colour" if dictionary.color else "grey"
    return [
        dictionary.name,
        f"{side}×{side} {kind}",
        str(dictionary.n_atoms),
        f"{dictionary.error['2']:.1%}",
        f"{dictionary.bytes / 1000:.0f} kB",
        _place(dictionary),
    ]


def _place(dictionary: PublishedDictionary) -> str:
    if dictionary.is_embedded:
        return "built in"
    return "fetched" if dictionary.is_here else "no"


def _as_json(dictionary: PublishedDictionary) -> dict[str, object]:
    return {
        "name": dictionary.name,
        "patch_size": dictionary.patch_size,
        "n_atoms": dictionary.n_atoms,
        "color": dictionary.color,
        "error": dictionary.error,
        "bytes": dictionary.bytes,
        "sha256": dictionary.sha256,
        "embedded": dictionary.is_embedded,
        "here": dictionary.is_here,
    }
