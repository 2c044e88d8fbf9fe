"""The command ``rsparse support``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rsparse.cli import completion
from rsparse.cli.command import command
from rsparse.cli.console import Stopwatch, count, finish, progress_bar, summary, wide_table
from rsparse.cli.generated import argument, option
from rsparse.cli.options import Json, Overwrite, output_option
from rsparse.data import embedded_dictionary
from rsparse.options.sections import INPUT_OUTPUT
from rsparse.options.support import SupportParameters
from rsparse.store.published import file_of
from rsparse.work.workers import Workers

if TYPE_CHECKING:
    from rsparse.commands.support import SupportOutcome

_COLUMNS = {
    "moved": "patches with\nother atoms",
    "common": "atoms\nkept",
    "analysis": "‖Ψᵀe‖/‖e‖,\nall atoms",
    "chosen": "‖Ψᵀe‖/‖e‖,\nchosen",
    "inside": "energy in\ntheir span",
    "survives": "change\nthat is left",
    "change": "L2 of\nthe attack",
}
_SHARES = ("moved", "common", "inside", "survives")


@command(
    "rsparse support clean/ adv/bim-eps=2/ --dict dict.h5 -o support.h5",
    "rsparse support eval/clean eval/attacks/m/ --dict dict.h5 --sparsity 1 -o support.h5",
    "rsparse support clean/ adv/ --dict dict.h5 --json -o support.h5",
)
def support(
    *,
    benign: Annotated[Path, argument("BENIGN", "Folder of benign images.")],
    adversarial: Annotated[
        list[Path],
        argument(
            "ADVERSARIAL",
            "Folders of attacked images with the same names and sizes; the output of several "
            "attacks stands for all of them.",
        ),
    ],
    output: Annotated[Path, output_option("FILE", "File for the measures (HDF5).")],
    dictionary: Annotated[
        str | None,
        option(
            "FILE|NAME",
            "Dictionary: a file of learn-dict, or a name from 'rsparse dictionaries list'; by "
            "default the one that comes with rsparse.",
            "--dict",
            "-d",
            complete=completion.DICTIONARIES,
            section=INPUT_OUTPUT,
        ),
    ] = None,
    parameters: SupportParameters,
    workers: Workers,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Measure how attacks change the atoms that sparse coding chooses.

    The paper assumes that an attack e does not change which atoms represent a patch (equation 9),
    and that the dictionary shrinks it: ‖Ψᵀe‖ < ‖e‖. This command measures both for each attack,
    and how much of the change is left in the coded image. For each benign image, it computes the
    L2 radius inside which no attack can change an atom of any patch.
    """
    from rsparse.commands.support import measure_supports

    watch = Stopwatch()
    with progress_bar() as progress:
        outcome = measure_supports(
            benign,
            adversarial,
            embedded_dictionary() if dictionary is None else file_of(Path(dictionary)),
            output,
            parameters,
            workers=workers,
            overwrite=overwrite,
            progress=progress,
        )
    wide_table("means over the images", ["attack", *_COLUMNS.values()], _rows(outcome))
    radii = outcome.as_json()["radius"]
    summary(
        "support",
        {
            "images": count(outcome),
            "radius without any change": f"median {radii['median']:.2g}, largest "
            f"{radii['largest']:.2g} (L2, pixels in [0, 1])",
            "time": str(watch),
        },
    )
    finish(outcome, as_json)


def _rows(outcome: SupportOutcome) -> list[list[str]]:
    return [
        [attack, *(_cell(name, outcome.means[name][number]) for name in _COLUMNS)]
        for number, attack in enumerate(outcome.attacks)
    ]


def _cell(name: str, value: float) -> str:
    if value != value:
        return "–"
    return f"{100 * value:.1f} %" if name in _SHARES else f"{value:.2f}"
