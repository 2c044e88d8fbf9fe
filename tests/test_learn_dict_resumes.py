"""An interrupted ``learn-dict`` resumes and writes the same bytes as a full run."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rsparse.store.images import encode_png
from tests.conftest import make_picture

OPTIONS = ("--n-atoms", "16", "--patch-size", "4", "--patches-per-image", "60", "--jobs", "1")


@pytest.fixture
def many_pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "imgs"
    folder.mkdir()
    for seed in range(12):
        (folder / f"{seed}.png").write_bytes(encode_png(make_picture(seed, 160, 160)))
    return folder


def test_killed_and_taken_up_again(many_pictures, run_cli, tmp_path):
    whole, broken = tmp_path / "whole.h5", tmp_path / "broken.h5"
    assert run_cli("learn-dict", many_pictures, "-o", whole, *OPTIONS).exit_code == 0
    command = [sys.executable, "-m", "rsparse", "learn-dict", str(many_pictures), "-o", str(broken)]
    process = subprocess.Popen([*command, *OPTIONS], stderr=subprocess.DEVNULL)
    journal = tmp_path / ".broken.h5.rsparse-journal.jsonl"
    deadline = time.monotonic() + 60
    while not journal.exists() or journal.read_bytes().count(b"\n") < 4:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not broken.exists()
    result = run_cli("learn-dict", many_pictures, "-o", broken, *OPTIONS)
    assert result.exit_code == 0
    assert "from an earlier run" in result.stderr
    assert broken.read_bytes() == whole.read_bytes()
    assert not journal.exists()


def test_too_few_patches_leave_nothing(many_pictures, run_cli, tmp_path):
    result = run_cli(
        "learn-dict", many_pictures, "-o", tmp_path / "d.h5", "--n-atoms", "5000", *OPTIONS[2:]
    )
    assert result.exit_code == 2
    assert "only " in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["imgs"]
