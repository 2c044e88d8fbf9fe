"""How a classifier expects its input, and where that is specified."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rsparse.models.class_names import read_class_names
from rsparse.models.fields import option_of, read_fit
from rsparse.models.fit import Fit
from rsparse.models.input_sources import METADATA_KEY, resolve_input_spec
from rsparse.models.spec import (
    INPUT_FIELDS,
    INPUT_OPTIONS,
    PRESETS,
    InputOptions,
    InputSpec,
    read_input_options,
)
from tests.onnx_models import ConvNet
from tests.refusals import refused

HALF = (0.5, 0.5, 0.5)
RESIZE = "squash, or crop:SHARE with a share above 0 and at most 1, such as crop:0.875"


def test_importing_the_spec_imports_nothing_heavy() -> None:
    code = (
        "import sys, rsparse.models.spec; "
        "print(*sorted({'numpy', 'onnx', 'cv2', 'torch', 'PIL'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""


def test_json_round_trip() -> None:
    spec = InputSpec(
        (2, 3), HALF, (1, 2, 3), 255, "bgr", "NHWC", 1, ("a", "b"), "crop:0.875", "out", "logits"
    )  # fmt: skip
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
            "x: unknown field 'sise'; known: size, mean, std, range, channels, layout, "
            "class_offset, labels, resize, scores, score_type",
        ),
        ('{"size": [1, 2.5]}', "x: size: expected height and width from 1 to 8192, got [1, 2.5]"),
        ('{"size": [0, 2]}', "x: size: expected height and width from 1 to 8192, got [0, 2]"),
        ('{"size": 299}', "x: size: expected height and width from 1 to 8192, got 299"),
        ('{"mean": [1, 2]}', "x: mean: expected three numbers, got [1, 2]"),
        ('{"mean": [1, 2, NaN]}', "x: mean: expected three numbers, got [1, 2, nan]"),
        ('{"std": [1, 0, 1]}', "x: std: expected three numbers above 0, got [1, 0, 1]"),
        ('{"range": true}', "x: range: expected a number above 0, got True"),
        ('{"channels": "grb"}', "x: channels: expected rgb, bgr or grey, got 'grb'"),
        ('{"layout": "CHW"}', "x: layout: expected NCHW or NHWC, got 'CHW'"),
        ('{"class_offset": -1}', "x: class_offset: expected a whole number of 0 or more, got -1"),
        ('{"labels": "cat"}', "x: labels: expected a list of class names, got 'cat'"),
        ('{"labels": []}', "x: labels: expected a list of class names, got []"),
        ('{"resize": "crop:0"}', f"x: resize: expected {RESIZE}, got 'crop:0'"),
        ('{"resize": 0.875}', f"x: resize: expected {RESIZE}, got 0.875"),
        ('{"scores": ""}', "x: scores: expected a name, got ''"),
        (
            '{"score_type": "softmax"}',
            "x: score_type: expected logits, probabilities or sigmoids, got 'softmax'",
        ),
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
    assert sources["range"] == "--input-range"

    spec, sources = resolve_input_spec(path, InputOptions(preset="imagenet-torch", mean=HALF))
    assert (spec.mean, spec.std) == (HALF, PRESETS["imagenet-torch"]["std"])
    assert spec.size == (12, 10), "a preset's size yields to the graph's"
    assert (sources["std"], sources["channels"]) == ("preset imagenet-torch", "metadata")


def test_a_preset_gives_the_size_of_an_open_graph(tmp_path: Path) -> None:
    path = ConvNet(open_size=True).save(tmp_path / "m.onnx")
    spec, sources = resolve_input_spec(path, InputOptions(preset="mobilenet-v2"))
    assert (spec.size, sources["size"]) == ((224, 224), "preset mobilenet-v2")
    with refused(f"{path}: takes images of any size; choose one: --input-size 224"):
        resolve_input_spec(path, InputOptions(preset="unit"))


def test_an_untagged_model_says_how(tmp_path: Path) -> None:
    path = ConvNet().save(tmp_path / "m.onnx")
    message = (
        f"{path}: does not say how to scale its input; give --preset (inception-v3, mobilenet-v2, "
        "imagenet-torch, unit) or --mean, --std and --input-range, or write them into the file "
        "once with 'rsparse model tag'"
    )
    with refused(message):
        resolve_input_spec(path, InputOptions(size=(12, 10), channels="bgr"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (InputOptions("unit", size=(8, 8)), "takes 12×10 input, but --input-size says 8×8"),
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


WRITTEN = {
    "preset": ("unit", "unit"),
    "input-size": ("224x320", (224, 320)),
    "mean": ("0.5", HALF),
    "std": ("1, 2,3", (1, 2, 3)),
    "input-range": ("255", 255.0),
    "channels": ("BGR", "bgr"),
    "layout": ("nhwc", "NHWC"),
    "class-offset": ("1", 1),
    "resize": ("CROP:0.9", "crop:0.9"),
    "scores": ("Out", "Out"),
    "score-type": ("Sigmoids", "sigmoids"),
}


def test_every_field_of_the_input_is_set_by_an_option() -> None:
    assert sorted(INPUT_OPTIONS) == sorted([*WRITTEN, "class-names"])


def test_options_as_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("a\nb\n")
    texts = {name: text for name, (text, _) in WRITTEN.items()}
    found = read_input_options({**texts, "class-names": "names.txt"}, tmp_path)
    values = {option: value for option, (_, value) in WRITTEN.items() if option != "preset"}
    values["class-names"] = ("a", "b")
    by_field = {name: values[option_of(field)] for name, field in INPUT_FIELDS.items()}
    assert found == InputOptions("unit", **by_field)
    assert found.options() == list(INPUT_OPTIONS)
    assert read_input_options(dict.fromkeys(INPUT_OPTIONS)) == InputOptions()


@pytest.mark.parametrize(
    ("option", "value", "found"),
    [
        ("input-size", 299, {"size": (299, 299)}),
        ("input-size", [224, 320], {"size": (224, 320)}),
        ("mean", 0.5, {"mean": HALF}),
        ("mean", [1, 2, 3], {"mean": (1.0, 2.0, 3.0)}),
        ("input-range", 255, {"range": 255.0}),
        ("class-offset", 1, {"class_offset": 1}),
    ],
)
def test_options_as_toml_has_them(option: str, value: object, found: dict[str, object]) -> None:
    assert read_input_options({option: value}).given() == found


TRIPLE = "a number, or three separated by commas"


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("input-size", "1x2x3", "a side such as 299 or height x width such as 224x320"),
        ("input-size", "9000", "height and width from 1 to 8192, got [9000, 9000]"),
        ("input-size", True, "height and width from 1 to 8192"),
        ("mean", "1,2", TRIPLE),
        ("mean", "dark", TRIPLE),
        ("std", "0", "three numbers above 0, got [0.0, 0.0, 0.0]"),
        ("input-range", "white", "a number above 0"),
        ("input-range", "-1", "a number above 0, got -1.0"),
        ("channels", "grb", "rgb, bgr or grey"),
        ("resize", "pad", RESIZE),
        ("score-type", "odds", "logits, probabilities or sigmoids"),
        ("layout", "CHW", "NCHW or NHWC"),
        ("class-offset", "1.5", "a whole number of 0 or more"),
        ("preset", ["unit"], "one of inception-v3, mobilenet-v2, imagenet-torch, unit"),
    ],
)
def test_options_that_cannot_be_used(option: str, value: object, message: str) -> None:
    got = "" if ", got" in message else f", got {value!r}"
    with refused(f"{option}: expected {message}{got}"):
        read_input_options({option: value})


def test_a_size_in_text() -> None:
    assert read_fit("299", "resize-to") == Fit((299, 299))
    assert read_fit("224x320:crop:0.875", "resize-to") == Fit((224, 320), 0.875)
    for fit in (Fit((2, 3)), Fit((2, 3), 1 / 3)):
        assert read_fit(fit.text, "resize-to") == fit
    with refused("resize-to: expected height and width from 1 to 8192, got [0, 0]"):
        read_fit("0", "resize-to")
    with refused(f"resize-to: expected {RESIZE}, got 'crop:2'"):
        read_fit("224:crop:2", "resize-to")


def test_a_field_that_there_is_not() -> None:
    with pytest.raises(TypeError, match="a model's input has no field sise"):
        InputOptions(sise=(1, 2))


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
    with refused(f"{path}: expected class names, one per line, got an empty file"):
        read_class_names(path)
    missing = tmp_path / "nowhere"
    with refused(f"{missing}: cannot be read: no such file or directory"):
        read_class_names(missing)
