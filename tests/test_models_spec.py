"""How a classifier wants its input, and where that is said."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rsparse.models.fields import parse_size, parse_triple, read_class_names
from rsparse.models.spec import METADATA_KEY, PRESETS, InputOptions, InputSpec, resolve_input_spec
from tests.onnx_models import ConvNet
from tests.refusals import refused

HALF = (0.5, 0.5, 0.5)


def test_importing_the_spec_imports_nothing_heavy() -> None:
    code = (
        "import sys, rsparse.models.spec; "
        "print(*sorted({'numpy', 'onnx', 'cv2', 'torch', 'PIL'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""


def test_json_round_trip() -> None:
    spec = InputSpec((2, 3), HALF, (1, 2, 3), 255, "bgr", "NHWC", 1, ("a", "b"))
    assert InputSpec.from_json(spec.to_json(), "x") == spec
    assert spec.to_json() == InputSpec.from_json(spec.to_json(), "x").to_json()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "x: is not JSON"),
        ("[" * 100_000, "x: is not JSON"),
        ("[]", "x: expected a JSON object"),
        (
            '{"sise": [1, 2]}',
            "x: unknown field 'sise'; expected some of size, mean, std, range, channels, layout, "
            "class_offset, labels",
        ),
        ('{"size": [1, 2.5]}', "x: size: expected height and width from 1 to 8192, got [1, 2.5]"),
        ('{"size": [0, 2]}', "x: size: expected height and width from 1 to 8192, got [0, 2]"),
        ('{"size": 299}', "x: size: expected height and width from 1 to 8192, got 299"),
        ('{"mean": [1, 2]}', "x: mean: expected three numbers, got [1, 2]"),
        ('{"mean": [1, 2, NaN]}', "x: mean: expected three numbers, got [1, 2, nan]"),
        ('{"std": [1, 0, 1]}', "x: std: expected three numbers above 0, got [1, 0, 1]"),
        ('{"range": true}', "x: range: expected a number above 0, got True"),
        ('{"channels": "grb"}', "x: channels: expected rgb or bgr, got 'grb'"),
        ('{"layout": "CHW"}', "x: layout: expected NCHW or NHWC, got 'CHW'"),
        ('{"class_offset": -1}', "x: class-offset: expected a whole number of 0 or more, got -1"),
        ('{"labels": "cat"}', "x: class-names: expected a list of class names, got 'cat'"),
        ('{"labels": []}', "x: class-names: expected a list of class names, got []"),
    ],
)  # fmt: skip
def test_bad_json(text: str, message: str) -> None:
    with refused(message):
        InputSpec.from_json(text, "x")


def test_sources_in_their_order(tmp_path: Path) -> None:
    said = {"size": [12, 10], "mean": [1, 1, 1], "std": [2, 2, 2], "range": 9, "channels": "bgr"}
    path = ConvNet(metadata={METADATA_KEY: json.dumps(said)}).save(tmp_path / "m.onnx")
    spec, sources = resolve_input_spec(path)
    assert spec == InputSpec((12, 10), (1, 1, 1), (2, 2, 2), 9, "bgr")
    assert set(sources.values()) == {"metadata", "graph", "default"}
    assert sources["layout"] == "graph"

    (tmp_path / "m.onnx.json").write_text('{"std": [4, 4, 4], "class_offset": 1}')
    spec, sources = resolve_input_spec(path, InputOptions(range=7))
    assert (spec.mean, spec.std, spec.range, spec.class_offset) == ((1, 1, 1), (4, 4, 4), 7, 1)
    assert (sources["mean"], sources["std"]) == ("metadata", "sidecar m.onnx.json")
    assert sources["range"] == "--range"

    spec, sources = resolve_input_spec(path, InputOptions(preset="imagenet-torch", mean=HALF))
    assert (spec.mean, spec.std) == (HALF, PRESETS["imagenet-torch"]["std"])
    assert spec.size == (12, 10), "a preset's size yields to the graph's"
    assert (sources["std"], sources["channels"]) == ("preset imagenet-torch", "metadata")


def test_a_preset_gives_the_size_of_an_open_graph(tmp_path: Path) -> None:
    path = ConvNet(open_size=True).save(tmp_path / "m.onnx")
    spec, sources = resolve_input_spec(path, InputOptions(preset="mobilenet-v2"))
    assert (spec.size, sources["size"]) == ((224, 224), "preset mobilenet-v2")
    with refused(f"{path}: takes images of any size; say which with --size 224"):
        resolve_input_spec(path, InputOptions(preset="unit"))


def test_an_untagged_model_says_how(tmp_path: Path) -> None:
    path = ConvNet().save(tmp_path / "m.onnx")
    message = (
        f"{path}: does not say how it wants its input; pass --preset (inception-v3, mobilenet-v2, "
        "imagenet-torch, unit) or --mean, --std and --range, or write them into the file once "
        "with 'rsparse model tag'"
    )
    with refused(message):
        resolve_input_spec(path, InputOptions(size=(12, 10), channels="bgr"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (InputOptions("unit", size=(8, 8)), "takes 12×10 input, but --size says 8×8"),
        (InputOptions("unit", layout="NHWC"), "takes NCHW input, but --layout says NHWC"),
    ],
)
def test_contradicting_the_graph(tmp_path: Path, options: InputOptions, message: str) -> None:
    path = ConvNet().save(tmp_path / "m.onnx")
    with refused(f"{path}: {message}"):
        resolve_input_spec(path, options)


def test_unknown_preset() -> None:
    message = "preset: expected one of inception-v3, mobilenet-v2, imagenet-torch, unit, got 'vgg'"
    with refused(message):
        InputOptions(preset="vgg")


def test_options_in_text() -> None:
    assert parse_size("299") == (299, 299)
    assert parse_size("224x320") == (224, 320)
    assert parse_triple("mean", "0.5") == HALF
    assert parse_triple("mean", "1, 2,3") == (1, 2, 3)
    with refused(
        "size: expected a side such as 299 or height x width such as 224x320, got '1x2x3'"
    ):
        parse_size("1x2x3")
    with refused("std: expected three numbers above 0, got [0.0, 0.0, 0.0]"):
        parse_triple("std", "0")
    for text in ("1,2", "dark"):
        with refused(f"mean: expected a number or three with commas between, got {text!r}"):
            parse_triple("mean", text)


def test_class_names(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_text("\ufefftench, Tinca tinca\ngoldfish\n", encoding="utf-8")
    assert read_class_names(path) == ("tench, Tinca tinca", "goldfish")
    path.write_text("a\n\nb\n")
    with refused(f"{path}: line 2: expected a class name, got an empty line"):
        read_class_names(path)
    path.write_bytes(b"\xff\xfe\x00")
    with refused(f"{path}: is not a text file in UTF-8"):
        read_class_names(path)
    path.write_bytes(b"")
    with refused(f"{path}: expected class names, one a line; it is empty"):
        read_class_names(path)
    missing = tmp_path / "nowhere"
    with refused(f"{missing}: cannot be read: no such file or directory"):
        read_class_names(missing)
