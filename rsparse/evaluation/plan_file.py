"""``plan.toml``: the options of ``rsparse evaluate`` as keys, with paths relative to its folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rsparse.defenses import parse_defenses
from rsparse.errors import InputError
from rsparse.evaluation.model_choice import ModelChoice
from rsparse.evaluation.plan import Plan, parse_attacks
from rsparse.evaluation.scenarios import Scenario, find_scenario, parse_scenarios
from rsparse.models.spec import INPUT_OPTIONS, read_input_options
from rsparse.options.evaluate import EvaluateParameters
from rsparse.options.fields import field_type
from rsparse.options.renamed import new_spelling
from rsparse.options.specs import named_files, nearest
from rsparse.store.files import read_toml

_PARAMETERS = {
    field.name.replace("_", "-"): field.name for field in dataclasses.fields(EvaluateParameters)
}
_KEYS = (
    "images",
    "labels",
    "model",
    "attack",
    "defense",
    "policy",
    "dict",
    "scenario",
    "output",
    *_PARAMETERS,
)
_MODEL_KEYS = ("file", *INPUT_OPTIONS)


def read_plan(path: Path, output: Path | None = None) -> Plan:
    """The plan in a TOML file.

    Parameters
    ----------
    path : Path
    output : Path, optional
        Goes before the plan's own.

    Raises
    ------
    InputError
        If it is no TOML file, a key is unknown (the nearest one is named) or missing, or a value
        cannot be used.
    """
    content = read_toml(path)
    try:
        return _plan(_checked_keys(content, _KEYS), path.parent, output)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _plan(values: Mapping[str, Any], folder: Path, output: Path | None) -> Plan:
    for key in ("images", "model", "attack"):
        if key not in values:
            raise InputError(f"lacks {key}")
    if output is None and "output" not in values:
        raise InputError("lacks output; add it, or name the folder with -o")
    return Plan(
        images=tuple(folder / text for text in _texts(values, "images")),
        labels=folder / _text(values, "labels") if "labels" in values else None,
        model=_model(values["model"], folder, "model"),
        attacks=parse_attacks(_texts(values, "attack")),
        defenses=parse_defenses(_texts(values, "defense"), _texts(values, "policy"), folder),
        output=output if output is not None else folder / _text(values, "output"),
        scenarios=_scenarios(values.get("scenario", []), folder),
        dictionaries=named_files(_texts(values, "dict"), folder),
        parameters=EvaluateParameters(
            **{field: values[key] for key, field in _PARAMETERS.items() if key in values}
        ),
    )


def _checked_keys(table: Mapping[str, Any], known: Iterable[str]) -> dict[str, Any]:
    """The table with dashes in its keys, all of which are known."""
    names, found = list(known), {}
    for key, value in table.items():
        name = key.replace("_", "-")
        if name not in names:
            new = new_spelling(f"plan {name}", f"evaluate --{name}", f"--{name}")
            if new is not None:
                raise InputError(f"{key} is now {new.removeprefix('--')}")
            guess = nearest(name, names)
            hint = f"did you mean {guess}? " if guess else ""
            raise InputError(f"unknown key {key!r}; {hint}Known: {', '.join(names)}")
        found[name] = value
    return found


def _text(values: Mapping[str, Any], key: str) -> str:
    if not isinstance(values[key], str):
        raise InputError(f"{key}: expected a text, got {values[key]!r}")
    return str(values[key])


def _texts(values: Mapping[str, Any], key: str) -> list[str]:
    """One text, or a list of them; none where the key is missing."""
    value = values.get(key, [])
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in texts):
        raise InputError(f"{key}: expected a text or a list of texts, got {value!r}")
    return texts


def _scenarios(value: Any, folder: Path) -> tuple[Scenario, ...]:
    """Scenarios by their specs, or by tables of ``name`` and parameters."""
    found: list[Scenario] = []
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, str):
            found += parse_scenarios([item], folder)
        elif isinstance(item, dict):
            found += _scenarios_of_table(item, folder)
        else:
            raise InputError(f"scenario: expected a text or a table, got {item!r}")
    return tuple(found)


def _scenarios_of_table(table: Mapping[str, Any], folder: Path) -> list[Scenario]:
    """The scenario of a table; one for each of its models where they are a list."""
    if "name" not in table:
        raise InputError("scenario: lacks name")
    made = find_scenario(_text(table, "name"))
    fields = {field.name.replace("_", "-"): field for field in dataclasses.fields(made)}
    try:
        given = _checked_keys(table, ("name", *fields))
        if "model" in fields and "model" not in given:
            raise InputError(f"{made.name} lacks model")
        models = given.get("model", [""])
        values = {
            fields[key].name: _as_parameter(fields[key], value)
            for key, value in given.items()
            if key not in ("name", "model")
        }
        return [
            made(**values, **({"model": model} if "model" in given else {})).in_folder(folder)
            for model in (models if isinstance(models, list) else [models])
        ]
    except InputError as error:
        raise InputError(f"scenario: {error}") from None


def _as_parameter(field: dataclasses.Field[Any], value: Any) -> Any:
    """A value of TOML as the parameter takes it: numbers for a text become the text of them."""
    if field_type(field) is not str or not isinstance(value, int | float | list):
        return value
    between = "x" if field.name == "input_size" else ","
    return between.join(map(str, value)) if isinstance(value, list) else str(value)


def _model(value: Any, folder: Path, key: str) -> ModelChoice:
    """A model by its file's name, or by a table of that and of how it wants its input."""
    if isinstance(value, str):
        return ModelChoice(folder / value)
    if not isinstance(value, dict):
        raise InputError(f"{key}: expected a file or a table, got {value!r}")
    try:
        table = _checked_keys(value, _MODEL_KEYS)
        if "file" not in table:
            raise InputError("lacks file")
        values = {key: value for key, value in table.items() if key != "file"}
        options = read_input_options(values, folder) if values else None
        return ModelChoice(folder / _text(table, "file"), options)
    except InputError as error:
        raise InputError(f"{key}: {error}") from None
