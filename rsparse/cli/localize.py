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
        path_option("FOLDER", "Also write pictures with the outline drawn into this folder."),
    ] = None,
    parameters: LocalizeParameters,
    workers: Workers,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Find the object region of images by the gradients of their grey levels.

    Writes one-channel PNG masks, white on the object, of the images' sizes and names, with a
    manifest that also tells the region's share of each image and whether anything was found.
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
