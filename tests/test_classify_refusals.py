"""What ``rsparse classify`` rejects, and what it leaves unchanged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from tests.onnx_models import ConvNet, four_animals


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return four_animals(tmp_path / "m.onnx")


def test_a_device_and_a_cluster_exclude_each_other(
    assert_error: Callable[..., None], pictures: Path, model: Path
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("distributed")
    assert_error(
        "--cluster and --device cannot be used together; give one of them",
        "classify", pictures, "-m", model, "--device", "torch-cpu", "--cluster", "local:1",
    )  # fmt: skip


def test_only_bad_images(
    assert_error: Callable[..., None], pictures: Path, model: Path, tmp_path: Path
) -> None:
    for name in ("a", "b", "sub/c"):
        (pictures / f"{name}.png").write_bytes(b"")
    assert_error(
        f"{pictures}/a.png: is an empty file (and 2 more failed)",
        "classify", pictures, "-m", model, "-o", tmp_path / "pred.h5",
    )  # fmt: skip
    assert not [path for path in tmp_path.iterdir() if "pred" in path.name]


def test_untagged_model(assert_error: Callable[..., None], pictures: Path, tmp_path: Path) -> None:
    model = ConvNet().save(tmp_path / "m.onnx")
    assert_error(
        f"{model}: does not say how to scale its input; give --preset (inception-v3, "
        "mobilenet-v2, imagenet-torch, unit) or --mean, --std and --input-range, or write them "
        "into the file once with 'rsparse model tag'",
        "classify", pictures, "-m", model,
    )  # fmt: skip


def test_refusals(
    assert_error: Callable[..., None], pictures: Path, model: Path, tmp_path: Path
) -> None:
    missing, corrupt = tmp_path / "missing.onnx", tmp_path / "corrupt.onnx"
    corrupt.write_bytes(b"\x08")
    labels, output = tmp_path / "labels.csv", tmp_path / "pred.h5"
    command = ("classify", pictures, "-m")
    assert_error(f"{missing}: cannot be read: no such file or directory", *command, missing)
    assert_error(f"{corrupt}: is not an ONNX model, or is truncated", *command, corrupt)
    assert_error(
        f"{tmp_path}/pred.txt: expected a file ending in .h5 or .hdf5 or .csv",
        *command, model, "-o", tmp_path / "pred.txt",
    )  # fmt: skip
    labels.write_text("file,label\na.png,0\nb.png,4\nsub/c.png,0\n")
    assert_error(
        "labels.csv: label of 'b': expected a class from 0 to 3, got 4",
        *command, model, "--labels", labels, "-o", output,
    )  # fmt: skip
    labels.write_text("file,label\na.png,0\n")
    assert_error(f"{labels}: has no label for 'b' and 1 more", *command, model, "--labels", labels)
    assert_error(
        "top: expected a whole number from 1 to 100000, got 0", *command, model, "--top", 0
    )
    assert_error(
        "std: expected three numbers above 0, got [1.0, 0.0, 1.0]",
        *command, model, "--std", "1,0,1",
    )  # fmt: skip
    assert_error(
        f"{model}: takes 12×10 input, but --input-size says 224×224",
        *command, model, "--input-size", "224",
    )  # fmt: skip
    names = tmp_path / "names.txt"
    names.write_text("a\nb\nc\n")
    assert_error(
        f"{model}: has 4 classes, but 3 class names were given; use --class-offset 1 to skip a "
        "leading background class",
        *command, model, "--class-names", names,
    )  # fmt: skip
    assert not [path for path in tmp_path.iterdir() if "pred" in path.name]


def test_existing_outputs(
    run_cli: Callable[..., Result], assert_error: Callable[..., None], pictures: Path, model: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    output = tmp_path / "pred.csv"
    (tmp_path / "pred.csv.json").write_text("mine")
    assert_error(
        f"{output}.json: exists; choose another output or pass --overwrite",
        "classify", pictures, "-m", model, "-o", output,
    )  # fmt: skip
    assert (tmp_path / "pred.csv.json").read_text() == "mine"
    command = ("classify", pictures, "-m", model, "-o", output, "--overwrite")
    assert run_cli(*command).exit_code == 0
    assert run_cli(*command, "--top", "1").exit_code == 0
    assert output.read_text().startswith("name,class_1,class_name_1,probability_1\n")
