"""Find the input that an ONNX model expects, and the source of each field.

The fields come, one by one, from the first source that has them: options, a preset, a sidecar
``model.onnx.json``, metadata inside the file, and the graph itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsparse.errors import InputError, system_error
from rsparse.models.fields import option_of
from rsparse.models.spec import INPUT_FIELDS, PRESETS, InputOptions, InputSpec, fields_from_json

if TYPE_CHECKING:
    from rsparse.models.onnx.file import OnnxFile

METADATA_KEY = "rsparse.input"
SIDECAR_SUFFIX = ".json"


def resolve_input_spec(
    model: Path | OnnxFile, options: InputOptions | None = None
) -> tuple[InputSpec, dict[str, str]]:
    """The input that an ONNX model expects, and the source of each field.

    Parameters
    ----------
    model : Path or OnnxFile
        The file.
    options : InputOptions, optional
        The user's options, which have the highest precedence.

    Returns
    -------
    spec : InputSpec
    sources : dict
        For each field one of ``--mean``, ``preset unit``, ``sidecar model.onnx.json``,
        ``metadata``, ``graph``, ``default``.

    Raises
    ------
    InputError
        If no source defines how pixels are scaled, if the size is unknown, or if a value
        contradicts the graph.
    """
    from rsparse.models.onnx.file import load_onnx
    from rsparse.models.onnx.ports import COLOURS

    if isinstance(model, Path):
        model = load_onnx(model)
    values, sources = known_of_input(model, options)
    if not {"mean", "std", "range"} & sources.keys():
        raise InputError(
            f"{model.path}: does not say how to scale its input; give --preset "
            f"({', '.join(PRESETS)}) or --mean, --std and --input-range, "
            "or write them into the file once with 'rsparse model tag'"
        )
    if "size" not in values:
        raise InputError(f"{model.path}: takes images of any size; choose one: --input-size 224")
    for name in ("layout", "size", "channels"):
        _check_against_graph(model, name, values, sources)
    if values.get("channels") == "grey" and model.n_channels(values.get("layout")) == COLOURS:
        raise InputError(
            f"{model.path}: takes images of {COLOURS} channels, but {sources['channels']} says grey"
        )
    spec = InputSpec(**values)
    _check_whole_numbers(model, spec, sources)
    return spec, {name: sources.get(name, "default") for name in INPUT_FIELDS}


def known_of_input(
    model: OnnxFile, options: InputOptions | None = None
) -> tuple[dict[str, Any], dict[str, str]]:
    """The known fields of a model's input, even if some are missing: values and their sources."""
    options = options or InputOptions()
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for source, fields in _fields_by_source(model, options):
        for name, value in fields.items():
            if value is not None and name not in values:
                values[name] = value
                is_option = source == "option"
                sources[name] = f"--{option_of(INPUT_FIELDS[name])}" if is_option else source
    return values, sources


def overridden(model: OnnxFile, options: InputOptions | None) -> list[str]:
    """What a preset or an option says otherwise than the file's own tag, as sentences about it."""
    given: dict[str, tuple[str, Any]] = {}
    found: dict[str, list[str]] = {}
    for source, fields in _fields_by_source(model, options or InputOptions()):
        for name, value in fields.items():
            if value is None:
                continue
            is_tag = source == "metadata" or source.startswith("sidecar ")
            if is_tag and name in given and given[name][1] != value:
                found.setdefault(given[name][0], []).append(name)
            elif source == "option":
                given.setdefault(name, (f"--{option_of(INPUT_FIELDS[name])}", value))
            elif source.startswith("preset "):
                given.setdefault(name, (f"--{source}", value))
    return [
        f"{option} takes precedence over its tag, which differs in {', '.join(names)}"
        for option, names in found.items()
    ]


def _fields_by_source(model: OnnxFile, options: InputOptions) -> list[tuple[str, dict[str, Any]]]:
    """The fields from each source, highest precedence first."""
    fixed = model.fixed_input()
    found: list[tuple[str, dict[str, Any]]] = [("option", options.given())]
    if options.preset is not None:
        preset = dict(PRESETS[options.preset])
        if "size" in fixed:
            preset.pop("size", None)
        found.append((f"preset {options.preset}", preset))
    sidecar = model.path.with_name(model.path.name + SIDECAR_SUFFIX)
    if sidecar.is_file():
        found.append((f"sidecar {sidecar.name}", read_sidecar(sidecar)))
    if METADATA_KEY in model.metadata:
        where = f"{model.path}: metadata {METADATA_KEY}"
        found.append(("metadata", fields_from_json(model.metadata[METADATA_KEY], where)))
    found.append(("graph", fixed | model.fixed_scaling))
    return found


def _check_against_graph(
    model: OnnxFile, name: str, values: dict[str, Any], sources: dict[str, str]
) -> None:
    fixed = model.fixed_input(values.get("layout"))
    if name in fixed and tuple(fixed[name]) != tuple(values[name]):
        raise InputError(
            f"{model.path}: takes {_value_text(fixed[name])} input, "
            f"but {sources[name]} says {_value_text(values[name])}"
        )


def _check_whole_numbers(model: OnnxFile, spec: InputSpec, sources: dict[str, str]) -> None:
    """Refuse a scaling by which the pixels do not become whole numbers that the input takes."""
    from rsparse.models.onnx.ports import INTEGERS

    if model.input.kind not in INTEGERS:
        return
    least, most = INTEGERS[model.input.kind]
    for mean, std in zip(spec.mean, spec.std, strict=True):
        black, white = (0 - mean) / std, (spec.range - mean) / std
        are_whole = (black % 1, (white - black) % 255) == (0, 0)
        if not (are_whole and white > black and least <= black and white <= most):
            said = " and ".join(
                dict.fromkeys(sources[n] for n in ("range", "mean", "std") if n in sources)
            )
            own = model.fixed_scaling["mean"][0]
            raise InputError(
                f"{model.path}: takes whole numbers ({model.input.kind}), but {said} would scale "
                f"pixels to {black:g}…{white:g}; leave that out for {0 - own:g}…{255 - own:g}"
            )


def _value_text(value: Any) -> str:
    return value if isinstance(value, str) else "×".join(str(side) for side in value)


def read_sidecar(path: Path) -> dict[str, Any]:
    """The fields of a sidecar file."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not JSON") from error
    except OSError as error:
        raise system_error(error, f"{path}: cannot be read") from error
    return fields_from_json(text, str(path))
