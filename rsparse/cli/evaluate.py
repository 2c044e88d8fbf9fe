"""The command ``rsparse evaluate``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rsparse.cli.command import command
from rsparse.cli.console import Stopwatch, finish, progress_bar, tell_ignored_levels, to_json
from rsparse.cli.evaluate_tables import print_judged_again, print_plan, print_results
from rsparse.cli.options import (
    FOUND_LABELS,
    Dictionaries,
    Json,
    Overwrite,
    PolicyNames,
    labels_option,
    output_option,
    path_option,
)
from rsparse.errors import InputError
from rsparse.models.spec import InputOptions
from rsparse.options.evaluate import EvaluateParameters
from rsparse.options.specs import named_files
from rsparse.work.workers import Workers

if TYPE_CHECKING:
    from rsparse.evaluation.plan import Plan

_Texts = list[str] | None


@command(
    "rsparse evaluate imgs/ --labels labels.csv -m m.onnx -a fgsm:eps=2,10,22 \\",
    "  -a cw-l2:d=.05 --policy default --defense jpeg:quality=20,75 -d dict.h5 -o eval/",
    "rsparse evaluate plan.toml --dry-run",
    "rsparse evaluate plan.toml --jobs 2",
    "rsparse evaluate imgs/ -m m.onnx -a bim:eps=8 --defense median --scenario gray-box \\",
    "  --scenario transfer:model=other.onnx -o eval/",
    "rsparse evaluate imgs/ -m m.onnx -a bim:eps=2,14,22 --policy default -d dict.h5 \\",
    "  --scenario gray-box --scenario black-box:model=retrained.onnx \\",
    "  --scenario adversarial-training:model=adversarial.onnx -o eval/",
)
def evaluate(
    *,
    images: Annotated[
        list[Path],
        typer.Argument(
            metavar="IMAGES|PLAN",
            help="Folders or images to judge; or a plan, a file ending in .toml with the same "
            "options as keys.",
            show_default=False,
        ),
    ],
    model: Annotated[
        Path | None,
        path_option("FILE", "The classifier to judge, an ONNX file.", "--model", "-m"),
    ] = None,
    attacks: Annotated[
        _Texts,
        typer.Option(
            "--attack", "-a", metavar="NAME:PARAMETER=VALUE,…", help="As for rsparse attack."
        ),
    ] = None,
    defenses: Annotated[
        _Texts,
        typer.Option(
            "--defense",
            metavar="NAME:PARAMETER=VALUE,…",
            help="As for rsparse purify; none, the undefended model, is always among them.",
        ),
    ] = None,
    policies: PolicyNames = None,
    dictionaries: Dictionaries = None,
    labels: Annotated[
        Path | None,
        labels_option(FOUND_LABELS),
    ] = None,
    scenarios: Annotated[
        _Texts,
        typer.Option(
            "--scenario",
            metavar="NAME:model=FILE,…",
            show_default="gray-box",
            help="What the attacker knows: gray-box, the model; transfer:model=FILE, another one; "
            "black-box:model=FILE, the model before it was retrained as FILE; "
            "extended-gray-box:model=FILE, the retrained one; "
            "adversarial-training:model=FILE and adversarial-training-black-box:model=FILE, the "
            "same of an adversarially trained one. preset=NAME is --preset of FILE.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        output_option("FOLDER", "Folder for the evaluation and everything that it is made from."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and its cost, and stop.")
    ] = False,
    parameters: EvaluateParameters,
    input_options: InputOptions,
    workers: Workers,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Judge defenses: every attack behind every defense, with intervals, tests and checks.

    Attacks the images, cleans them by each defense, classifies them, and compares. What is in the
    output already is not done again, so an interrupted run goes on, and an added defense reuses
    the attacks.
    """
    given = {
        "--model": model,
        "--attack": attacks,
        "--defense": defenses,
        "--policy": policies,
        "--dict": dictionaries,
        "--labels": labels,
        "--scenario": scenarios,
    }
    if len(images) == 1 and images[0].suffix.lower() == ".toml":
        plan = _plan_from_file(images[0], output, parameters, input_options, given)
    else:
        plan = _plan_from_options(images, output, parameters, input_options, given)
    tell_ignored_levels(plan.dictionaries, plan.defenses)
    from rsparse.commands.evaluate.estimate import estimate_cost
    from rsparse.commands.evaluate.evaluate import run_matrix
    from rsparse.commands.evaluate.layout import Matrix

    watch, matrix = Stopwatch(), Matrix(plan, workers)
    cost = estimate_cost(matrix, workers, overwrite)
    print_plan(plan, cost)
    if dry_run:
        typer.echo(to_json(cost.as_json()) if as_json else str(plan.output))
        return
    with progress_bar() as progress:
        outcome = run_matrix(matrix, workers=workers, overwrite=overwrite, progress=progress)
    assert outcome.evaluation is not None
    print_judged_again(outcome.judged_again)
    print_results(outcome.evaluation, watch)
    finish(outcome, as_json)


def _plan_from_file(
    path: Path,
    output: Path | None,
    parameters: EvaluateParameters,
    input_options: InputOptions,
    given: Mapping[str, Any],
) -> Plan:
    from rsparse.evaluation.plan_file import read_plan

    default = EvaluateParameters()
    given_options = [name for name, value in given.items() if value]
    given_options += [
        f"--{field.name.replace('_', '-')}"
        for field in dataclasses.fields(parameters)
        if getattr(parameters, field.name) != getattr(default, field.name)
    ]
    given_options += [f"--{name}" for name in input_options.options()]
    if given_options:
        raise InputError(f"{given_options[0]} belongs into the plan {path}")
    return read_plan(path, output)


def _plan_from_options(
    images: list[Path],
    output: Path | None,
    parameters: EvaluateParameters,
    input_options: InputOptions,
    given: Mapping[str, Any],
) -> Plan:
    from rsparse.defenses import parse_defenses
    from rsparse.evaluation.model_choice import ModelChoice
    from rsparse.evaluation.plan import Plan, parse_attacks
    from rsparse.evaluation.scenarios import parse_scenarios

    def texts(name: str) -> list[str]:
        return list(given[name] or [])

    if given["--model"] is None:
        raise InputError("name the classifier with --model, or give a plan (.toml)")
    if output is None:
        raise InputError("name the output folder with -o")
    return Plan(
        images=tuple(images),
        labels=given["--labels"],
        model=ModelChoice(given["--model"], input_options),
        attacks=parse_attacks(texts("--attack")),
        defenses=parse_defenses(texts("--defense"), texts("--policy")),
        output=output,
        scenarios=parse_scenarios(texts("--scenario")),
        dictionaries=named_files(texts("--dict")),
        parameters=parameters,
    )
