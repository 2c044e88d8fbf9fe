"""The command ``rsparse attention``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from rsparse.cli import completion
from rsparse.cli.command import command
from rsparse.cli.console import Stopwatch, count, finish, progress_bar, summary
from rsparse.cli.generated import argument, option
from rsparse.cli.input_options import InputOptions
from rsparse.cli.label_options import LabelOptions
from rsparse.cli.options import Json, Model, Overwrite, output_option
from rsparse.options.attention import AttentionParameters
from rsparse.work.workers import Workers


@command(
    "rsparse attention imgs/ --model tagged.onnx -o cams/",
    "rsparse attention imgs/ adv/ adv-purified/ --model tagged.onnx -o cams/",
    "rsparse attention adv/ --model tagged.onnx -o cams/ --target-class label --labels labels.csv",
)
def attention(
    *,
    images: Annotated[
        list[Path],
        argument(
            "IMAGES",
            "One folder or single images; or several folders to compare, whose images are matched "
            "by name.",
        ),
    ],
    model: Model,
    output: Annotated[Path, output_option("FOLDER", "Folder for the pictures.")],
    explain: Annotated[
        str,
        option(
            "CLASS",
            "Class to explain: predicted, label, or the number or name of a class.",
            "--target-class",
            complete=completion.complete_words(["predicted", "label"]),
            show_default=True,
        ),
    ] = "predicted",
    labels: LabelOptions,
    parameters: AttentionParameters,
    input_options: InputOptions,
    workers: Workers,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Show where a model sees a class, with class activation maps.

    A map is the sum of the last feature maps before global average pooling, weighted by the
    classifier's weights for the class (Zhou et al. 2016). For networks without such pooling, the
    weights come from gradients (Grad-CAM, Selvaraju et al. 2017). One folder gives an overlay for
    each image. Several folders, such as benign, attacked and purified, give a panel for each name
    that is in all of them.
    """
    from rsparse.commands.attention import explain_images

    watch = Stopwatch()
    with progress_bar() as progress:
        outcome = explain_images(
            images,
            model,
            output,
            parameters,
            input_options,
            explain=explain,
            labels=labels,
            workers=workers,
            overwrite=overwrite,
            progress=progress,
        )
    values = {"images": count(outcome), "class": explain}
    if outcome.columns:
        values["columns"] = ", ".join(outcome.columns)
        values["not in all folders"] = str(outcome.alone)
    summary("explained", {**values, "time": str(watch)})
    finish(outcome, as_json)
