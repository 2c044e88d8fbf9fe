"""The command ``rsparse evaluate``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rsparse.cli import completion
from rsparse.cli.command import command
from rsparse.cli.console import (
    Stopwatch,
    answer,
    answer_json,
    finish,
    progress_bar,
    say,
    tell_of_embedded,
    warn_of_ignored_levels,
)
from rsparse.cli.evaluate_tables import print_judged_again, print_plan, print_results
from rsparse.cli.generated import argument, option
from rsparse.cli.help import DETAILS
from rsparse.cli.input_options import InputOptions
from rsparse.cli.label_options import LabelOptions
from rsparse.cli.options import (
    Dictionaries,
    Json,
    Overwrite,
    PolicyNames,
    Required,
    output_option,
    path_option,
)
from rsparse.errors import InputError
from rsparse.options.evaluate import EvaluateParameters
from rsparse.options.sections import ATTACK, INPUT_OUTPUT, RUNNING
from rsparse.options.specs import named_folders
from rsparse.store.published import dictionary_files
from rsparse.work.workers import Workers

if TYPE_CHECKING:
    from rsparse.commands.evaluate.outcome import EvaluateOutcome
    from rsparse.evaluation.plan import Plan

_Texts = list[str] | None


@command(
    "rsparse evaluate imgs/ -m m.onnx -a bim:eps=2,8 --policy default -o eval/",
    "rsparse evaluate imgs/ -m m.onnx -a bim:eps=1,2,4,8 --policy default \\",
    "  --scenario adaptive -o eval/",
    "rsparse evaluate plan.toml --dry-run",
    "rsparse evaluate plan.toml --jobs 2 --require 'adaptive.eps=2>=0.1'",
    "rsparse evaluate imgs/ --labels labels.csv -m m.onnx -a fgsm:eps=2,10,22 \\",
    "  -a cw-l2:d=.05 --policy default --defense jpeg:quality=20,75 -d dict.h5 -o eval/",
    "rsparse evaluate imgs/ -m m.onnx -a bim:eps=8 --defense median --scenario gray-box \\",
    "  --scenario transfer:model=other.onnx -o eval/",
    "rsparse evaluate imgs/ -m m.onnx --adversarial patch=patched/ --defense jpeg -o eval/",
    "rsparse evaluate imgs/ -m m.onnx -a bim:eps=8 --defense jpeg --detector reference.h5 -o eval/",
    "rsparse evaluate imgs/ -m m.onnx -a bim:eps=2,14,22 --policy default -d dict.h5 \\",
    "  --scenario gray-box --scenario black-box:model=retrained.onnx \\",
    "  --scenario adversarial-training:model=adversarial.onnx -o eval/",
)
def evaluate(
    *,
    images: Annotated[
        list[Path],
        argument(
            "IMAGES|PLAN",
            "Folders or images to evaluate on; or a plan, a .toml file with the options' names as "
            "keys.",
        ),
    ],
    model: Annotated[
        Path | None,
        path_option("FILE", "The classifier to defend, an ONNX file.", "--model", "-m"),
    ] = None,
    attacks: Annotated[
        _Texts,
        option(
            "SPEC",
            "An attack to run, such as bim:eps=8, as in 'rsparse attack'; several times for more.",
            "--attack",
            "-a",
            complete=completion.ATTACKS,
            section=ATTACK,
        ),
    ] = None,
    defenses: Annotated[
        _Texts,
        option(
            "SPEC",
            "A defense to evaluate, such as jpeg:quality=75, as in 'rsparse purify'; several times "
            f"for more.{DETAILS}The undefended model, none, is always included.",
            "--defense",
            complete=completion.DEFENSES,
        ),
    ] = None,
    policies: PolicyNames = None,
    dictionaries: Dictionaries = None,
    labels: LabelOptions,
    scenarios: Annotated[
        _Texts,
        option(
            "SPEC",
            "What the attacker knows. gray-box: the model. adaptive: the defense, too, and "
            "attacks through it. transfer:model=FILE: another model."
            f"{DETAILS}black-box:model=FILE: the "
            "model before it was retrained as FILE. extended-gray-box:model=FILE: the retrained "
            "model. adversarial-training:model=FILE "
            "and adversarial-training-black-box:model=FILE: the same for an adversarially trained "
            "model. preset=NAME is the --preset of FILE.  [default: gray-box]",
            "--scenario",
            complete=completion.SCENARIOS,
            section=ATTACK,
        ),
    ] = None,
    adversarial: Annotated[
        _Texts,
        option(
            "[NAME=]FOLDER",
            "Adversarial images that another program made from IMAGES, with the same file names; "
            "can be given several times. They are judged behind every defense, with their change "
            "measured.",
            "--adversarial",
            section=ATTACK,
            rare=True,
        ),
    ] = None,
    detector: Annotated[
        Path | None,
        path_option(
            "FILE",
            "A reference made by rsparse detect --calibrate. The detector sees every image before "
            "the defenses; an image that it rejects counts as neither right nor fooled.",
            rare=True,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        output_option("FOLDER", "Folder for the evaluation."),
    ] = None,
    dry_run: Annotated[
        bool,
        option(
            None, "Print the plan and its estimated time, then stop.", "--dry-run", section=RUNNING
        ),
    ] = False,
    parameters: EvaluateParameters,
    input_options: InputOptions,
    workers: Workers,
    trackers: Annotated[
        _Texts,
        option(
            "mlflow:ADDRESS|tensorboard:FOLDER",
            "Also send the results to a tracker of experiments, through its own client; can be "
            "given several times.",
            "--log",
            complete=completion.complete_words(["mlflow:", "tensorboard:"]),
            section=INPUT_OUTPUT,
            rare=True,
        ),
    ] = None,
    per_class: Annotated[
        bool,
        option(
            None,
            "Also print the accuracy of each class.",
            "--per-class",
            section=INPUT_OUTPUT,
            rare=True,
        ),
    ] = False,
    required: Required = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Evaluate defenses: every attack against every defense.

    This command attacks the images, cleans them with each defense, classifies them and compares
    the results, with intervals, tests and checks. It reuses what the output folder already holds:
    an interrupted run continues.
    """
    from rsparse.evaluation.requirements import parse_requirement

    requirements = [parse_requirement(text) for text in required or []]
    given = {
        "--model": model,
        "--attack": attacks,
        "--defense": defenses,
        "--policy": policies,
        "--dict": dictionaries,
        "--labels": labels.file,
        "--first-class": labels.first_class,
        "--scenario": scenarios,
        "--adversarial": adversarial,
        "--detector": detector,
    }
    plan = _plan_of(images, output, parameters, input_options, given)
    warn_of_ignored_levels(plan.dictionaries, plan.defenses)
    from rsparse.report.trackers import Tracked, open_trackers

    opened = open_trackers(trackers or [])
    from rsparse.commands.evaluate.early import refuse_early
    from rsparse.commands.evaluate.estimate import estimate_cost
    from rsparse.commands.evaluate.evaluate import run_matrix
    from rsparse.commands.evaluate.layout import Matrix

    watch, matrix = Stopwatch(), Matrix(plan, workers)
    refuse_early(matrix, requirements)
    cost = estimate_cost(matrix, workers, overwrite)
    print_plan(plan, cost)
    if dry_run:
        answer_json(cost.as_json()) if as_json else answer(plan.output)
        return
    with progress_bar() as progress:
        outcome = run_matrix(matrix, workers=workers, overwrite=overwrite, progress=progress)
    assert outcome.evaluation is not None
    print_judged_again(outcome.judged_again)
    tell_of_embedded(plan.dictionaries, plan.defenses)
    print_results(outcome.evaluation, watch, per_class)
    for tracker in opened:
        say(f"logged: {tracker.send(Tracked.of(outcome.evaluation, plan.output))}")
    outcome.judge(requirements)
    _finish(outcome, as_json)


def _finish(outcome: EvaluateOutcome, as_json: bool) -> None:
    """Tell whether the requirements are met, and exit with code 1 if one is not."""
    for each in outcome.requirements:
        say(each.sentence)
    finish(outcome, as_json)
    if not all(each.is_met for each in outcome.requirements):
        raise typer.Exit(1)


def _plan_from_file(
    path: Path,
    output: Path | None,
    parameters: EvaluateParameters,
    input_options: InputOptions,
    given: Mapping[str, Any],
) -> Plan:
    from rsparse.evaluation.plan_file import read_plan

    default = EvaluateParameters()
    given_options = [name for name, value in given.items() if value not in (None, [])]
    given_options += [
        f"--{field.name.replace('_', '-')}"
        for field in dataclasses.fields(parameters)
        if getattr(parameters, field.name) != getattr(default, field.name)
    ]
    given_options += [f"--{name}" for name in input_options.options()]
    if given_options:
        raise InputError(
            f"{given_options[0]} and a plan cannot be used together; set it in the plan {path}"
        )
    return read_plan(path, output)


def _plan_of(
    images: list[Path],
    output: Path | None,
    parameters: EvaluateParameters,
    input_options: InputOptions,
    given: Mapping[str, Any],
) -> Plan:
    """The plan in a file, or from options."""
    if len(images) == 1 and images[0].suffix.lower() == ".toml":
        return _plan_from_file(images[0], output, parameters, input_options, given)
    for image in images:
        if image.suffix.lower() == ".toml" and not image.is_dir():
            raise InputError(f"{image}: is no image; a plan is given alone, without images")
    from rsparse.defenses import parse_defenses
    from rsparse.evaluation.model_choice import ModelChoice
    from rsparse.evaluation.plan import Plan, parse_attacks
    from rsparse.evaluation.scenarios import parse_scenarios

    def texts(name: str) -> list[str]:
        return list(given[name] or [])

    if given["--model"] is None:
        raise InputError("--model is missing; name the classifier, or give a plan (.toml)")
    if output is None:
        raise InputError("--output (-o) is missing; name the output folder")
    return Plan(
        images=tuple(images),
        labels=LabelOptions(given["--labels"], given["--first-class"]),
        model=ModelChoice(given["--model"], input_options),
        attacks=parse_attacks(texts("--attack")),
        defenses=parse_defenses(texts("--defense"), texts("--policy")),
        output=output,
        scenarios=parse_scenarios(texts("--scenario")),
        dictionaries=dictionary_files(texts("--dict")),
        adversarial=named_folders(texts("--adversarial")),
        detector=given["--detector"],
        parameters=parameters,
    )
