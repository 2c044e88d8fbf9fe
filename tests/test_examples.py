"""Real runs of ``examples/Makefile``: built with two jobs, then changed and rebuilt."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rsparse.data import demo_photos
from rsparse.store.folders import JOURNAL
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.slow

Make = Callable[..., subprocess.Popen[str]]
CLASSES = ("brick", "cat", "rocket")
STAMPS = {
    "dict": "dict.h5",
    "adv": "adv/manifest.json",
    "purified": "adv-purified/manifest.json",
    "pred-benign": "pred-benign.csv",
    "pred-attacked": "pred-attacked.csv",
    "pred-purified": "pred-purified.csv",
}


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few classes of the embedded photographs, in ``train`` and ``test``."""
    folder = tmp_path_factory.mktemp("some photographs")  # a space, as in real folders
    for split in ("train", "test"):
        for label in CLASSES:
            shutil.copytree(demo_photos(split) / label, folder / split / label)
    return folder


@pytest.fixture(scope="module")
def start(photographs: Path) -> Make:
    """Start ``make -j2`` in a folder; the output goes to its subfolder ``out``."""
    pytest.importorskip("foolbox")
    environment = {key: value for key, value in os.environ.items() if "MAKE" not in key}

    def start(folder: Path, *settings: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [
                "make", "-j2", "-f", REPOSITORY / "examples" / "Makefile", "OUT=out",
                f"PYTHON={sys.executable}", f"BENIGN={photographs / 'train'}",
                f"IMAGES={photographs / 'test'}",
                "LEARN_OPTIONS=--n-atoms 64 --patches-per-image 100 --no-smoothing", *settings,
            ],
            cwd=folder, env=environment, start_new_session=True, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    return start


def finish(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Return standard output and standard error of a process that must succeed."""
    out, err = process.communicate()
    assert process.returncode == 0, err
    return out, err


@pytest.fixture(scope="module")
def built(start: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    finish(start(folder))
    return folder


@pytest.fixture
def copy(built: Path, tmp_path: Path) -> Path:
    """A copy of the build, with its file times."""
    return shutil.copytree(built, tmp_path / "copy")


def times(folder: Path) -> dict[str, int]:
    return {name: (folder / "out" / file).stat().st_mtime_ns for name, file in STAMPS.items()}


def remade(folder: Path, before: dict[str, int]) -> set[str]:
    """Return which artifacts were rebuilt."""
    return {name for name, when in times(folder).items() if when != before[name]}


def accuracy(path: Path) -> float:
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return sum(row["label"] == row["class_1"] for row in rows) / len(rows)


def test_the_first_run_makes_everything(built: Path) -> None:
    out = built / "out"
    found = {
        name: accuracy(out / f"pred-{name}.csv") for name in ("benign", "attacked", "purified")
    }
    assert found["benign"] >= 0.9
    assert found["attacked"] <= 0.2
    assert found["purified"] > found["attacked"]


def test_the_second_run_does_nothing(copy: Path, start: Make) -> None:
    before = times(copy)
    assert finish(start(copy)) == ("", "")
    assert remade(copy, before) == set()


def test_a_newer_dictionary_renews_what_was_purified(copy: Path, start: Make) -> None:
    (copy / "out" / "dict.h5").touch()
    before = times(copy)
    finish(start(copy))
    assert remade(copy, before) == {"purified", "pred-purified"}


def test_another_attack_renews_what_was_attacked(copy: Path, start: Make) -> None:
    before = times(copy)
    finish(start(copy, "ATTACK=fgsm:eps=4"))
    assert remade(copy, before) == {"adv", "purified", "pred-attacked", "pred-purified"}


def test_a_newer_image_renews_all_but_the_dictionary(
    copy: Path, start: Make, photographs: Path
) -> None:
    before = times(copy)
    (photographs / "test" / "cat" / "00.png").touch()
    finish(start(copy))
    assert remade(copy, before) == set(STAMPS) - {"dict"}


def test_an_interrupted_run_goes_on(tmp_path: Path, start: Make) -> None:
    slow = ("ATTACK=bim:eps=8,steps=60", "ATTACK_OPTIONS=--batch-size 2")
    journal = tmp_path / "out" / "adv" / JOURNAL
    process = start(tmp_path, *slow)
    try:
        deadline = time.monotonic() + 300
        while not journal.exists() or journal.read_bytes().count(b"\n") < 3:
            assert time.monotonic() < deadline, "the attack does not begin"
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.05)
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.communicate()
    assert process.returncode != 0
    assert not (tmp_path / "out" / "adv" / "manifest.json").exists()
    _, err = finish(start(tmp_path, *slow))
    assert "from an earlier run" in err
    assert accuracy(tmp_path / "out" / "pred-attacked.csv") <= 0.2
