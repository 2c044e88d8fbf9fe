"""The command ``rsparse activations``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rsparse.cli import completion
from rsparse.cli.command import command
from rsparse.cli.console import Stopwatch, count, finish, progress_bar, summary, wide_table
from rsparse.cli.generated import argument, option
from rsparse.cli.input_options import InputOptions
from rsparse.cli.options import (
    Json,
    Model,
    Overwrite,
    output_option,
    path_option,
)
from rsparse.options.activations import ActivationParameters
from rsparse.work.workers import Workers

if TYPE_CHECKING:
    from rsparse.commands.activations import ActivationOutcome

_BANDS = 5


@command(
    "rsparse activations imgs/ adv/ --model tagged.onnx -o act.h5 --plot act.png",
    "rsparse activations imgs/ adv/ --model m.onnx --preset inception-v3 -o act.h5 \\",
    "    --plot act.png --layers conv_2,mixed_1,pool_3",
    "rsparse activations imgs/ adv/ --model tagged.onnx -o act.h5 --gamma 0.5",
)
def activations(
    *,
    benign: Annotated[Path, argument("BENIGN", "Folder of benign images.")],
    adversarial: Annotated[
        Path,
        argument("ADVERSARIAL", "Folder of the attacked images, with the same names."),
    ],
    model: Model,
    output: Annotated[Path, output_option("FILE", "File for the activations (HDF5).")],
    plot: Annotated[
        Path | None,
        path_option("PNG", "Also draw the ratio by layer and the chosen layers to this file."),
    ] = None,
    layers: Annotated[
        str | None,
        option(
            "NAME,…",
            "Layers whose feature detectors are saved and drawn, separated by commas; the default "
            "is the first, a middle and the last layer.",
            complete=completion.complete_layers,
        ),
    ] = None,
    parameters: ActivationParameters,
    input_options: InputOptions,
    workers: Workers,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Measure which layers of a model an attack excites.

    For every convolution and concatenation and for the global pooling, this command takes the
    largest response of each channel and sums those that exceed gamma (equation 7 of the paper).
    It compares the sums of the attacked images with those of their originals.
    """
    from rsparse.commands.activations import measure_activations

    watch = Stopwatch()
    names = [name.strip() for name in layers.split(",")] if layers else []
    with progress_bar() as progress:
        outcome = measure_activations(
            benign,
            adversarial,
            model,
            output,
            parameters,
            input_options,
            layers=names,
            plot=plot,
            workers=workers,
            overwrite=overwrite,
            progress=progress,
        )
    wide_table("activation, adversarial / benign", ("layers", "ratio"), list(_rows(outcome)))
    summary(
        "activations",
        {
            "images": count(outcome),
            "predictions changed": str(outcome.changed),
            "layers": str(len(outcome.layers)),
            "time": str(watch),
        },
    )
    finish(outcome, as_json)


def _rows(outcome: ActivationOutcome) -> list[tuple[str, str]]:
    """The mean ratio of the convolutions in bands of depth, then that of each chosen layer."""
    import numpy as np

    rows = []
    index = np.array([layer.index for layer in outcome.layers])
    is_conv = np.array([layer.kind == "conv" for layer in outcome.layers])
    for band in np.array_split(np.arange(1, 1 + index.max()), min(_BANDS, int(index.max()))):
        chosen = is_conv & (index >= band[0]) & (index <= band[-1])
        ratios = outcome.ratios[chosen]
        known = ratios[~np.isnan(ratios)]
        text = f"{known.mean():.3f}" if known.size else "–"
        rows.append((f"convolutions {band[0]}–{band[-1]}, mean", text))
    chosen = [(outcome.layers[k].name, f"{outcome.ratios[k]:.3f}") for k in outcome.chosen]
    return rows + chosen
