"""What commands report about inputs they did not use: skipped pictures, folders, labels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rsparse.store.images import encode_png
from tests.onnx_models import linear_classifier

NAMES = ["n00000011 crimson, deep red", "n00000024 leaf green", "n00000037 navy, dark blue"]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A classifier of red, green and blue images."""
    path = tmp_path / "colours.onnx"
    linear_classifier(path, np.repeat(np.eye(3), 4, axis=1), (2, 2))
    spec = {"mean": [0, 0, 0], "std": [1, 1, 1], "labels": NAMES}
    (tmp_path / "colours.onnx.json").write_text(json.dumps(spec))
    return path


def save(folder: Path, colour: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((5, 7, 3), np.uint8)
    pixels[..., colour] = 200
    (folder / "a.png").write_bytes(encode_png(pixels))


@pytest.fixture
def subset(tmp_path: Path) -> Path:
    """Classes named by identifiers: one is a folder, the others are links."""
    for colour, name in enumerate(NAMES):
        save(tmp_path / "all" / name.split()[0], colour)
    subset = tmp_path / "subset"
    subset.mkdir()
    (tmp_path / "all/n00000024").rename(subset / "n00000024")
    for name in ("n00000011", "n00000037"):
        (subset / name).symlink_to(f"../all/{name}")
    return subset


def test_imagenets_layout_behind_links(run_cli, model, subset):
    result = run_cli("classify", subset, "-m", model, "--json")
    outcome = json.loads(result.stdout)
    assert result.exit_code == 0
    assert outcome["labels"] == "class subfolders"
    assert outcome["accuracy"]["correct"] == 3
    assert (outcome["passed_over"]["count"], outcome["notes"]) == (0, [])


def test_why_labels_are_not_taken(run_cli, model, subset):
    (subset / "n00000024").rename(subset / "n99999999")
    result = run_cli("classify", subset, "-m", model, "--json")
    note = (
        "no labels: the subfolder 'n99999999' is not among the classes "
        "'n00000011 crimson, deep red', 'n00000024 leaf green', …"
    )
    assert note in result.stderr.splitlines()
    assert json.loads(result.stdout)["notes"] == [note]


def test_what_was_passed_over_is_named(run_cli, subset, tmp_path):
    (subset / "b.heic").write_bytes(b"\0\0\0\x1cftypheic")
    (subset / "gone").symlink_to("nowhere")
    result = run_cli("purify", subset, "--defense", "none", "-o", tmp_path / "out", "--json")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-2:] == [
        "rsparse: passed over 1 file that looks like a picture: b.heic (HEIC)",
        f"rsparse: skipped: {subset / 'gone'}: is a link to something that does not exist",
    ]
    outcome = json.loads(result.stdout)
    assert outcome["done"] == 3
    assert outcome["passed_over"] == {
        "count": 1, "files": [{"file": "b.heic", "why": "HEIC"}],
    }  # fmt: skip
    [failed] = json.loads((tmp_path / "out/manifest.json").read_text())["failed"]
    assert failed == {"name": "gone", "error": "is a link to something that does not exist"}


def test_labels_of_other_images_are_counted(run_cli, model, tmp_path):
    save(tmp_path / "imgs", 1)
    (tmp_path / "labels.csv").write_text("File,Label\na.png,1\nb.png,2\nc.png,0\n")
    result = run_cli("classify", tmp_path / "imgs", "-m", model)
    assert result.exit_code == 0
    assert "100.0 % (1 of 1" in result.stderr
    assert (
        "labels.csv: 2 of its 3 labels belong to no image here and are not used"
        in result.stderr.splitlines()
    )
    result = run_cli("classify", tmp_path / "imgs", "-m", model, "--first-class", 1)
    assert "0.0 % (0 of 1" in result.stderr


def test_the_first_class_is_zero_or_one(assert_error, model, subset):
    line = "first-class: expected 0 or 1, got '2'"
    assert_error(line, "classify", subset, "-m", model, "--first-class", 2)
