"""The command ``rsparse attack``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rsparse.attacks import ATTACKS, PUBLISHED, Attack, parse_attack
from rsparse.cli import completion
from rsparse.cli.command import command, given_options
from rsparse.cli.console import (
    Stopwatch,
    duration,
    finish,
    progress_bar,
    summary,
    tell_of_embedded,
    warn_of_ignored_levels,
    wide_table,
)
from rsparse.cli.generated import option
from rsparse.cli.help import DETAILS
from rsparse.cli.input_options import InputOptions
from rsparse.cli.label_options import LabelOptions
from rsparse.cli.listing import list_option
from rsparse.cli.options import Dictionaries, Images, Json, Model, Overwrite, output_option
from rsparse.defenses import Defense, parse_defense
from rsparse.errors import InputError
from rsparse.options.attack import AttackRunParameters, BackwardChoice
from rsparse.options.sections import ATTACK
from rsparse.store.published import dictionary_files
from rsparse.work.workers import Workers

if TYPE_CHECKING:
    from rsparse.commands.attack.attack import AttackOutcome
    from rsparse.commands.attack.cost import AttackCost
    from rsparse.commands.attack.summary import AttackSummary
    from rsparse.work.progress import Progress


@command(
    "rsparse attack imgs/ --model m.onnx --attack bim:eps=8 -o adv/",
    "rsparse attack imgs/ --model m.onnx --attack fgsm:eps=2,10,22 -o adv/",
    "rsparse attack imgs/ --model m.onnx -a mi-fgsm:d=0.05 -a cw-l2:d=0.05 -o adv/",
    "rsparse attack imgs/ --model m.onnx --attack bim:eps=8,target=least-likely,tabby -o adv/",
    "rsparse attack imgs/ --model m.onnx --attack LinfPGD:eps=8,steps=20 --keep-float -o adv/",
    "rsparse attack imgs/ -m m.onnx -a bim:eps=2 --through policy:default -d dict.h5 -o adv/",
    "rsparse attack imgs/ -m m.onnx -a bim:eps=8 --through jpeg --backward identity -o adv/",
)
def attack(
    *,
    context: typer.Context,
    images: Images,
    model: Model,
    attacks: Annotated[
        list[str],
        option(
            "SPEC",
            f"The attack, such as bim:eps=8: {', '.join(sorted(ATTACKS | PUBLISHED))}, or an "
            f"attack class of foolbox. eps is in grey levels.{DETAILS}d is relative to the L2 norm "
            "of the image; "
            "target is the class to reach (least-likely, random, an index or a name). With several "
            "values of a parameter (eps=2,10,22) or several --attack, each attack gets its own "
            "subfolder of the output.",
            "--attack",
            "-a",
            complete=completion.ATTACKS,
            section=ATTACK,
        ),
    ],
    output: Annotated[Path, output_option("FOLDER", "Folder for the adversarial images.")],
    labels: LabelOptions,
    through: Annotated[
        str | None,
        option(
            "SPEC",
            "Attack the model behind this defense, which the attacker knows: a spec as in purify "
            f"--defense.{DETAILS}It may be a chain or a policy. Images are cleaned as purify does; "
            "the gradient passes by --backward.",
            complete=completion.DEFENSES,
            section=ATTACK,
        ),
    ] = None,
    dictionaries: Dictionaries = None,
    choice: BackwardChoice,
    parameters: AttackRunParameters,
    input_options: InputOptions,
    workers: Workers,
    overwrite: Overwrite = False,
    as_json: Json = False,
    list_all: Annotated[bool, list_option("attacks", ATTACKS | PUBLISHED, section=ATTACK)] = False,  # noqa: ARG001 - ends before
) -> None:
    """Make adversarial images that a classifier gets wrong.

    The gradients come from a torch twin of the ONNX graph. Each result is clipped, rounded to 8
    bits, classified again and written as PNG. The manifest holds the predictions before the attack,
    before rounding and after it, and the size of the change.
    """
    chosen = [attack for text in attacks for attack in parse_attack(text)]
    files = dictionary_files(dictionaries)
    defense = _defense(through, given_options(context, BackwardChoice), files)
    from rsparse.commands.attack.attack import attack_images
    from rsparse.commands.attack.through import Through

    watch = Stopwatch()
    with progress_bar() as progress:
        outcome = attack_images(
            images,
            model,
            chosen,
            output,
            parameters,
            input_options,
            labels=labels,
            through=None if defense is None else Through(defense, files, choice),
            workers=workers,
            overwrite=overwrite,
            progress=progress,
            announce=lambda cost: announce(cost, progress),
        )
    tell_of_embedded(files, [] if defense is None else [defense])
    _report(outcome, chosen, parameters, defense, watch)
    finish(outcome, as_json)


def _defense(
    spec: str | None, given: Mapping[str, str], files: Mapping[str, Path]
) -> Defense | None:
    """The defense to attack through.

    Raises
    ------
    InputError
        If the spec is invalid or stands for several defenses, or an option needs one.
    """
    if spec is None:
        for option in (*given, *(["--dict"] if files else [])):
            raise InputError(f"{option} needs --through SPEC, the defense to attack through")
        return None
    defenses = parse_defense(spec)
    if len(defenses) > 1:
        raise InputError(f"--through {spec!r}: expected one defense, got {len(defenses)}")
    warn_of_ignored_levels(files, defenses)
    return defenses[0]


def announce(cost: AttackCost, progress: Progress) -> None:
    """Print the number of images and passes and the estimated time of a long run."""
    if cost.seconds < 2:
        return
    cores = f"on {cost.cores} core{'s' * (cost.cores > 1)}"
    progress.message(
        f"{cost.results:,} images to attack, {cost.passes:,} passes through the model of "
        f"{1000 * cost.seconds_per_pass:.0f} ms each: {cost.word} {duration(cost.seconds)} {cores}"
    )


def _report(
    outcome: AttackOutcome,
    attacks: list[Attack],
    parameters: AttackRunParameters,
    defense: Defense | None,
    watch: Stopwatch,
) -> None:
    from rsparse.commands.attack.notes import notes_in_words

    done = str(outcome.attacks[0].images)
    if outcome.resumed:
        done += f" ({outcome.resumed} results from an earlier run)"
    if outcome.failed:
        done += f", {len(outcome.failed)} failed"
    values = {"images": done, "labels": outcome.label_origin}
    if parameters.only_correct:
        values["left out, misclassified"] = str(outcome.left_out)
    for attack, row in zip(attacks, outcome.attacks, strict=True):
        told = [] if row.scaling is None else [_scaling_text(attack, row)]
        if row.notes is not None:
            told.append(notes_in_words(row.notes))
            if row.seconds is not None:
                told.append(f"{row.seconds:.2g} s an image (mean)")
        if told:
            values[row.attack] = "; ".join(told)
    summary("attacked", {**values, "time": str(watch)})
    aimed = ["target %"] if any(attack.aim for attack in attacks) else []
    wide_table(
        "Accuracy before → after → rounded to 8 bits; share of right ones fooled: after → rounded",
        ["attack", "accuracy %", "fooled %", *aimed, "mean d", "max d", "L∞", "none"],
        [_row(row, bool(aimed)) for row in outcome.attacks],
    )
    defended = [row for row in outcome.attacks if row.accuracy_defended is not None]
    if defense is not None and defended:
        wide_table(
            f"Behind {defense.spec}: accuracy before → after; share of right ones fooled",
            ["attack", "accuracy %", "fooled %"],
            [_defended_row(row) for row in defended],
        )


def _row(row: AttackSummary, aimed: bool) -> list[str]:
    return [
        row.attack,
        _percents(row.accuracy_before, row.accuracy_float, row.accuracy),
        _percents(row.success_float, row.success),
        *([_percents(row.target_reached)] if aimed else []),
        f"{row.mean_d:.4f}",
        f"{row.max_d:.4f}",
        f"{row.max_linf:.0f}",
        str(row.nothing_found),
    ]


def _defended_row(row: AttackSummary) -> list[str]:
    accuracies = row.accuracy_defended_before, row.accuracy_defended
    return [row.attack, _percents(*accuracies), _percents(row.success_defended)]


def _percents(*shares: float | None) -> str:
    return " → ".join("–" if share is None else f"{100 * share:.0f}" for share in shares)


def _scaling_text(attack: Attack, row: AttackSummary) -> str:
    """How the changes were scaled to the requested average dissimilarity."""
    scaling = row.scaling or {}
    text = f"found at d = {scaling['d_raw']:.4f}, scaled by {scaling['tau']:.2f}"
    requested = attack.average_d or 0.0
    if scaling["tau"] == 1:
        return f"found at d = {scaling['d_raw']:.4f}, already above {requested:g}: not scaled"
    if scaling["d"] < 0.99 * requested:
        return f"{text} to only d = {scaling['d']:.4f}, since pixels are clipped to black and white"
    return f"{text} to d = {scaling['d']:.4f}"
