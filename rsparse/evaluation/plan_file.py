"""Read ``plan.toml``: its keys are the options of ``rsparse evaluate``.

Paths are relative to the folder of the file.
"""

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
from rsparse.options.labels import LabelOptions
from rsparse.options.renamed import new_spelling
from rsparse.options.specs import hint_of, named_folders
from rsparse.store.files import read_toml
from rsparse.store.published import dictionary_files

_PARAMETERS = {
    field.name.replace("_", "-"): field.name for field in dataclasses.fields(EvaluateParameters)
}
_KEYS = (
    "images",
    "labels",
    "first-class",
    "model",
    "attack",
    "defense",
    "policy",
    "dict",
    "adversarial",
    "scenario",
    "detector",
    "output",
    *_PARAMETERS,
)
_MODEL_KEYS = ("file", *INPUT_OPTIONS)


def read_plan(path: Path, output: Path | None = None) -> Plan:
    """Read the plan in a TOML file.

    Parameters
    ----------
    path : Path
    output : Path, optional
        Overrides the output in the file.

    Raises
    ------
    InputError
        If the file is not valid TOML, a key is unknown (the message suggests the nearest one) or
        missing, or a value is invalid.
    """
    content = read_toml(path)
    if _has_nul(content):
        raise InputError(f"{path}: a text in it contains the character NUL")
    try:
        return _plan(_checked_keys(content, _KEYS), path.parent, output)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _has_nul(value: Any) -> bool:
    """Whether a text in a TOML value contains the character NUL, which no path can."""
    if isinstance(value, dict):
        return any(map(_has_nul, (*value.keys(), *value.values())))
    if isinstance(value, list):
        return any(map(_has_nul, value))
    return isinstance(value, str) and "\0" in value


def _plan(values: Mapping[str, Any], folder: Path, output: Path | None) -> Plan:
    needed = ("images", "model", *(() if "adversarial" in values else ("attack",)))
    for key in needed:
        if key not in values:
            raise InputError(f"the key {key} is missing")
    if output is None and "output" not in values:
        raise InputError("the key output is missing; add it, or pass -o")
    return Plan(
        images=tuple(folder / text for text in _texts(values, "images")),
        labels=LabelOptions(
            folder / _text(values, "labels") if "labels" in values else None,
            values.get("first-class"),
        ),
        model=_model(values["model"], folder, "model"),
        attacks=parse_attacks(_texts(values, "attack")),
        defenses=parse_defenses(_texts(values, "defense"), _texts(values, "policy"), folder),
        output=output if output is not None else folder / _text(values, "output"),
        scenarios=_scenarios(values.get("scenario", []), folder),
        dictionaries=dictionary_files(_texts(values, "dict"), folder),
        adversarial=named_folders(_texts(values, "adversarial"), folder),
        detector=folder / _text(values, "detector") if "detector" in values else None,
        parameters=EvaluateParameters(
            **{field: values[key] for key, field in _PARAMETERS.items() if key in values}
        ),
    )


def _checked_keys(table: Mapping[str, Any], known: Iterable[str]) -> dict[str, Any]:
    """The table with dashes instead of underscores in its keys; every key must be known."""
    names, checked = list(known), {}
    for key, value in table.items():
        name = key.replace("_", "-")
        if name not in names:
            new = _new_key(name, names)
            if new is not None:
                raise InputError(f"{key} is now {new}")
            if name in INPUT_OPTIONS and "model" in names:
                raise InputError(
                    f"{key}: belongs in a table [model], beside its file; for the model of a "
                    "scenario, in the scenario"
                )
            raise InputError(f"unknown key {key!r}; {hint_of(name, names)}")
        checked[name] = value
    return checked


def _new_key(old: str, known: Iterable[str]) -> str | None:
    """The new spelling of an old key, or None; options that are not keys do not count."""
    new = new_spelling(f"plan {old}")
    if new is not None:
        return new
    key = (new_spelling(f"evaluate --{old}", f"--{old}") or "").removeprefix("--")
    return key if key in (*known, *INPUT_OPTIONS) else None


def _text(values: Mapping[str, Any], key: str) -> str:
    if not isinstance(values[key], str):
        raise InputError(f"{key}: expected a string, got {values[key]!r}")
    return str(values[key])


def _texts(values: Mapping[str, Any], key: str) -> list[str]:
    """A string or a list of strings, as a list; empty if the key is missing."""
    value = values.get(key, [])
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in texts):
        raise InputError(f"{key}: expected a string or a list of strings, got {value!r}")
    return texts


def _scenarios(value: Any, folder: Path) -> tuple[Scenario, ...]:
    """The scenarios from specs, or from tables with ``name`` and parameters."""
    scenarios: list[Scenario] = []
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, str):
            scenarios += parse_scenarios([item], folder)
        elif isinstance(item, dict):
            scenarios += _scenarios_of_table(item, folder)
        else:
            raise InputError(f"scenario: expected a string or a table, got {item!r}")
    return tuple(scenarios)


def _scenarios_of_table(table: Mapping[str, Any], folder: Path) -> list[Scenario]:
    """The scenario of a table; if ``model`` is a list, one for each model."""
    if "name" not in table:
        raise InputError("scenario: the key name is missing")
    scenario = find_scenario(_text(table, "name"))
    fields = {field.name.replace("_", "-"): field for field in dataclasses.fields(scenario)}
    try:
        given = _checked_keys(table, ("name", *fields))
        if "model" in fields and "model" not in given:
            raise InputError(f"{scenario.name}: the key model is missing")
        models = given.get("model", [""])
        values = {
            fields[key].name: _as_parameter(fields[key], value)
            for key, value in given.items()
            if key not in ("name", "model")
        }
        return [
            scenario(**values, **({"model": model} if "model" in given else {})).in_folder(folder)
            for model in (models if isinstance(models, list) else [models])
        ]
    except InputError as error:
        raise InputError(f"scenario: {error}") from None


def _as_parameter(field: dataclasses.Field[Any], value: Any) -> Any:
    """Convert a TOML value to the parameter's type: numbers become text for a text parameter."""
    if field_type(field) is not str or not isinstance(value, int | float | list):
        return value
    between = "x" if field.name == "input_size" else ","
    return between.join(map(str, value)) if isinstance(value, list) else str(value)


def _model(value: Any, folder: Path, key: str) -> ModelChoice:
    """A model from its file name, or from a table with its file and input options."""
    if isinstance(value, str):
        return ModelChoice(folder / value)
    if not isinstance(value, dict):
        raise InputError(f"{key}: expected a file or a table, got {value!r}")
    try:
        table = _checked_keys(value, _MODEL_KEYS)
        if "file" not in table:
            raise InputError("the key file is missing")
        values = {key: value for key, value in table.items() if key != "file"}
        options = read_input_options(values, folder) if values else None
        return ModelChoice(folder / _text(table, "file"), options)
    except InputError as error:
        raise InputError(f"{key}: {error}") from None
