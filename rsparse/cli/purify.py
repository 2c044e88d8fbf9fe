"""The command ``rsparse purify``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from rsparse.cli.command import command
from rsparse.cli.console import Stopwatch, count, finish, progress_bar, summary
from rsparse.cli.options import (
    Dictionaries,
    Images,
    Json,
    Overwrite,
    output_option,
    path_option,
)
from rsparse.defenses import DEFENSES, Defense, RegionSparse, defense_text, parse_defense
from rsparse.errors import InputError
from rsparse.options.localize import LocalizeParameters
from rsparse.options.purify import PurifyParameters, PurifyRunParameters
from rsparse.options.specs import named_files
from rsparse.work.workers import Workers


@command(
    "rsparse purify adv/ --dict dict.h5",
    "rsparse purify photo.jpg --dict dict.h5 -o clean/ --sparsity 1",
    "rsparse purify adv/ --dict dict.h5 --masks masks/ -o purified/",
    "rsparse purify adv/ --dict dict.h5 --no-localize --stride 1",
    "rsparse purify adv/ --dict dict.h5 --device auto",
    "rsparse purify adv/ --defense jpeg:quality=40 -o jpeg/",
    "rsparse purify adv/ --defense bilateral+jpeg -o both/",
)
def purify(
    *,
    images: Images,
    dictionaries: Dictionaries = None,
    spec: Annotated[
        str | None,
        typer.Option(
            "--defense",
            metavar="NAME:PARAMETER=VALUE,…",
            show_default=False,
            help=f"What to clean by instead: {', '.join(DEFENSES)}; or a chain of them, one after "
            "another (bilateral+jpeg:quality=40). Their parameters default to their authors'; "
            "those of regionsparse are the options below.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        output_option("FOLDER", "Folder for the purified images; IMAGES-purified/ by default."),
    ] = None,
    masks: Annotated[
        Path | None,
        path_option("FOLDER", "Masks (white: object) to use instead of localization."),
    ] = None,
    how: PurifyRunParameters,
    parameters: PurifyParameters,
    localization: LocalizeParameters,
    workers: Workers,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Clean images by sparse coding, as strongly as the noise in each asks; or another defense.

    Reads any sizes and writes PNG of the same size and name, with a manifest. Patches are
    z-scored, coded with at most K atoms of the dictionary by orthogonal matching pursuit, and
    averaged where they overlap. By default the dictionary's levels say by the noise in an image
    whether it is coded, whole or on its object, and with which K. With --sparsity K, as in the
    paper, the object region is coded and the rest is filtered bilaterally.
    """
    defense = _defense(spec, parameters, localization)
    files = named_files(dictionaries)
    from rsparse.commands.purify import purify_images

    watch = Stopwatch()
    with progress_bar() as progress:
        outcome = purify_images(
            images,
            defense,
            output or default_output(images, "purified"),
            dictionaries=files,
            masks=masks,
            how=how,
            workers=workers,
            overwrite=overwrite,
            progress=progress,
        )
    shown = {"images": count(outcome)}
    if spec is None:
        shown["sparsity K"] = str(parameters.sparsity or "auto")
    else:
        shown["defense"] = defense_text(defense)
    summary("purified", {**shown, "time": str(watch)})
    finish(outcome, as_json)


def _defense(
    spec: str | None, parameters: PurifyParameters, localization: LocalizeParameters
) -> Defense:
    """The one defense of this run: a spec's, or RegionSparse with the plain options.

    Raises
    ------
    InputError
        If the spec cannot be used or gives several, or both are set.
    """
    values = dataclasses.asdict(parameters) | dataclasses.asdict(localization)
    if spec is None:
        return RegionSparse(**values)
    changed = [name for name in values if values[name] != _default(name)]
    if changed:
        option = changed[0].replace("_", "-")
        raise InputError(
            f"--{option} and --defense exclude each other; an option of regionsparse is written "
            f"--defense regionsparse:{option}=…"
        )
    defenses = parse_defense(spec)
    if len(defenses) > 1:
        raise InputError(f"--defense {spec!r}: gives {len(defenses)} defenses, one run takes one")
    return defenses[0]


def _default(name: str) -> object:
    return getattr(RegionSparse, name)


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
