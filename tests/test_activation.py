"""Total activation (eq. 7), and the command that compares benign with attacked images."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import onnx
import pytest
from typer.testing import Result

from rsparse.commands.activations import ActivationStep, choose_layers
from rsparse.core.activation import activation_ratio, total_activation
from rsparse.models.onnx.classifier import load_classifier
from rsparse.models.onnx.graph import activation_layers
from rsparse.models.onnx.probes import PeakProbe
from rsparse.pictures.activations import as_block
from rsparse.store.images import decode_image, encode_png
from tests.conftest import make_picture
from tests.onnx_models import ConvNet
from tests.refusals import refused

UNIT = '{"mean": [0, 0, 0], "std": [1, 1, 1]}'


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A tagged network with five layers: conv, mixed/left, mixed/right, mixed, pool."""
    return ConvNet(metadata={"rsparse.input": UNIT}).save(tmp_path / "m.onnx")


@pytest.fixture
def attacked(tmp_path: Path, pictures: Path) -> Path:
    """The pictures with one grey level of noise; one of them is missing."""
    folder = tmp_path / "adv"
    (folder / "sub").mkdir(parents=True)
    for seed, name in enumerate(("a", "sub/c")):
        path = pictures / f"{name}.png"
        noise = np.random.default_rng(seed).integers(-1, 2, (48, 56, 3))
        pixels = np.clip(decode_image(path.read_bytes(), path) + noise, 0, 255)
        (folder / f"{name}.png").write_bytes(encode_png(pixels.astype(np.uint8)))
    return folder


def test_total_activation_by_hand() -> None:
    peaks = np.array([[0.0, 1.0, 2.5], [-1.0, 0.5, 0.0]])
    np.testing.assert_array_equal(total_activation(peaks), [3.5, 0.5])
    np.testing.assert_array_equal(total_activation(peaks, gamma=1.0), [2.5, 0.0])
    np.testing.assert_array_equal(total_activation(peaks, gamma=0.9), [3.5, 0.0])


def test_total_activation_below_zero() -> None:
    """With a negative threshold, negative detectors count, as eq. 7 is written."""
    peaks = np.array([-0.5, -3.0, 2.0])
    signs = np.sign(peaks + 1)
    expected = (peaks * signs)[peaks + 1 > 0].sum()
    assert total_activation(peaks, gamma=-1.0) == expected == 1.5


def test_ratio() -> None:
    found = activation_ratio(np.array([2.0, 3.0, 0.0]), np.array([1.0, 3.0, 0.0]))
    np.testing.assert_array_equal(found, [2.0, 1.0, np.nan])


def test_blocks_show_every_detector() -> None:
    for channels, shape in ((64, (1, 64)), (257, (2, 129)), (2048, (8, 256))):
        block = as_block(np.arange(channels, dtype=np.float32))
        assert block.shape == shape
        np.testing.assert_array_equal(block[~np.isnan(block)], np.arange(channels))


def test_choice_of_layers(model: Path) -> None:
    layers = activation_layers(onnx.load(model))
    names = [layer.name for layer in layers]
    assert [names[number] for number in choose_layers(layers, ())] == ["conv", "mixed", "pool"]
    assert choose_layers(layers, ["pool", "conv", "pool"]) == (4, 0)
    with refused("layers: the model has no layer 'mixd'; did you mean mixed?"):
        choose_layers(layers, ["mixd"])
    plain = [layer for layer in layers if layer.kind == "conv"]
    assert choose_layers(plain, ()) == (0, 1, 2) or choose_layers(plain, ()) == (0, 2)


def test_artifact(
    run_cli: Callable[..., Result], pictures: Path, attacked: Path, model: Path, tmp_path: Path
) -> None:
    output, plot = tmp_path / "act.h5", tmp_path / "act.png"
    result = run_cli(
        "activations", pictures, attacked, "--model", model, "-o", output, "--plot", plot,
        "--gamma", "0.25", "--layers", "mixed,pool",
    )  # fmt: skip
    assert (result.exit_code, result.stdout) == (0, f"{output}\n")
    assert "predictions changed" in result.stderr
    classifier = load_classifier(model)
    layers = activation_layers(classifier.graph)
    probe = PeakProbe(classifier, layers)
    with h5py.File(output) as file:
        assert json.loads(file.attrs["record"])["parameters"]["gamma"] == 0.25
        assert list(file["name"].asstr()) == ["a", "sub/c"]
        assert list(file["layer/name"].asstr()) == [layer.name for layer in layers]
        assert list(file["layer/index"]) == [1, 2, 3, 3, 3]
        assert [file[f"peaks/{k}"].attrs["layer"] for k in (0, 1)] == [b"mixed", b"pool"]
        for version, folder in (("benign", pictures), ("adversarial", attacked)):
            for row, name in enumerate(("a", "sub/c")):
                path = folder / f"{name}.png"
                _, peaks = probe.peaks([decode_image(path.read_bytes(), path)])
                totals = [float(total_activation(peak[0], 0.25)) for peak in peaks]
                np.testing.assert_array_equal(file[f"total/{version}"][row], totals)
                np.testing.assert_array_equal(file[f"peaks/0/{version}"][row], peaks[3][0])
                np.testing.assert_array_equal(file[f"peaks/1/{version}"][row], peaks[4][0])
        benign, adversarial = file["total/benign"][()], file["total/adversarial"][()]
        np.testing.assert_allclose(file["ratio/image"], adversarial / benign)
        np.testing.assert_allclose(file["ratio/all"], adversarial.sum(0) / benign.sum(0))
    assert decode_image(plot.read_bytes(), plot).shape[1] == 1000


def test_equal_runs_give_equal_bytes(
    run_cli: Callable[..., Result], pictures: Path, attacked: Path, model: Path, tmp_path: Path
) -> None:
    made = []
    for number, jobs in enumerate((1, 2)):
        output, plot = tmp_path / f"{number}.h5", tmp_path / f"{number}.png"
        run_cli(
            "activations", pictures, attacked, "-m", model, "-o", output, "--plot", plot,
            "--jobs", jobs,
        )  # fmt: skip
        made.append((output.read_bytes(), plot.read_bytes()))
    assert made[0] == made[1]


def test_an_interrupted_run_goes_on(
    run_cli: Callable[..., Result], pictures: Path, attacked: Path, model: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    whole, output = tmp_path / "whole.h5", tmp_path / "act.h5"
    command = ("activations", pictures, attacked, "-m", model, "-j", "1", "-o")
    run_cli(*command, whole)
    measure = ActivationStep.__call__

    def interrupted(self: ActivationStep, image: object) -> dict:
        if image.name == "sub/c":
            raise KeyboardInterrupt
        return measure(self, image)

    with monkeypatch.context() as patch:
        patch.setattr(ActivationStep, "__call__", interrupted)
        assert run_cli(*command, output).exit_code == 130
    assert not output.exists()
    result = run_cli(*command, output)
    assert result.exit_code == 0
    assert "2 (1 from an earlier run)" in result.stderr
    assert output.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_attacked_images_without_an_original(
    run_cli: Callable[..., Result], pictures: Path, attacked: Path, model: Path, tmp_path: Path
) -> None:
    (attacked / "stray.png").write_bytes(encode_png(make_picture(9)))
    result = run_cli("activations", pictures, attacked, "-m", model, "-o", tmp_path / "act.h5")
    assert result.exit_code == 1
    line = f"rsparse: skipped: {attacked}/stray.png: has no benign image of the same name in"
    assert f"{line} {pictures}" in result.stderr.splitlines()


def test_refusals(
    assert_error: Callable[..., None], pictures: Path, attacked: Path, model: Path, tmp_path: Path
) -> None:
    output = tmp_path / "act.h5"
    tail = ("-m", model, "-o", output)
    other = tmp_path / "other"
    other.mkdir()
    (other / "z.png").write_bytes(encode_png(make_picture(0)))
    assert_error(
        f"{other} and {pictures}: have no image names in common; "
        "they contain, for example, 'z' and 'a'",
        "activations", pictures, other, *tail,
    )  # fmt: skip
    assert_error(
        "layers: the model has no layer 'conv_2'; did you mean conv?",
        "activations", pictures, attacked, *tail, "--layers", "conv_2",
    )  # fmt: skip
    assert_error(
        f"{tmp_path}/act.txt: expected a file ending in .h5 or .hdf5",
        "activations", pictures, attacked, *tail, "-o", tmp_path / "act.txt",
    )  # fmt: skip
    assert_error(
        f"{tmp_path}/act.pdf: expected a file ending in .png",
        "activations", pictures, attacked, *tail, "--plot", tmp_path / "act.pdf",
    )  # fmt: skip
    assert_error(
        "gamma: expected a number, got nan",
        "activations", pictures, attacked, *tail, "--gamma", "nan",
    )  # fmt: skip
    output.write_bytes(b"")
    assert_error(
        f"{output}: exists; choose another output or pass --overwrite",
        "activations", pictures, attacked, *tail,
    )  # fmt: skip
    assert output.read_bytes() == b""


def test_json(
    run_cli: Callable[..., Result], pictures: Path, attacked: Path, model: Path, tmp_path: Path
) -> None:
    output = tmp_path / "act.h5"
    result = run_cli("activations", pictures, attacked, "-m", model, "-o", output, "--json")
    found = json.loads(result.stdout)
    assert (found["output"], found["done"], found["plot"]) == (str(output), 2, None)
    assert [layer["name"] for layer in found["layers"]][-1] == "pool"
