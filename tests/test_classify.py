"""``rsparse classify``: predictions, accuracy, artifacts."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import Result

from rsparse.cli.classify import _print_table
from rsparse.commands.classify import ClassifyOutcome
from rsparse.defended.judging import JudgeStep
from rsparse.models.onnx.classifier import load_classifier, softmax
from rsparse.store.images import ImageFile, decode_image, encode_png
from rsparse.store.predictions import Prediction
from tests.onnx_models import four_animals, linear_classifier

UNIT = {"mean": [0, 0, 0], "std": [1, 1, 1]}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return four_animals(tmp_path / "m.onnx")


@pytest.fixture
def colors(tmp_path: Path) -> tuple[Path, Path]:
    """Plain red, green and blue pictures, and a classifier that distinguishes them."""
    folder = tmp_path / "colors"
    weights = np.repeat(np.eye(3), 4, axis=1)
    linear_classifier(tmp_path / "colors.onnx", weights, (2, 2))
    (tmp_path / "colors.onnx.json").write_text(json.dumps(UNIT | {"labels": ["r", "g", "b"]}))
    for number, name in enumerate("rgb"):
        (folder / name).mkdir(parents=True)
        pixels = np.zeros((5, 7, 3), np.uint8)
        pixels[..., number] = 200 + number
        (folder / name / "plain.png").write_bytes(encode_png(pixels))
    return folder, tmp_path / "colors.onnx"


def logits_of(model: Path, folder: Path, names: list[str]) -> np.ndarray:
    paths = [folder / f"{name}.png" for name in names]
    return load_classifier(model).logits([decode_image(p.read_bytes(), p) for p in paths])


def test_csv_on_standard_output(
    run_cli: Callable[..., Result], pictures: Path, model: Path
) -> None:
    result = run_cli("classify", pictures, "--model", model, "--top", "2")
    assert result.exit_code == 0
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert list(rows[0]) == [
        "name", "class_1", "class_name_1", "probability_1",
        "class_2", "class_name_2", "probability_2",
    ]  # fmt: skip
    assert [row["name"] for row in rows] == ["a", "b", "sub/c"]
    logits = logits_of(model, pictures, ["a", "b", "sub/c"])
    probabilities = softmax(logits)
    names = ("cat", "dog, hound", "emu", "fox")
    for number, row in enumerate(rows):
        best = int(logits[number].argmax())
        assert int(row["class_1"]) == best
        assert row["class_name_1"] == names[best]
        assert float(row["probability_1"]) == pytest.approx(probabilities[number].max(), abs=1e-6)
    assert "unknown without labels" in result.stderr


def test_accuracy_from_class_subfolders(
    run_cli: Callable[..., Result], colors: tuple[Path, Path]
) -> None:
    folder, model = colors
    result = run_cli("classify", folder, "-m", model)
    assert "100.0 % (3 of 3; 95 % interval 43.9–100.0 %)" in result.stderr
    assert "class subfolders" in result.stderr
    assert result.stdout.splitlines()[1].startswith("b/plain,2,b,2,b,0.")


def test_accuracy_from_a_csv_file(
    run_cli: Callable[..., Result], colors: tuple[Path, Path], tmp_path: Path
) -> None:
    folder, model = colors
    labels = tmp_path / "labels.csv"
    labels.write_text("file,label\nr/plain.png,0\ng/plain.png,g\nb/plain.png,0\n")
    result = run_cli("classify", folder, "-m", model, "--labels", labels, "--json")
    found = json.loads(result.stdout)
    assert found["labels"] == "labels.csv"
    assert found["accuracy"]["correct"] == 2
    assert found["accuracy"]["value"] == pytest.approx(2 / 3)
    assert found["accuracy"]["interval_95"] == pytest.approx([0.2077, 0.9385], abs=1e-4)
    assert found["predictions"][0]["name"] == "b/plain"
    assert found["predictions"][0]["label_name"] == "r"
    assert [entry["class"] for entry in found["predictions"][0]["top"]] == [2, 0, 1]
    assert found["output"] is None


def test_hdf5(run_cli: Callable[..., Result], colors: tuple[Path, Path], tmp_path: Path) -> None:
    folder, model = colors
    output = tmp_path / "pred.h5"
    result = run_cli("classify", folder, "-m", model, "-o", output, "--top", "2")
    assert (result.exit_code, result.stdout) == (0, f"{output}\n")
    logits = logits_of(model, folder, ["b/plain", "g/plain", "r/plain"])
    with h5py.File(output) as file:
        record = json.loads(file.attrs["record"])
        assert (record["format"], record["stage"]) == ("rsparse-predictions", "classify")
        assert record["parameters"]["top"] == 2
        assert [source["name"] for source in record["inputs"]] == ["colors", "colors.onnx"]
        assert list(file["name"].asstr()) == ["b/plain", "g/plain", "r/plain"]
        assert list(file["class_name"].asstr()) == ["r", "g", "b"]
        np.testing.assert_array_equal(file["label"], [2, 1, 0])
        np.testing.assert_array_equal(file["top_class"][:, 0], [2, 1, 0])
        expected = np.sort(softmax(logits), axis=1)[:, ::-1][:, :2]
        np.testing.assert_array_equal(file["top_probability"], expected)
        assert file["top_probability"].dtype == np.float32


def test_csv_artifact(
    run_cli: Callable[..., Result], colors: tuple[Path, Path], tmp_path: Path
) -> None:
    folder, model = colors
    output = tmp_path / "pred.csv"
    printed = run_cli("classify", folder, "-m", model).stdout
    assert run_cli("classify", folder, "-m", model, "-o", output).stdout == f"{output}\n"
    assert output.read_text() == printed
    record = json.loads((tmp_path / "pred.csv.json").read_text())
    assert record["stage"] == "classify"
    assert record["inputs"][1]["name"] == "colors.onnx"


@pytest.mark.parametrize("suffix", [".h5", ".csv"])
def test_an_interrupted_run_goes_on(
    run_cli: Callable[..., Result], pictures: Path, model: Path, tmp_path: Path, suffix: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    whole, output = tmp_path / f"whole{suffix}", tmp_path / f"pred{suffix}"
    run_cli("classify", pictures, "-m", model, "-o", whole, "-j", "2")
    load = JudgeStep.load

    def interrupted(self: JudgeStep, image: ImageFile) -> object:
        if image.name == "b":
            raise KeyboardInterrupt
        return load(self, image)

    with monkeypatch.context() as patch:
        patch.setattr(JudgeStep, "load", interrupted)
        result = run_cli("classify", pictures, "-m", model, "-o", output, "-j", "1")
        assert result.exit_code == 130
    assert not output.exists()
    result = run_cli("classify", pictures, "-m", model, "-o", output)
    assert "3 (1 from an earlier run)" in result.stderr
    assert output.read_bytes() == whole.read_bytes()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_bad_image_is_skipped(
    run_cli: Callable[..., Result], pictures: Path, model: Path
) -> None:
    (pictures / "bad.png").write_text("no picture")
    result = run_cli("classify", pictures, "-m", model)
    assert result.exit_code == 1
    line = f"rsparse: skipped: {pictures}/bad.png: is not a PNG, JPEG, WebP, TIFF or BMP image"
    assert line in result.stderr.splitlines()
    assert len(result.stdout.splitlines()) == 4


def test_torch_predicts_as_onnxruntime_does(
    run_cli: Callable[..., Result], pictures: Path, model: Path, tmp_path: Path
) -> None:
    """A bad image does not affect the rest of its batch; the record names the device."""
    pytest.importorskip("torch")
    (pictures / "bad.png").write_text("no picture")
    found = {}
    for device in ("cpu", "torch-cpu"):
        output = tmp_path / f"{device}.h5"
        result = run_cli(
            "classify", pictures, "-m", model, "-o", output, "--device", device, "--batch-size", 2
        )
        assert result.exit_code == 1
        assert f"skipped: {pictures}/bad.png" in result.stderr
        with h5py.File(output) as file:
            found[device] = {key: file[key][:] for key in ("name", "top_class", "top_probability")}
            recorded = json.loads(file.attrs["record"])["parameters"].get("device")
            assert recorded == {"cpu": None, "torch-cpu": "torch-cpu"}[device]
    expected, ours = found.values()
    np.testing.assert_array_equal(ours["name"], expected["name"])
    np.testing.assert_array_equal(ours["top_class"], expected["top_class"])
    np.testing.assert_allclose(ours["top_probability"], expected["top_probability"], atol=1e-5)


def test_labels_of_an_artifact(
    run_cli: Callable[..., Result], colors: tuple[Path, Path], dict_file: Path, tmp_path: Path
) -> None:
    """A folder's manifest carries the labels, so `$(rsparse purify …)` needs no labels."""
    from rsparse.store.files import sha256_of
    from rsparse.store.folders import OutputFolder
    from rsparse.store.records import IMAGES, Record

    folder, model = colors
    artifact = tmp_path / "adv"
    output = OutputFolder.open(artifact, {}, [], False)
    pixels = decode_image((folder / "r" / "plain.png").read_bytes(), folder)
    content = encode_png(pixels)
    (artifact / "x.png").write_bytes(content)
    output.journal.add({"name": "x", "file": "x.png", "sha256": sha256_of(content), "label": 2})
    output.finish(Record(IMAGES, "attack", {}), [])
    result = run_cli("classify", artifact, "-m", model, "--json")
    found = json.loads(result.stdout)
    assert (found["labels"], found["accuracy"]["correct"]) == ("manifest", 0)


def test_table_for_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    rows = [
        Prediction("a", "", 1, (1, 0), (0.75, 0.25)),
        Prediction("[b]", "", None, (0, 1), (0.6, 0.4)),
    ]
    names = ("tench, Tinca tinca, a fish with a long name", "[i]")
    outcome = ClassifyOutcome(Path("-"), class_names=names, predictions=rows)
    _print_table(outcome)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines[0].split() == ["image", "label", "prediction", "probability"]
    assert lines[2].split() == ["a", "[i]", "[i]", "(1)", "75.0%"]
    assert lines[3].endswith("25.0%")
    assert "".join(lines[3:5]).replace(" ", "").startswith("tench,Tinca")
    assert any(line.split()[0] == "[b]" and line.endswith("60.0%") for line in lines)


@pytest.mark.shared
def test_photographs(run_cli: Callable[..., Result], shared: Path) -> None:
    models = shared / "models"
    result = run_cli(
        "classify", shared / "photos", "-m", models / "mobilenet_v1_075_192.onnx",
        "--preset", "unit", "--labels", shared / "photos" / "labels.csv",
        "--class-names", models / "imagenet_labels.txt",
    )  # fmt: skip
    assert result.exit_code == 0
    assert "74.0 % (148 of 200; 95 % interval 67.5–79.6 %)" in result.stderr
    assert "cv2" not in result.stderr
    assert len(result.stdout.splitlines()) == 201
