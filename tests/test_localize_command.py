"""``rsparse localize`` and ``rsparse show``."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from rsparse.core.localization import draw_outline, locate_object
from rsparse.options.localize import LocalizeParameters
from rsparse.store.folders import JOURNAL, MANIFEST, read_manifest
from rsparse.store.images import decode_image, encode_png
from rsparse.store.job import METHODS
from rsparse.store.records import GENERATOR, IMAGES
from rsparse.store.treatments import treatments_of
from tests.conftest import REPOSITORY, make_picture, tree_of

FOUND = ("--threshold", 20, "--closing-size", 5, "--blur-size", 3)
PARAMETERS = LocalizeParameters(threshold=20, closing_size=5, blur_size=3)


def read(path: Path) -> np.ndarray:
    return decode_image(path.read_bytes(), path)


def test_masks_and_pictures(run_cli, pictures, tmp_path):
    masks, overlay = tmp_path / "masks", tmp_path / "outlines"
    result = run_cli("localize", pictures, "-o", masks, "--overlay", overlay, *FOUND)
    assert (result.exit_code, result.stdout) == (0, f"{masks}\n")
    assert sorted(tree_of(masks)) == ["a.png", "b.png", MANIFEST, "sub/c.png"]
    assert sorted(tree_of(overlay)) == sorted(tree_of(masks))
    for entry in read_manifest(masks)["images"]:
        image = read(pictures / entry["file"])
        mask, found = locate_object(image, PARAMETERS)
        with Image.open(masks / entry["file"]) as picture:
            assert picture.mode == "L"
            np.testing.assert_array_equal(np.asarray(picture), mask * np.uint8(255))
        assert entry["found"] is found
        assert entry["area"] == pytest.approx(mask.mean(), abs=1e-6)
        np.testing.assert_array_equal(read(overlay / entry["file"]), draw_outline(image, mask))


def test_the_summary_and_json(run_cli, pictures, tmp_path):
    (pictures / "flat.png").write_bytes(encode_png(np.full((40, 40, 3), 9, dtype=np.uint8)))
    result = run_cli(
        "localize", pictures, "-o", tmp_path / "one", *FOUND, "--fallback-region", "none"
    )
    lines = [" ".join(line.split()) for line in result.stderr.splitlines()]
    assert lines[:2] == ["localized", "images 4"]
    assert lines[2].startswith("mean area ")
    assert lines[3] == "nothing found (none) 1"
    result = run_cli("localize", pictures, "-o", tmp_path / "two", *FOUND, "--json")
    outcome = json.loads(result.stdout)
    areas = [entry["area"] for entry in read_manifest(tmp_path / "two")["images"]]
    assert outcome["not_found"] == 1
    assert outcome["mean_area"] == pytest.approx(np.mean(areas))


@pytest.mark.parametrize("jobs", [1, 2])
def test_equal_runs_give_equal_bytes_for_any_jobs(run_cli, pictures, tmp_path, jobs):
    for number in range(12):
        (pictures / f"{number}.png").write_bytes(encode_png(make_picture(number)))
    for name, count in (("one", 1), ("two", jobs)):
        run_cli("localize", pictures, "-o", tmp_path / name, "--overlay", tmp_path / f"{name}-o",
                "--jobs", count, *FOUND)  # fmt: skip
    assert tree_of(tmp_path / "one") == tree_of(tmp_path / "two")
    assert tree_of(tmp_path / "one-o") == tree_of(tmp_path / "two-o")


def test_a_taken_overlay_leaves_no_half_begun_masks(run_cli, assert_error, pictures, tmp_path):
    run_cli("localize", pictures, "-o", tmp_path / "first")
    arguments = ("localize", pictures, "-o", tmp_path / "masks", "--overlay", tmp_path / "first")
    assert_error(
        f"{tmp_path / 'first'}: exists; choose another output or pass --overwrite", *arguments
    )
    assert not (tmp_path / "masks").exists()


def test_the_overlay_must_not_overlap_the_masks_or_the_images(assert_error, pictures, tmp_path):
    masks = tmp_path / "masks"
    for overlay, message in (
        (masks, "is the folder of the masks; name another overlay"),
        (masks / "sub", f"is inside the input {masks}; choose another output"),
        (pictures, "is the input itself; choose another output"),
    ):
        assert_error(
            f"{overlay}: {message}",
            "localize", pictures, "-o", masks, "--overlay", overlay,
        )  # fmt: skip
        assert not masks.exists()


def test_pictures_that_have_gone_are_drawn_again(run_cli, pictures, tmp_path):
    masks, overlay = tmp_path / "masks", tmp_path / "outlines"
    (pictures / "sub/bad.png").write_bytes(b"")
    arguments = ("localize", pictures, "-o", masks, "--overlay", overlay, *FOUND)
    assert run_cli(*arguments).exit_code == 1
    whole = tree_of(tmp_path)
    manifest = read_manifest(masks)
    from rsparse.store.inputs import load_inputs
    from rsparse.store.job import Job
    from rsparse.store.lines import to_checked_line

    known = {"images": load_inputs([pictures]).names_digest(), "overlay": True}
    run = Job("localize", IMAGES, manifest["parameters"], known=known).identity()
    (masks / MANIFEST).unlink()
    (masks / JOURNAL).write_bytes(b"".join(map(to_checked_line, [run, *manifest["images"]])))
    result = run_cli(*arguments, "--overwrite", "--json")  # discards the finished pictures
    assert json.loads(result.stdout)["done"] == 3
    assert tree_of(tmp_path) == whole


def test_labels_go_along(run_cli, pictures, tmp_path):
    run_cli("localize", pictures, "-o", tmp_path / "one")
    manifest = read_manifest(tmp_path / "one")
    for number, entry in enumerate(manifest["images"]):
        entry["label"] = number
    (tmp_path / "one" / MANIFEST).write_text(json.dumps(manifest))
    run_cli("localize", tmp_path / "one", "-o", tmp_path / "two")
    assert [entry["label"] for entry in read_manifest(tmp_path / "two")["images"]] == [0, 1, 2]


class TestShow:
    @pytest.fixture
    def purified(self, run_cli, pictures, dict_file, tmp_path) -> Path:
        pictures.rename(tmp_path / ":cat: [red]x")
        run_cli(
            "purify",
            tmp_path / ":cat: [red]x",
            "--dict",
            dict_file,
            "--sparsity",
            2,
            "-o",
            tmp_path / "out",
        )
        return tmp_path / "out"

    def test_the_ancestry_is_a_tree(self, run_cli, purified):
        result = run_cli("show", purified)
        assert result.exit_code == 0
        assert result.stderr == ""
        lines = result.stdout.splitlines()
        assert (
            lines[0]
            == f"out  rsparse-images 2, by purify (method {METHODS['purify']}) of {GENERATOR}"
        )
        assert "├── sparsity = 2" in lines
        assert "├── localization.threshold = 90" in lines
        assert "├── images: 3" in lines
        assert "├── failed: 0" in lines
        assert any(line.startswith("├── :cat: [red]x  sha256 ") for line in lines)
        nested = lines.index(
            f"└── dict.h5  rsparse-dictionary 3, by learn-dict (method 1) of {GENERATOR}"
        )
        assert lines[nested + 1].startswith("    └── sha256 ")

    def test_json_is_the_record_itself(self, run_cli, purified):
        record = json.loads(run_cli("show", purified, "--json").stdout)
        manifest = read_manifest(purified)
        treatments = treatments_of(manifest["images"])
        assert sum(treatments.counts.values()) == 3
        counts = {text: str(n) for text, n in treatments.counts.items()}
        counts["changed"] = treatments.degrees_text
        assert record.pop("contents") == {"images": "3", "failed": "0", **counts}
        assert record == {k: v for k, v in manifest.items() if k not in ("images", "failed")}

    def test_a_single_number_is_shown_itself(self, run_cli, dict_file, tmp_path):
        other = tmp_path / "other.h5"
        shutil.copy(dict_file, other)
        with h5py.File(other, "a") as file:
            file["mean"] = 0.25
            file["count"] = 3
            file["word"] = "a word"
        text = run_cli("show", other).stdout
        assert "mean: 0.25\n" in text
        assert "count: 3\n" in text
        assert "word: scalar object\n" in text

    def test_hdf5_contents_are_listed(self, run_cli, dict_file):
        lines = run_cli("show", dict_file).stdout.splitlines()
        assert lines[0] == f"dict.h5  rsparse-dictionary 3, by learn-dict (method 1) of {GENERATOR}"
        assert "├── atoms: 64×48 float32" in lines
        assert "├── held_out/error: 0 float64" in lines

    def test_the_record_beside_a_csv_file(self, run_cli, pictures, tmp_path):
        model, out = REPOSITORY / "fixtures" / "colours.onnx", tmp_path / "pred.csv"
        assert run_cli("classify", pictures, "-m", model, "-o", out).exit_code == 0
        lines = run_cli("show", out).stdout.splitlines()
        assert lines[0] == f"pred.csv  rsparse-predictions 3, by classify (method 1) of {GENERATOR}"
        (tmp_path / "pred.csv.json").write_text("{")
        result = run_cli("show", out)
        assert result.stderr.startswith(f"rsparse: error: {out}.json: is not valid JSON: ")

    def test_long_lines_are_not_broken_in_a_pipe(self, run_cli, purified, monkeypatch):
        monkeypatch.setenv("COLUMNS", "20")
        assert "    └── sha256 " in run_cli("show", purified).stdout
        assert (
            f"out  rsparse-images 2, by purify (method {METHODS['purify']}) of {GENERATOR}\n"
            in (run_cli("show", purified).stdout)
        )


def test_a_run_killed_after_both_folders_were_promised(run_cli, pictures, tmp_path, monkeypatch):
    masks, overlay = tmp_path / "masks", tmp_path / "outlines"
    arguments = ("localize", pictures, "-o", masks, "--overlay", overlay)
    assert run_cli("localize", pictures, "-o", tmp_path / "m", "--overlay", tmp_path / "o")
    replace = os.replace

    def killed(source: Path, place: Path) -> None:
        if place == masks / MANIFEST:
            raise KeyboardInterrupt
        replace(source, place)

    monkeypatch.setattr(os, "replace", killed)
    assert run_cli(*arguments).exit_code == 130
    assert (overlay / MANIFEST).exists()
    assert not (masks / MANIFEST).exists()
    monkeypatch.undo()
    assert "exists" in run_cli(*arguments).stderr
    assert tree_of(masks) == tree_of(tmp_path / "m")
    assert tree_of(overlay) == tree_of(tmp_path / "o")
