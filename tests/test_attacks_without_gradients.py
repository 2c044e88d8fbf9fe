"""Attacks that need only predictions, on networks that rsparse cannot differentiate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from rsparse.attacks import Fgsm, Noise, parse_attack
from rsparse.models.onnx.classifier import load_classifier
from rsparse.models.spec import InputOptions
from rsparse.store.folders import read_manifest
from rsparse.store.images import encode_png
from tests.onnx_models import quantised

pytest.importorskip("foolbox")

from rsparse.attacks.attackable import WHAT_WORKS, RuntimeModule, attackable
from rsparse.attacks.foolbox_classes import foolbox_attack, usable_names
from rsparse.attacks.running import run_attack


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for channel in range(3):
        pixels = np.full((8, 8, 3), 120, np.uint8)
        pixels[..., channel] += 6
        (folder / f"{channel}.png").write_bytes(encode_png(pixels))
    return folder


@pytest.mark.parametrize("attack", ["noise:eps=8", "HopSkipJumpAttack:steps=1", "SpatialAttack"])
def test_onnxruntime_alone(
    run_cli: Callable[..., Result], tmp_path: Path, pictures: Path, attack: str
) -> None:
    path, out = quantised(tmp_path / "int8.onnx"), tmp_path / "out"
    arguments = ("attack", pictures, "-m", path, "--preset", "unit", "-a", attack, "-o", out,
                 "--predicted-labels")  # fmt: skip
    result = run_cli(*arguments)
    assert result.exit_code == 0, result.stderr
    manifest = read_manifest(out)
    assert manifest is not None
    assert manifest["parameters"]["device"] == "onnxruntime"
    assert [entry["label"] for entry in manifest["images"]] == [0, 1, 2]
    if attack.startswith("Hop"):
        assert any(entry["success"] for entry in manifest["images"])


def test_attacks_that_need_gradients_say_what_works(
    run_cli: Callable[..., Result], tmp_path: Path, pictures: Path
) -> None:
    path = quantised(tmp_path / "int8.onnx")
    arguments = ("attack", pictures, "-m", path, "--preset", "unit", "-o", tmp_path / "out",
                 "--predicted-labels")  # fmt: skip
    result = run_cli(*arguments, "-a", "noise", "-a", "fgsm")
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"rsparse: error: {path}: cannot be ")
    assert "QuantizeLinear" in line
    assert line.endswith(WHAT_WORKS)


def test_which_attacks_need_none() -> None:
    assert (Noise().needs_gradients, Fgsm().needs_gradients) == (False, True)
    free = {name for name in usable_names() if not foolbox_attack(name).needs_gradients}
    assert free == {
        "BinarySearchContrastReductionAttack", "BoundaryAttack", "GaussianBlurAttack",
        "HopSkipJumpAttack", "InversionAttack", "L2AdditiveGaussianNoiseAttack",
        "L2AdditiveUniformNoiseAttack", "L2ClippingAwareAdditiveGaussianNoiseAttack",
        "L2ClippingAwareAdditiveUniformNoiseAttack",
        "L2ClippingAwareRepeatedAdditiveGaussianNoiseAttack",
        "L2ClippingAwareRepeatedAdditiveUniformNoiseAttack", "L2ContrastReductionAttack",
        "L2RepeatedAdditiveGaussianNoiseAttack", "L2RepeatedAdditiveUniformNoiseAttack",
        "LinearSearchBlendedUniformNoiseAttack", "LinearSearchContrastReductionAttack",
        "LinfAdditiveUniformNoiseAttack", "LinfRepeatedAdditiveUniformNoiseAttack",
        "PointwiseAttack", "SaltAndPepperNoiseAttack", "SpatialAttack",
    }  # fmt: skip


@pytest.mark.parametrize(
    "text", ["BoundaryAttack:steps=2", "PointwiseAttack", "SaltAndPepperNoiseAttack:steps=9"]
)
def test_they_run_on_a_module_without_gradients(tmp_path: Path, text: str) -> None:
    options = InputOptions(preset="unit")
    classifier = load_classifier(quantised(tmp_path / "int8.onnx"), options).check()
    module = attackable(classifier, "cpu", needs_gradients=False)
    assert isinstance(module, RuntimeModule)
    x = np.full((2, 8, 8, 3), 0.5, np.float32)
    x[..., 1] += 0.01
    (attack,) = parse_attack(text)
    result = run_attack(module, x, np.array([1, 1]), attack, 0)
    assert result.x_adv.shape == x.shape
