"""The command ``rsparse show``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rsparse.cli.command import command
from rsparse.cli.console import answer_json, cell
from rsparse.cli.generated import argument
from rsparse.cli.options import Json
from rsparse.errors import InputError, one_line

if TYPE_CHECKING:
    from rich.tree import Tree

    from rsparse.defenses import Defense


@command(
    "rsparse show dict.h5",
    "rsparse show adv-purified/",
    "rsparse show retrained.onnx",
    "rsparse show adv-purified/ --json | jq .inputs",
)
def show(
    artifact: Annotated[
        Path,
        argument(
            "ARTIFACT",
            "HDF5 or CSV artifact, folder of images, of an evaluation or of certificates, or ONNX "
            "model that rsparse wrote.",
        ),
    ],
    as_json: Json = False,
) -> None:
    """Print how an artifact was made: command, options and inputs.

    A record contains the records of its inputs, so the tree shows the whole history.
    """
    from rsparse.commands.show import read_record

    record = read_record(artifact)
    if as_json:
        answer_json(record)
        return
    from rich.console import Console

    width = None if sys.stdout.isatty() else 100_000  # lines are not broken in a pipe
    console = Console(highlight=False, emoji=False, width=width)
    console.print(_tree(artifact.absolute().name, record))


def _tree(name: str, record: dict[str, Any], parent: Tree | None = None) -> Tree:
    from rich.text import Text
    from rich.tree import Tree

    title = Text.assemble(
        cell(one_line(name), "bold"),
        cell(f"  {_title(record)}"),
    )
    branch = Tree(title) if parent is None else parent.add(title)
    for key, value in sorted(_flat(record.get("parameters", {})).items()):
        branch.add(cell(one_line(f"{key} = {value}")))
    for key, value in sorted(record.get("contents", {}).items()):
        branch.add(cell(one_line(f"{key}: {value}")))
    for source in record.get("inputs", ()):
        digest = cell(f"sha256 {source['sha256'][:16]}…")
        if isinstance(source.get("record"), dict):
            _tree(source["name"], source["record"], branch).add(digest)
        else:
            branch.add(Text.assemble(cell(one_line(source["name"]), "bold"), "  ", digest))
    return branch


def _title(record: dict[str, Any]) -> str:
    """Format and version, the stage and its method's version, and the release, as far as known."""
    version = f" {record['format_version']}" if "format_version" in record else ""
    method = f" (method {record['method']})" if "method" in record else ""
    release = f" of {record['generator']}" if "generator" in record else ""
    return f"{record['format']}{version}, by {record['stage']}{method}{release}"


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested parameters as one level; policies and lists of defenses as specs, with their rules."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if key == "denoiser" and (spec := _denoiser(value)):
            flat[prefix + key] = spec
        elif defenses := _defenses(value):
            flat[prefix + key] = ", ".join(defense.spec for defense in defenses)
            for defense in defenses:
                policy = f"{defense.spec}, " if len(defenses) > 1 else ""
                for number, rule in enumerate(defense.details, 1):
                    flat[f"{prefix}{key}, {policy}rule {number}"] = rule
        elif isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _denoiser(value: Any) -> str | None:
    """The spec of a denoiser's record; None if this version does not know it."""
    from rsparse.denoisers import denoiser_of

    try:
        return denoiser_of(value).spec
    except InputError:
        return None


def _defenses(value: Any) -> list[Defense]:
    """The defenses in a value, if it is a list of defenses or contains a policy."""
    from rsparse.defenses.recorded import defense_of

    records = value if isinstance(value, list) else [value]
    if not all(isinstance(record, dict) and "name" in record for record in records):
        return []
    try:
        defenses = [defense_of(record) for record in records]
    except InputError:
        return []
    return defenses if isinstance(value, list) or defenses[0].details else []
