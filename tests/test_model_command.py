"""``rsparse model show`` and ``rsparse model tag``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from typer.testing import Result

from rsparse.models.onnx.classifier import load_classifier
from rsparse.models.spec import InputOptions, InputSpec
from tests.onnx_models import ConvNet, images_of, linear_classifier, outside_weights

OPTIONS = ("--mean", "0.5", "--std", "0.1,0.2,0.3", "--input-range", "255", "--channels", "BGR")
SPEC = InputSpec((12, 10), (0.5, 0.5, 0.5), (0.1, 0.2, 0.3), 255.0, "bgr")


def test_show_of_an_untagged_model(run_cli: Callable[..., Result], tmp_path: Path) -> None:
    path = ConvNet(head="Conv", tail="Softmax").save(tmp_path / "m.onnx")
    result = run_cli("model", "show", path, "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert found["input"]["size"] == {"value": [12, 10], "source": "graph"}
    assert found["input"]["mean"] == {"value": None, "source": "unknown"}
    assert found["graph"]["input"] == "image, n×3×12×10, float"
    assert found["graph"]["output"] == "scores (n×4)"
    assert found["graph"]["logits"] == "4, before the softmax"
    assert found["graph"]["layers"] == "3 conv, 1 join, 1 pool"
    assert found["graph"]["attention"] == "5 feature maps"
    assert found["problem"].startswith(f"{path}: does not say how to scale its input; give ")
    assert result.stderr == f"rsparse: not ready: {found['problem']}\n"


def test_show_with_options(run_cli: Callable[..., Result], tmp_path: Path) -> None:
    path = ConvNet().save(tmp_path / "m.onnx")
    result = run_cli("model", "show", path, *OPTIONS)
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "size 12×10 graph" in lines
    assert "mean 0.5, 0.5, 0.5 --mean" in lines
    assert "channels bgr --channels" in lines
    assert "class offset 0 default" in lines
    assert "classes 4" in lines
    assert result.stderr == ""


def test_an_option_that_contradicts_the_tag_is_told(
    run_cli: Callable[..., Result], tmp_path: Path
) -> None:
    path, tagged = ConvNet().save(tmp_path / "m.onnx"), tmp_path / "tagged.onnx"
    assert run_cli("model", "tag", path, "--preset", "unit", "-o", tagged).exit_code == 0
    notes = {}
    for preset in ("unit", "mobilenet-v2", None):
        options = InputOptions(preset)
        notes[preset] = load_classifier(tagged, options).notes
    assert notes["unit"] == notes[None] == []
    said = "takes precedence over its tag, which differs in"
    assert notes["mobilenet-v2"] == [f"tagged.onnx: --preset mobilenet-v2 {said} mean, std"]
    given = load_classifier(tagged, InputOptions(range=255.0)).notes
    assert given == [f"tagged.onnx: --input-range {said} range"]


def test_show_of_a_model_for_classification_only(
    run_cli: Callable[..., Result], tmp_path: Path
) -> None:
    path = linear_classifier(tmp_path / "m.onnx", np.ones((2, 12)), (2, 2))
    found = json.loads(run_cli("model", "show", path, "--preset", "unit", "--json").stdout)
    assert found["problem"] is None
    assert found["graph"]["layers"].startswith("no: m.onnx: has no convolutional layer")
    assert found["graph"]["attention"].startswith("no: m.onnx: expected global average pooling")


def test_tag(run_cli: Callable[..., Result], tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("cat\ndog\nemu\nfox\n")
    net = ConvNet(tail="Softmax", metadata={"author": "somebody"})
    path, output = net.save(tmp_path / "m.onnx"), tmp_path / "tagged.onnx"
    result = run_cli("model", "tag", path, "-o", output, *OPTIONS, "--class-names", names)
    assert (result.exit_code, result.stdout) == (0, f"{output}\n")
    tagged = load_classifier(output)
    assert tagged.spec == InputSpec(
        SPEC.size, SPEC.mean, SPEC.std, 255.0, "bgr", labels=("cat", "dog", "emu", "fox"),
        score_type="probabilities",
    )  # fmt: skip
    assert {tagged.sources.pop("scores"), *tagged.sources.values()} == {"default", "metadata"}
    model = onnx.load(output)
    assert {entry.key for entry in model.metadata_props} == {
        "author", "rsparse.input", "rsparse.sha256",
    }  # fmt: skip
    assert model.graph == onnx.load(path).graph, "the graph stays as it is, softmax included"
    options = InputOptions(mean=SPEC.mean, std=SPEC.std, range=255.0, channels="bgr")
    images = images_of((12, 10), 2)
    np.testing.assert_array_equal(
        tagged.logits(images), load_classifier(path, options).logits(images)
    )


def test_tagging_again_changes_what_is_said(run_cli: Callable[..., Result], tmp_path: Path) -> None:
    path, output = ConvNet().save(tmp_path / "m.onnx"), tmp_path / "tagged.onnx"
    run_cli("model", "tag", path, "-o", output, *OPTIONS)
    first = output.read_bytes()
    run_cli("model", "tag", output, "-o", output, "--overwrite")
    assert output.read_bytes() == first
    run_cli("model", "tag", output, "-o", output, "--input-range", "1", "--overwrite")
    assert load_classifier(output).spec == InputSpec(
        SPEC.size, SPEC.mean, SPEC.std, 1.0, "bgr", score_type="logits"
    )


def test_tagging_brings_outside_weights_in(run_cli: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(ConvNet().weights.tobytes())
    path, output = outside_weights(tmp_path / "m.onnx", "w.bin"), tmp_path / "tagged.onnx"
    run_cli("model", "tag", path, "-o", output, "--preset", "unit")
    (tmp_path / "w.bin").unlink()
    images = images_of((12, 10), 2)
    inside = load_classifier(ConvNet().save(path), InputOptions("unit"))
    np.testing.assert_array_equal(load_classifier(output).logits(images), inside.logits(images))


def test_refusals(assert_error: Callable[..., None], tmp_path: Path) -> None:
    path, output = ConvNet().save(tmp_path / "m.onnx"), tmp_path / "tagged.onnx"
    hint = "or write them into the file once with 'rsparse model tag'"
    assert_error(
        f"{path}: does not say how to scale its input; give --preset (inception-v3, mobilenet-v2, "
        f"imagenet-torch, unit) or --mean, --std and --input-range, {hint}",
        "model", "tag", path, "-o", output,
    )  # fmt: skip
    assert not output.exists()
    content = path.read_bytes()
    assert_error(
        f"{path}: exists; choose another output or pass --overwrite",
        "model", "tag", path, "-o", path, *OPTIONS,
    )  # fmt: skip
    assert path.read_bytes() == content
    assert_error(
        "preset: expected one of inception-v3, mobilenet-v2, imagenet-torch, unit, got 'vgg'",
        "model", "tag", path, "-o", output, "--preset", "vgg",
    )  # fmt: skip
    assert_error(
        f"{tmp_path / 'm.txt'}: expected a file ending in .onnx",
        "model", "tag", path, "-o", tmp_path / "m.txt", *OPTIONS,
    )  # fmt: skip
    missing = tmp_path / "missing.onnx"
    assert_error(f"{missing}: cannot be read: no such file or directory", "model", "show", missing)
