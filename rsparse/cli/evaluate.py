"""The command ``rsparse evaluate``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rsparse.cli.command import command
from rsparse.cli.console import Stopwatch, finish, progress_bar, to_json
from rsparse.cli.evaluate_tables import print_plan, print_results
from rsparse.cli.options import (
    FOUND_LABELS,
    Dictionaries,
    Json,
    Overwrite,
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
    from rsparse.evaluation.plan import ModelChoice, Plan

_Paths = list[Path] | None
_Texts = list[str] | None


@command(
    "rsparse evaluate imgs/ --labels labels.csv -m m.onnx -a fgsm:eps=2,10,22 \\",
    "  -a cw-l2:d=.05 --defense regionsparse --defense jpeg:quality=20,75 -d dict.h5 -o eval/",
    "rsparse evaluate plan.toml --dry-run",
    "rsparse evaluate plan.toml --jobs 2",
    "rsparse evaluate imgs/ -m m.onnx -a bim:eps=8 --defense median --scenario gray-box \\",
    "  --scenario transfer --source-model other.onnx -o eval/",
    "rsparse evaluate imgs/ -m m.onnx -a bim:eps=2,14,22 --defense regionsparse -d dict.h5 \\",
    "  --scenario gray-box --scenario black-box --scenario extended-gray-box \\",
    "  --retrained retrained.onnx --adversarial-training adversarial.onnx -o eval/",
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
    dictionaries: Dictionaries = None,
    labels: Annotated[
        Path | None,
        labels_option(FOUND_LABELS),
    ] = None,
    scenarios: Annotated[
        _Texts,
        typer.Option(
            "--scenario",
            metavar="NAME",
            show_default="gray-box",
            help="gray-box: attack the undefended model; transfer: attack the source models; "
            "black-box: attack the model, judge the retrained ones; extended-gray-box: attack "
            "and judge the retrained ones.",
        ),
    ] = None,
    source_models: Annotated[
        _Paths,
        typer.Option(
            "--source-model", metavar="FILE", help="Model to attack in scenario transfer."
        ),
    ] = None,
    source_presets: Annotated[
        _Texts,
        typer.Option(
            "--source-preset",
            metavar="NAME",
            help="--preset of the source model; of several, one for each in their order.",
        ),
    ] = None,
    retrained: Annotated[
        _Paths,
        typer.Option(
            metavar="FILE",
            help="Model that rsparse train made of the judged one, for the scenarios black-box "
            "and extended-gray-box. Its input is told by its tag.",
        ),
    ] = None,
    adversarial_training: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Adversarially trained model; adds the scenario adversarial-training, in which "
            "it is attacked and judged. In adversarial-training-black-box it judges attacks on "
            "the original.",
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
        "--dict": dictionaries,
        "--labels": labels,
        "--scenario": scenarios,
        "--source-model": source_models,
        "--source-preset": source_presets,
        "--retrained": retrained,
        "--adversarial-training": adversarial_training,
    }
    if len(images) == 1 and images[0].suffix.lower() == ".toml":
        plan = _plan_from_file(images[0], output, parameters, input_options, given)
    else:
        plan = _plan_from_options(images, output, parameters, input_options, given)
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
    said = [name for name, value in given.items() if value]
    said += [
        f"--{field.name.replace('_', '-')}"
        for field in dataclasses.fields(parameters)
        if getattr(parameters, field.name) != getattr(default, field.name)
    ]
    said += [f"--{name}" for name in input_options.options()]
    if said:
        raise InputError(f"{said[0]} belongs into the plan {path}")
    return read_plan(path, output)


def _plan_from_options(
    images: list[Path],
    output: Path | None,
    parameters: EvaluateParameters,
    input_options: InputOptions,
    given: Mapping[str, Any],
) -> Plan:
    from rsparse.evaluation.plan import (
        ModelChoice,
        Plan,
        parse_attacks,
        parse_defenses,
    )
    from rsparse.evaluation.scenarios import ADVERSARIAL, RETRAINED, SOURCE, find_scenario

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
        defenses=parse_defenses(texts("--defense")),
        output=output,
        scenarios=tuple(map(find_scenario, texts("--scenario"))),
        others={
            SOURCE: _sources(given["--source-model"] or [], texts("--source-preset")),
            RETRAINED: tuple(map(ModelChoice, given["--retrained"] or [])),
            ADVERSARIAL: tuple(
                map(ModelChoice, [path for path in [given["--adversarial-training"]] if path])
            ),
        },
        dictionaries=named_files(texts("--dict")),
        parameters=parameters,
    )


def _sources(paths: list[Path], presets: list[str]) -> tuple[ModelChoice, ...]:
    """The source models, each with its preset; one preset is for all."""
    from rsparse.evaluation.plan import ModelChoice

    if len(presets) not in (0, 1, len(paths)):
        raise InputError(
            f"--source-preset: expected one, or one for each of {len(paths)} --source-model, "
            f"got {len(presets)}"
        )
    said: list[str | None] = [*presets] if len(presets) > 1 else [*presets] * len(paths)
    options = [InputOptions(preset=preset) for preset in said or [None] * len(paths)]
    return tuple(map(ModelChoice, paths, options))
