"""The commands ``rsparse model show`` and ``rsparse model tag``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from rsparse.cli.app import app
from rsparse.cli.command import command
from rsparse.cli.console import answer, answer_json, answer_table, say
from rsparse.cli.generated import argument
from rsparse.cli.groups import QuickGroup
from rsparse.cli.input_options import InputOptions
from rsparse.cli.options import Json, Overwrite, output_option

group = typer.Typer(
    cls=QuickGroup,
    help="Show the input that an ONNX classifier expects, or write it into a copy of the file.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(group, name="model")

ModelFile = Annotated[Path, argument("MODEL", "An ONNX file.")]


@command(
    "rsparse model show m.onnx",
    "rsparse model show m.onnx --preset mobilenet-v2",
    "rsparse model show m.onnx --json | jq .input.mean.source",
    group=group,
)
def show(model: ModelFile, input_options: InputOptions, as_json: Json = False) -> None:
    """Print how rsparse prepares a model's input, with the source of each value.

    The sources, highest precedence first: options, a preset, a sidecar m.onnx.json, metadata in
    the file, the graph, defaults.
    """
    from rsparse.commands.model import describe_model

    description = describe_model(model, input_options)
    if as_json:
        answer_json(description)
    else:
        _print_description(description)
    if description["problem"]:
        say(f"rsparse: not ready: {description['problem']}")


def _print_description(description: dict[str, Any]) -> None:
    given = [
        (name.replace("_", " "), _value_text(name, entry["value"]), entry["source"])
        for name, entry in description["input"].items()
    ]
    rest = [
        ("classes", str(description["classes"] or "–"), ""),
        *((name, str(value), "graph") for name, value in description["graph"].items()),
        ("sha256", description["sha256"][:16] + "…", ""),
    ]
    answer_table(("input", "value", "source"), given, rest, title=description["file"])


def _value_text(name: str, value: Any) -> str:
    if value is None:
        return "–"
    if name == "size":
        return "×".join(str(side) for side in value)
    if name in ("mean", "std"):
        return ", ".join(f"{number:g}" for number in value)
    if name == "labels":
        return f"{len(value)}: {value[0]}, …"
    return f"{value:g}" if isinstance(value, float) else str(value)


@command(
    "rsparse model tag m.onnx -o tagged.onnx --preset inception-v3",
    "rsparse model tag m.onnx -o tagged.onnx --input-size 224 --mean 0.485,0.456,0.406 \\",
    "    --std 0.229,0.224,0.225 --class-names imagenet_labels.txt",
    group=group,
)
def tag(
    model: ModelFile,
    output: Annotated[Path, output_option("FILE", "File for the tagged copy (ONNX).")],
    input_options: InputOptions,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Write a copy of a model that describes its own input.

    Later commands then need no options for it. The graph and its weights do not change.
    """
    from rsparse.commands.model import tag_model

    spec = tag_model(model, output, input_options, overwrite=overwrite)
    record = {"output": str(output), "input": spec.as_record()}
    if as_json:
        answer_json(record)
    else:
        answer(output)
