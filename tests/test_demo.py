"""The demo reaches its promised accuracies and resumes where it stopped."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from rsparse.store import records
from rsparse.store.images import decode_image
from tests.conftest import tree_of
from tests.methods import raise_method


@pytest.fixture(scope="module")
def demo_folder(tmp_path_factory) -> Path:
    from rsparse.commands.demo import run_demo

    folder = tmp_path_factory.mktemp("demo") / "demo"
    results = run_demo(folder)
    assert results["benign"].value >= 0.95
    assert results["attacked"].value < 0.10
    assert results["purified attacked"].value >= 0.60
    return folder


def test_all_artifacts_are_there(demo_folder):
    for name in ("dict.h5", "dict.png", "activations.h5", "activations.png", "contact-sheet.png"):
        assert (demo_folder / name).is_file()
    for name in ("adv", "masks", "adv-purified", "benign-purified", "attention-adv"):
        assert (demo_folder / name / "manifest.json").is_file()
    sheet = demo_folder / "contact-sheet.png"
    pixels = decode_image(sheet.read_bytes(), sheet)
    assert pixels.shape[0] > 1000
    assert pixels.shape[1] > 1400


def test_goes_on_with_what_is_missing(demo_folder, run_cli):
    before = tree_of(demo_folder)
    (demo_folder / "pred-adv-purified.csv").unlink()
    (demo_folder / "pred-adv-purified.csv.json").unlink()
    (demo_folder / "contact-sheet.png").unlink()
    result = run_cli("demo", "-o", demo_folder, "--json")
    assert result.exit_code == 0
    assert tree_of(demo_folder) == before
    told = json.loads(result.stdout)
    assert told["contact_sheet"] == str(demo_folder / "contact-sheet.png")
    interval = told["sets"]["attacked"]["interval_95"]
    assert 0 <= interval[0] <= told["sets"]["attacked"]["accuracy"] <= interval[1] < 0.2


def test_another_release_passes_over_what_is_there(demo_folder, run_cli, monkeypatch):
    before = tree_of(demo_folder)
    monkeypatch.setattr(records, "GENERATOR", "rsparse 99")
    assert run_cli("demo", "-o", demo_folder).exit_code == 0
    assert tree_of(demo_folder) == before


@pytest.mark.parametrize(
    ("stage", "name"),
    [
        ("learn-dict", "dict.h5"),
        ("attack", "adv"),
        ("purify", "benign-purified"),
        ("classify", "pred-benign.csv"),
        ("activations", "activations.h5"),
    ],
)
def test_what_another_method_made_is_refused(demo_folder, assert_error, monkeypatch, stage, name):
    before = tree_of(demo_folder)
    changed = raise_method(monkeypatch, stage)
    assert_error(
        f"{demo_folder / name}: was made by {changed}; pass --overwrite to run "
        "the demo again",
        "demo", "-o", demo_folder,
    )  # fmt: skip
    assert tree_of(demo_folder) == before


def test_so_is_what_came_of_it(demo_folder, tmp_path, assert_error, monkeypatch):
    """Relearning the dictionary does not renew the pictures purified with the old one."""
    copied = tmp_path / "demo"
    shutil.copytree(demo_folder, copied)
    (copied / "dict.h5").unlink()
    changed = raise_method(monkeypatch, "learn-dict")
    monkeypatch.setattr("rsparse.commands.learn_dict.learn_dict", lambda *_, **__: None)
    assert_error(
        f"{copied / 'benign-purified'}: was made by {changed}; pass "
        "--overwrite to run the demo again",
        "demo", "-o", copied,
    )  # fmt: skip


def test_difference_on_the_sheet_is_the_attack(demo_folder):
    manifest = json.loads((demo_folder / "adv" / "manifest.json").read_text())
    assert max(entry["linf"] for entry in manifest["images"]) <= 8
    assert np.mean([entry["success"] for entry in manifest["images"]]) > 0.9
