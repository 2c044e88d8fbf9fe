"""The command ``rsparse purify``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from rsparse.cli.app import app
from rsparse.cli.console import Stopwatch, count, finish, progress_bar, summary
from rsparse.cli.options import (
    Images,
    Json,
    Overwrite,
    examples,
    output_option,
    parameter_options,
    worker_options,
)
from rsparse.errors import InputError
from rsparse.parallel import Here, Workers
from rsparse.parameters import LocalizeParameters, PurifyParameters, PurifyRunParameters


@app.command(
    epilog=examples(
        "rsparse purify adv/ --dict dict.h5",
        "rsparse purify photo.jpg --dict dict.h5 -o clean/ --sparsity 1",
        "rsparse purify adv/ --dict dict.h5 --masks masks/ -o purified/",
        "rsparse purify adv/ --dict dict.h5 --no-localize --stride 1",
        "rsparse purify adv/ --dict dict.h5 --device auto",
    )
)
@parameter_options(
    how=PurifyRunParameters, parameters=PurifyParameters, localization=LocalizeParameters
)
@worker_options
def purify(
    images: Images,
    dictionary: Annotated[
        Path, typer.Option("--dict", "-d", help="Dictionary that learn-dict wrote.")
    ],
    how: PurifyRunParameters,
    parameters: PurifyParameters,
    localization: LocalizeParameters,
    output: Annotated[
        Optional[Path],  # noqa: UP045
        output_option("Folder for the purified images; IMAGES-purified/ by default."),
    ] = None,
    masks: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Folder of masks (white: object) to use instead of localization."),
    ] = None,
    workers: Workers = Here(),
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Clean images: sparse coding on the object, a mild filter around it.

    Reads any sizes and writes PNG of the same size and name, with a manifest. Patches of the
    object region are z-scored, coded with at most K atoms of the dictionary by orthogonal
    matching pursuit, and averaged where they overlap; the rest is filtered bilaterally.
    """
    from rsparse.stages.purify import purify_images

    watch = Stopwatch()
    with progress_bar() as progress:
        outcome = purify_images(
            images, dictionary, output or default_output(images, "purified"), parameters,
            localization, masks=masks, how=how, workers=workers, overwrite=overwrite,
            progress=progress,
        )  # fmt: skip
    summary(
        "purified",
        {"images": count(outcome), "sparsity K": str(parameters.sparsity), "time": str(watch)},
    )
    finish(outcome, as_json)


def default_output(images: list[Path], suffix: str) -> Path:
    """``IMAGES-suffix`` beside the one input.

    Raises
    ------
    InputError
        If there are several inputs, so that none can lend its name.
    """
    if len(images) != 1:
        raise InputError("several inputs: name the output with -o")
    absolute = images[0].absolute()
    name = absolute.name if absolute.is_dir() else absolute.stem
    return (
        images[0].with_name(f"{name}-{suffix}")
        if name == images[0].name
        else (images[0].parent / f"{name}-{suffix}")
    )
