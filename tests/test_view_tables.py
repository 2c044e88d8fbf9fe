"""Predictions and detections that ``rsparse view`` shows beside the images they are of."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from rsparse.store.images import decode_image, encode_png, to_pixels
from tests.conftest import REPOSITORY
from tests.versions import NAMES, get_json, not_served, serving, write_all

__all__ = ["not_served"]  # the fixture

MODEL = REPOSITORY / "fixtures" / "colours.onnx"


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    return write_all(tmp_path)[:2]


@pytest.mark.parametrize("suffix", ["csv", "h5"])
def test_predictions_are_the_verdicts(folders, tmp_path, run_cli, suffix):
    """The classes of the CSV file are those of its first column."""
    tables = []
    for folder in folders:
        table = tmp_path / f"pred-{folder.name}.{suffix}"
        assert run_cli("classify", folder, "--model", MODEL, "-o", table).exit_code == 0
        tables.append(table)
    found = run_cli("classify", folders[0], "--model", MODEL).stdout
    with serving([*folders, *reversed(tables)]) as server:
        items = get_json(server, "items?start=0&end=9")["items"]
    for line, item in zip(found.splitlines()[1:], items, strict=True):
        cells = line.split(",")
        assert cells[0] == item["name"]
        assert item["versions"][0]["text"] in cells
        assert set(item["versions"][1]) == {"text", "right"}


def test_detections_are_the_rejected_images(folders, tmp_path, run_cli):
    photos, noisy = folders[0], tmp_path / "noisy"
    noise = np.random.default_rng(0).normal(0, 12, (40, 40, 3))
    for number, name in enumerate(NAMES):
        pixels = decode_image((photos / f"{name}.png").read_bytes(), photos)
        (noisy / name).parent.mkdir(parents=True, exist_ok=True)
        shown = pixels + noise * (number < 3)
        (noisy / f"{name}.png").write_bytes(encode_png(to_pixels(shown.astype(np.float32) / 255)))
    reference, found = tmp_path / "ref.h5", tmp_path / "found.csv"
    alarms = ("--false-alarms", 0.3)
    run_cli("detect", photos, "--calibrate", "--score", "noise", *alarms, "-o", reference)
    run_cli("detect", noisy, "--reference", reference, *alarms, "-o", found)
    with serving([photos, noisy, found]) as server:
        filters = {f["text"]: f["count"] for f in get_json(server, "scene")["filters"]}
        items = get_json(server, "items?start=0&end=9")["items"]
    assert filters == {"rejected: noisy": 3}
    assert [item.get("rejected", False) for item in items] == [True, True, True, False]

    run_cli("purify", noisy, "--only-detected", found, "-o", tmp_path / "cleaned")
    with serving([noisy, tmp_path / "cleaned"]) as server:  # cleaned, so not rejected
        filters = {f["text"] for f in get_json(server, "scene")["filters"]}
    assert filters
    assert not any(text.startswith("rejected") for text in filters)


def test_tables_in_a_folder_of_artifacts_are_found(folders, tmp_path, run_cli):
    run_cli("classify", folders[1], "--model", MODEL, "-o", tmp_path / "pred-adv.csv")
    run_cli("classify", folders[0], "--model", MODEL, "-o", tmp_path / "pred-photos.csv")
    with serving([tmp_path]) as server:
        items = get_json(server, "items?start=0&end=1")["items"]
    assert items[0]["versions"][0]["text"] in ("red", "green", "blue")


def test_tables_of_other_images_are_refused(assert_error, not_served, folders, tmp_path, run_cli):
    photos, adv = folders
    table = tmp_path / "pred.csv"
    run_cli("classify", photos, "--model", MODEL, "-o", table)
    assert_error(
        f"{table}: is of images in photos, colours.onnx, but {adv} is shown; give that folder",
        "view", adv, table,
    )  # fmt: skip
    other = tmp_path / "b" / "photos"
    shutil.copytree(photos, other)
    assert_error(
        f"{table}: is of images in photos, colours.onnx; {photos}, {other} both could be",
        "view", photos, other, table,
    )  # fmt: skip
    table.write_text(table.read_text().replace("cat/01", "cat/00"))
    assert_error(
        f"{table}: differs from the checksum in pred.csv.json; make it again", "view", photos, table
    )
    damaged = tmp_path / "pred.h5"
    damaged.write_bytes(b"none")
    assert_error(f"{damaged}: is not an HDF5 file", "view", photos, damaged)
