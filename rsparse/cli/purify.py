"""The command ``rsparse purify``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from rsparse.cli import completion
from rsparse.cli.command import RARE, command, given_options
from rsparse.cli.console import (
    Stopwatch,
    count,
    finish,
    progress_bar,
    summary,
    tell_of_embedded,
    warn_of_ignored_levels,
)
from rsparse.cli.generated import option
from rsparse.cli.help import DETAILS
from rsparse.cli.listing import list_option
from rsparse.cli.notes import tell_of_compiled_loops
from rsparse.cli.options import (
    Dictionaries,
    Images,
    Json,
    Overwrite,
    PolicyName,
    output_option,
    path_option,
)
from rsparse.defenses import DEFENSES, Defense, RegionSparse, parse_defense
from rsparse.errors import InputError
from rsparse.options.localize import LocalizeParameters
from rsparse.options.purify import PurifyParameters, PurifyRunParameters
from rsparse.store.published import dictionary_files
from rsparse.store.treatments import LIGHT_DB, Treatments
from rsparse.work.workers import Workers


@command(
    "rsparse purify suspicious/",
    "rsparse purify photo.jpg --dict dict.h5 -o clean/ --sparsity 1",
    "rsparse purify adv/ --dict dict.h5 --policy paper -o purified/",
    "rsparse purify adv/ --defense jpeg:quality=40 -o jpeg/",
    "rsparse purify adv/ --dict dict.h5 --sparsity 2 --masks masks/ -o purified/",
    "rsparse purify adv/ --dict dict.h5 --sparsity 2 --no-localize --stride 1",
    "rsparse purify adv/ --dict dict.h5 --device cpu",
    "rsparse purify adv/ --defense bilateral+jpeg -o both/",
    "rsparse purify adv/ --only-detected found.csv --dict dict.h5",
)
def purify(
    *,
    context: typer.Context,
    images: Images,
    dictionaries: Dictionaries = None,
    policy: PolicyName = None,
    spec: Annotated[
        str | None,
        option(
            "SPEC",
            f"Another defense, such as jpeg:quality=40: {', '.join(DEFENSES)}.{DETAILS}A chain of "
            "defenses is applied in order (bilateral+jpeg:quality=40) and may include policies "
            "(policy:default+jpeg). Parameters default to the values of their authors; the options "
            "below are those of regionsparse.",
            "--defense",
            complete=completion.DEFENSES,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        output_option("FOLDER", "Folder for the purified images; the default is IMAGES-purified/."),
    ] = None,
    masks: Annotated[
        Path | None,
        path_option(
            "FOLDER",
            "Folder of masks (white is object) to use instead of localization.",
            rare=True,
        ),
    ] = None,
    only_detected: Annotated[
        Path | None,
        path_option(
            "FILE",
            "Clean only the images that 'rsparse detect' lists as detected in this file (.csv)."
            f"{DETAILS}The others are written as they are.",
        ),
    ] = None,
    run_parameters: PurifyRunParameters,
    parameters: PurifyParameters,
    localization: Annotated[LocalizeParameters, RARE],
    workers: Workers,
    overwrite: Overwrite = False,
    as_json: Json = False,
    list_all: Annotated[bool, list_option("defenses", DEFENSES)] = False,  # noqa: ARG001 - ends before
) -> None:
    """Clean images by sparse coding, according to the noise in each, or with another defense.

    Images of any size give PNG files of the same size and name, with a manifest. A policy chooses
    by the noise in an image how to clean it, if at all. With --sparsity K, as in the paper, the
    object region of every image is coded with K atoms per patch, and the rest is filtered.
    """
    given = given_options(context, PurifyParameters, LocalizeParameters)
    values = dataclasses.asdict(parameters) | dataclasses.asdict(localization)
    defense = _defense(spec, policy, given, values)
    files = dictionary_files(dictionaries)
    warn_of_ignored_levels(files, [defense])
    from rsparse.commands.purify import purify_images
    from rsparse.store.default_outputs import output_beside

    watch = Stopwatch()
    with progress_bar() as progress:
        outcome = purify_images(
            images,
            defense,
            output or output_beside(images, "purified"),
            dictionaries=files,
            masks=masks,
            only_detected=only_detected,
            run_parameters=run_parameters,
            workers=workers,
            overwrite=overwrite,
            progress=progress,
        )
    shown = {"images": count(outcome)}
    if given:
        shown["sparsity K"] = str(parameters.sparsity)
    else:
        shown["defense"] = defense.text
    shown |= _told(outcome.treatments)
    tell_of_embedded(files, [defense])
    summary("purified", {**shown, "time": str(watch)})
    tell_of_compiled_loops(watch)
    finish(outcome, as_json)


def _told(treatments: Treatments) -> dict[str, str]:
    """How many images were treated how and changed how much; the least and most changed one."""
    if not treatments.counts:
        return {}
    lines = [f"{n} {done}" for done, n in treatments.counts.items()]
    changed = f"{treatments.degrees_text} (lightly: PSNR of {LIGHT_DB:g} dB or more)"
    shown = {"done": "\n".join(lines), "changed": changed}
    least, most = treatments.least, treatments.most
    if least is not None and most is not None:
        shown |= {"least changed": least.text, "most changed": most.text}
    return shown


def _defense(
    spec: str | None, policy: str | None, given: dict[str, str], values: dict[str, Any]
) -> Defense:
    """The defense of this run: from ``--defense``, RegionSparse with its options, or a policy.

    Raises
    ------
    InputError
        If the spec or the policy is invalid, if the spec stands for several defenses, or if these
        ways are mixed.
    """
    if spec is not None and policy is not None:
        raise InputError("--policy and --defense cannot be used together; give one of them")
    if given:
        _refuse_mixed(spec, policy, given)
        return RegionSparse(**values)
    if spec is None:
        from rsparse.defenses.policy import DEFAULT_POLICY, load_policy

        return load_policy(policy or DEFAULT_POLICY).defense
    defenses = parse_defense(spec)
    if len(defenses) > 1:
        raise InputError(f"--defense {spec!r}: expected one defense, got {len(defenses)}")
    return defenses[0]


def _refuse_mixed(spec: str | None, policy: str | None, given: dict[str, str]) -> None:
    """Refuse options of RegionSparse with --defense or --policy, or without --sparsity."""
    option, field = next(iter(given.items()))
    if spec is not None:
        raise InputError(
            f"{option} and --defense cannot be used together; for regionsparse write --defense "
            f"regionsparse:{field.replace('_', '-')}=…"
        )
    from rsparse.defenses.policy import DEFAULT_POLICY

    copy = f"rsparse policy show {policy or DEFAULT_POLICY} --toml > mine.toml"
    if policy is not None:
        is_file = policy.lower().endswith(".toml")
        where = f"in {policy}" if is_file else f"in a copy of the policy: {copy}"
        raise InputError(f"{option} and --policy cannot be used together; set it {where}")
    if "--sparsity" not in given:
        raise InputError(
            f"{option} needs --sparsity K, such as --sparsity {RegionSparse.sparsity}; or set it "
            f"in a copy of a policy: {copy}"
        )
