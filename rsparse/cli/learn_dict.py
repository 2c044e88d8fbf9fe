"""The command ``rsparse learn-dict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rsparse.cli.command import command, given_options
from rsparse.cli.completion import complete_words
from rsparse.cli.console import Stopwatch, count, finish, progress_bar, summary
from rsparse.cli.generated import option
from rsparse.cli.help import DETAILS
from rsparse.cli.notes import tell_of_compiled_loops
from rsparse.cli.options import Images, Json, Overwrite, output_option, path_option
from rsparse.options.learn_dict import PRESETS, LearnParameters
from rsparse.work.workers import Workers


@command(
    "rsparse learn-dict imgs/ -o dict.h5",
    "rsparse learn-dict imgs/ -o dict.h5 --preview dict.png",
    "rsparse learn-dict imgs/ -o dict.h5 --n-atoms 1024 --patch-size 6",
    "rsparse learn-dict imgs/ -o dict.h5 --no-smoothing --no-normalize",
    "rsparse learn-dict imgs/ -o paper.h5 --preset paper",
)
def learn_dict(
    *,
    context: typer.Context,
    images: Images,
    output: Annotated[Path, output_option("FILE", "Dictionary file to write (HDF5).")],
    preview: Annotated[
        Path | None,
        path_option("PNG", "Also draw the atoms to this file."),
    ] = None,
    preset: Annotated[
        str,
        option(
            "|".join(PRESETS),
            "Values of the method's options that are not given: ours, or the paper's."
            f"{DETAILS}paper is the method as the paper "
            "prints it: --grey --smoothing-weights printed --smoothing-h 4900 --smoothing-window "
            "whole --coder lars --l1-penalty 1.2 --keep-atoms; smoothing over the whole image "
            "takes seconds for each photograph.",
            show_default=True,
            complete=complete_words(list(PRESETS)),
        ),
    ] = "default",
    parameters: LearnParameters,
    workers: Workers,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Learn a dictionary from benign images.

    Each image is smoothed by non-local means. Random patches are standardised image by image and
    passed to online dictionary learning, which replaces unused and near-duplicate atoms. Memory
    use does not depend on the number of images.
    """
    from rsparse.commands.learn_dict import learn_dict as learn

    given = given_options(context, LearnParameters).values()
    parameters = LearnParameters.preset(preset, **{k: getattr(parameters, k) for k in given})
    watch = Stopwatch()
    with progress_bar() as progress:
        outcome = learn(
            images,
            output,
            parameters,
            preview=preview,
            workers=workers,
            overwrite=overwrite,
            progress=progress,
        )
    errors = ", ".join(f"{error:.1%} (K={k})" for k, error in outcome.held_out_error.items())
    summary(
        "dictionary",
        {
            "images": count(outcome),
            "atoms": f"{outcome.n_atoms} of {outcome.n_features} numbers",
            "error on held-out patches": errors or "not measured",
            "time": str(watch),
        },
    )
    tell_of_compiled_loops(watch)
    finish(outcome, as_json)
