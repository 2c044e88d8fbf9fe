"""The command ``rsparse localize``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from rsparse.cli.command import command
from rsparse.cli.console import Stopwatch, count, finish, progress_bar, summary
from rsparse.cli.options import Images, Json, Overwrite, output_option, path_option
from rsparse.options.localize import LocalizeParameters
from rsparse.work.workers import Workers


@command(
    "rsparse localize imgs/ -o masks/",
    "rsparse localize imgs/ -o masks/ --overlay outlines/",
    "rsparse localize imgs/ -o masks/ --otsu --gradient-difference horizontal",
)
def localize(
    *,
    images: Images,
    output: Annotated[Path, output_option("FOLDER", "Folder for the masks.")],
    overlay: Annotated[
        Path | None,
        path_option("FOLDER", "Also write pictures with the region's outline to this folder."),
    ] = None,
    parameters: LocalizeParameters,
    workers: Workers,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Find the object region of each image from the gradients of its grey levels.

    The result is a folder of one-channel PNG masks, white on the object, with the sizes and names
    of the images. The manifest also records the region's share of each image and whether an
    object was found.
    """
    from rsparse.commands.localize import localize_images

    watch = Stopwatch()
    with progress_bar() as progress:
        outcome = localize_images(
            images,
            output,
            parameters,
            overlay=overlay,
            workers=workers,
            overwrite=overwrite,
            progress=progress,
        )
    summary(
        "localized",
        {
            "images": count(outcome),
            "mean area": f"{outcome.mean_area:.0%}",
            f"nothing found ({parameters.fallback_region})": str(outcome.not_found),
            "time": str(watch),
        },
    )
    finish(outcome, as_json)
