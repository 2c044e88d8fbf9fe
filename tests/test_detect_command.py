"""``rsparse detect``: references, tables, what is refused, and the same bytes for any jobs."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from rsparse.core.conformal import Reference
from rsparse.detection.registry import SCORES
from rsparse.store.detections import load_detected
from rsparse.store.images import decode_image, encode_png
from rsparse.store.reference_scores import load_reference
from tests.conftest import make_picture
from tests.onnx_models import ConvNet, four_animals

UNIT = {"mean": [0, 0, 0], "std": [1, 1, 1]}
CAVEAT = "An attacker who knows the detector evades it"


def write_images(folder: Path, seeds: range, eps: int = 0) -> Path:
    """Smooth pictures with an own flat part; ``eps`` adds noise of that size to each channel."""
    folder.mkdir()
    for seed in seeds:
        picture = make_picture(seed).astype(int)
        picture += eps * np.random.default_rng(seed).choice([-1, 1], picture.shape)
        (folder / f"{seed}.png").write_bytes(encode_png(picture.clip(0, 255).astype(np.uint8)))
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Clean images for the reference, other clean ones, and attacked ones."""
    return (
        write_images(tmp_path / "benign", range(24)),
        write_images(tmp_path / "imgs", range(30, 40)),
        write_images(tmp_path / "adv", range(30, 40), eps=8),
    )


@pytest.fixture
def reference(run_cli, folders, tmp_path: Path) -> Path:
    path = tmp_path / "reference.h5"
    assert run_cli("detect", folders[0], "--calibrate", "-o", path).exit_code == 0
    return path


def test_a_reference_holds_the_scores_of_each_clean_image(reference):
    stored, record = load_reference(reference)
    assert list(stored.digests) == sorted(map(str, range(24)))
    assert stored.columns == ("noise", "period", "color")
    assert stored.scores.shape == (24, 3)
    assert stored.size == (48, 56)
    assert (record["format"], record["stage"]) == ("rsparse-detector", "detect")
    assert [source["name"] for source in record["inputs"]] == ["benign"]


def test_a_reference_of_few_images_is_told_and_of_too_few_is_refused(run_cli, folders, tmp_path):
    path, few = tmp_path / "r.h5", sorted(folders[0].iterdir())[:18]
    result = run_cli("detect", *few[:1], "--calibrate", "-o", path)
    assert (result.exit_code, result.stderr) == (
        2,
        "rsparse: error: --false-alarms 0.05: the reference has 1 clean image, with which no "
        "p-value is below 1/2; take 19 or more, or more false alarms\n",
    )
    result = run_cli("detect", *few, "--calibrate", "-o", path)
    assert result.exit_code == 2
    assert not path.exists()
    result = run_cli("detect", *few, "--calibrate", "--false-alarms", "0.1", "-o", path)
    assert result.exit_code == 0
    assert "only 18 clean images in the reference; take 100 or more" in result.stderr


def test_attacked_images_are_found_and_the_shares_are_told(run_cli, folders, reference, tmp_path):
    output = tmp_path / "found.csv"
    result = run_cli(
        "detect", folders[1], "--reference", reference, "--attacked", folders[2], "-o", output,
        "--json",
    )  # fmt: skip
    assert result.exit_code == 0
    assert CAVEAT in result.stderr
    told = json.loads(result.stdout)
    assert told["caveat"].startswith(CAVEAT)
    (attacked,) = told["attacked"]
    assert attacked["folder"] == "adv"
    assert attacked["found"]["value"] == 1
    assert attacked["auc"]["value"] == 1
    assert 0.6 < attacked["auc"]["interval_95"][0] < 1
    rows = list(csv.DictReader(output.read_text().splitlines()))
    assert [row["folder"] for row in rows] == [""] * 10 + ["adv"] * 10
    for row in rows:
        assert (row["detected"] == "yes") == (float(row["p_value"]) <= 0.05)
    assert told["detected"]["count"] == sum(row["detected"] == "yes" for row in rows[:10])
    detected, record = load_detected(output)
    assert sum(detected.values()) >= 10
    assert {source["name"] for source in record["inputs"]} == {"reference.h5", "imgs", "adv"}


def test_a_folder_and_a_file_of_the_same_clean_images_give_the_same(run_cli, folders, reference):
    by_file = run_cli("detect", folders[1], "--reference", reference)
    by_folder = run_cli("detect", folders[1], "--reference", folders[0])
    assert by_file.exit_code == by_folder.exit_code == 0
    assert by_file.stdout == by_folder.stdout
    assert len(by_file.stdout.splitlines()) == 11


def test_the_bytes_do_not_depend_on_the_jobs(run_cli, folders, reference, tmp_path):
    contents = []
    for jobs in ("1", "2"):
        output = tmp_path / f"jobs-{jobs}" / "found.csv"
        output.parent.mkdir()
        result = run_cli("detect", folders[2], "--reference", reference, "-o", output, "-j", jobs)
        assert result.exit_code == 0
        assert sorted(p.name for p in output.parent.iterdir()) == ["found.csv", "found.csv.json"]
        contents.append([p.read_bytes() for p in sorted(output.parent.iterdir())])
    assert contents[0] == contents[1]


def test_with_a_model_its_answers_are_scores_too(run_cli, folders, tmp_path, dict_file):
    model = four_animals(tmp_path / "m.onnx")
    reference = tmp_path / "with-model.h5"
    options = ["--model", model, "--dict", dict_file]
    chosen = [w for name in (*SCORES, "swing:quality=20") for w in ("--score", name)]
    result = run_cli("detect", folders[0], "--calibrate", *options, *chosen, "-o", reference)
    assert result.exit_code == 0, result.stderr
    stored, record = load_reference(reference)
    assert {"instability", "swing"} < set(stored.columns)
    assert {source["name"] for source in record["inputs"]} == {"benign", "m.onnx", "dict.h5"}
    result = run_cli("detect", folders[2], "--reference", reference, *options, "--json")
    assert result.exit_code == 0, result.stderr
    assert len(json.loads(result.stdout)["images"][0]["scores"]) == len(stored.columns)
    result = run_cli("detect", folders[2], "--reference", reference)
    assert result.exit_code == 2
    assert "needs a classifier: give --model m.onnx, or choose others" in result.stderr
    result = run_cli("detect", folders[2], "--reference", reference, "--score", "color", "--json")
    assert result.exit_code == 0, result.stderr
    assert list(json.loads(result.stdout)["images"][0]["scores"]) == ["color"]


def test_another_model_than_that_of_the_reference_is_refused(run_cli, folders, tmp_path):
    reference = tmp_path / "with-model.h5"
    model, other = four_animals(tmp_path / "m.onnx"), tmp_path / "other.onnx"
    ConvNet(classes=5, metadata={"rsparse.input": json.dumps(UNIT)}).save(other)
    score = ["--score", "swing"]
    run_cli("detect", folders[0], "--calibrate", "--model", model, *score, "-o", reference)
    result = run_cli("detect", folders[1], "--reference", reference, "--model", other)
    assert result.exit_code == 2
    assert f"{reference}: was not made with other.onnx; make it again" in result.stderr


def test_a_tolerance_divides_levels_of_noise_only(run_cli, folders, reference, tmp_path):
    def rows(*more):
        output = tmp_path / "found.csv"
        found = run_cli("detect", folders[2], "--reference", reference, "-o", output, "--overwrite",
                        *more)  # fmt: skip
        assert found.exit_code == 0, found.stderr
        return list(csv.DictReader(output.read_text().splitlines())), load_detected(output)[1]

    stored, _ = load_reference(reference)
    assert rows()[1]["parameters"]["tolerance"] == 2
    plain, record = rows("--tolerance", "1")
    assert record["parameters"]["tolerance"] == 1
    tolerant, record = rows("--tolerance", "50")
    assert record["parameters"]["tolerance"] == 50
    ranked = Reference(stored.scores)
    for row, before in zip(tolerant, plain, strict=True):
        scores = np.array([[float(row[name]) for name in stored.columns]])
        assert [row[name] for name in stored.columns] == [before[name] for name in stored.columns]
        expected = ranked.unusualness(scores / np.array([50, 1, 50])).p_value[0]
        assert float(row["p_value"]) == pytest.approx(expected, abs=1e-6)
        assert float(row["p_value"]) >= float(before["p_value"])
    assert [row["p_value"] for row in tolerant] != [row["p_value"] for row in plain]


def test_images_of_another_size_than_the_reference_are_told(run_cli, folders, reference, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    (small / "a.png").write_bytes(encode_png(make_picture(0, 40, 40)))
    result = run_cli("detect", small, "--reference", reference)
    assert result.exit_code == 0
    assert "the clean images of the reference are 48x56, these images 40x40" in result.stderr
    resized = tmp_path / "resized.h5"
    run_cli("detect", folders[0], "--calibrate", "--resize-to", "40", "-o", resized)
    result = run_cli("detect", folders[1], "--reference", resized)
    assert "noise depends on the size" not in result.stderr


REFUSED = {
    "no reference": (["imgs"], "detect needs clean images to compare with: --reference benign/, "
                     "or a file made by --calibrate"),
    "too few": (["imgs", "--reference", "benign", "--false-alarms", "0.01"],
                "--false-alarms 0.01: the reference has 24 clean images, with which no p-value is "
                "below 1/25; take 99 or more, or more false alarms"),
    "a score that the reference lacks": (
        ["imgs", "--reference", "reference.h5", "--score", "swing"],
        "--score swing: reference.h5 has no such score; it has noise, period, color"),
    "a size beside a reference": (
        ["imgs", "--reference", "reference.h5", "--resize-to", "20"],
        "--resize-to: reference.h5 sets the size; leave it out"),
    "both ways": (["imgs", "--calibrate", "--reference", "benign"],
                  "--calibrate and --reference cannot be used together"),
    "a model for nothing": (
        ["imgs", "--reference", "benign", "--model", "m.onnx", "--score", "noise"],
        "--model: none of the scores needs a classifier; leave it out"),
    "another artifact": (["imgs", "--reference", "dict.h5"],
                         "dict.h5: expected rsparse-detector, got rsparse-dictionary"),
    "two folders of one name": (
        ["imgs", "--reference", "benign", "--attacked", "adv", "--attacked", "adv"],
        "--attacked: adv and adv have the same name"),
    "an output of another kind": (["imgs", "--reference", "benign", "-o", "found.h5"],
                                  "found.h5: expected a file ending in .csv"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_it_refuses(case, run_cli, folders, reference, dict_file, tmp_path, monkeypatch):
    arguments, line = REFUSED[case]
    four_animals(tmp_path / "m.onnx")
    monkeypatch.chdir(tmp_path)
    result = run_cli("detect", *arguments)
    assert result.exit_code == 2
    assert result.stderr == f"rsparse: error: {line}\n"


def test_an_unusable_image_does_not_stop_the_others(run_cli, folders, reference):
    (folders[1] / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    result = run_cli("detect", folders[1], "--reference", reference)
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 11
    assert "broken.png" in result.stderr


def test_a_changed_table_is_refused_by_verify(run_cli, folders, reference, tmp_path):
    output = tmp_path / "found.csv"
    run_cli("detect", folders[1], "--reference", reference, "-o", output)
    assert run_cli("verify", output, reference).exit_code == 0
    output.write_text(output.read_text().replace(",no,", ",yes,"))
    result = run_cli("verify", output)
    assert result.exit_code == 1
    assert "found.csv: differs from the checksum" in result.stdout + result.stderr


class TestPurifyOnlyDetected:
    """``purify --only-detected`` cleans what a table lists as detected, and keeps the rest."""

    JPEG = ("--defense", "jpeg:quality=20")

    @pytest.fixture
    def both(self, run_cli, folders, tmp_path, reference) -> tuple[Path, Path]:
        """Clean and attacked images in one folder, and what was detected among them."""
        both, table = tmp_path / "both", tmp_path / "found.csv"
        for folder in folders[1:]:
            (both / folder.name).mkdir(parents=True)
            for path in folder.iterdir():
                (both / folder.name / path.name).write_bytes(path.read_bytes())
        result = run_cli("detect", both, "--reference", reference, "-o", table)
        assert result.exit_code == 0, result.stderr
        return both, table

    def test_others_are_kept_byte_for_byte_in_pixels(self, run_cli, both, tmp_path):
        folder, table = both
        output, everything = tmp_path / "some", tmp_path / "all"
        result = run_cli("purify", folder, *self.JPEG, "--only-detected", table, "-o", output)
        assert result.exit_code == 0, result.stderr
        run_cli("purify", folder, *self.JPEG, "-o", everything)
        manifest = json.loads((output / "manifest.json").read_text())
        assert manifest["parameters"]["only_detected"] is True
        assert [source["name"] for source in manifest["inputs"]] == ["both", "found.csv"]
        flags = [entry["detected"] for entry in manifest["images"]]
        assert 10 <= sum(flags) < 20
        told = f"{sum(flags)} of {len(flags)} images were detected and cleaned, the others are kept"
        assert told in result.stderr.splitlines()
        for entry in manifest["images"]:
            expected = (everything if entry["detected"] else folder) / f"{entry['name']}.png"
            made = output / entry["file"]
            np.testing.assert_array_equal(
                *(decode_image(p.read_bytes(), p) for p in (made, expected))
            )
        assert run_cli("verify", output).exit_code == 0

    def test_an_image_that_was_not_examined_fails_alone(self, run_cli, both, tmp_path):
        folder, table = both
        (folder / "new.png").write_bytes(encode_png(make_picture(99)))
        result = run_cli(
            "purify", folder, *self.JPEG, "--only-detected", table, "-o", tmp_path / "some"
        )
        assert result.exit_code == 1
        assert "new.png: is not among the images that were examined; detect again" in result.stderr

    def test_a_changed_table_is_refused(self, run_cli, both, tmp_path):
        folder, table = both
        table.write_text(table.read_text().replace(",no,", ",yes,"))
        result = run_cli("purify", folder, *self.JPEG, "--only-detected", table)
        assert result.exit_code == 2
        assert result.stderr == (
            f"rsparse: error: {table}: differs from the checksum in found.csv.json; make it again\n"
        )

    @pytest.mark.parametrize(
        ("given", "wanted"), [("reference.h5", "found.csv"), ("other.csv.json", "other.csv")]
    )
    def test_another_file_of_detect_is_refused_and_the_table_named(
        self, assert_error, both, tmp_path, given, wanted
    ):
        assert_error(
            f"{tmp_path / given}: expected a table that rsparse detect writes with -o {wanted}, a "
            "file ending in .csv",
            "purify", both[0], *self.JPEG, "--only-detected", tmp_path / given,
        )  # fmt: skip

    def test_a_table_without_a_record_is_refused(self, assert_error, both):
        folder, table = both
        alone = table.with_name("alone.csv")
        alone.write_bytes(table.read_bytes())
        assert_error(
            f"{alone}: has no alone.csv.json beside it, which rsparse detect writes with "
            "-o alone.csv",
            "purify", folder, *self.JPEG, "--only-detected", alone,
        )  # fmt: skip
