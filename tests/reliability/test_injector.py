"""The fault injector itself, on a program whose file-system calls are known."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.reliability import injector
from tests.reliability.injector import Control, Fault

PROGRAM = """\
import os, sys
os.mkdir("new")
with open("new/a", "wb", buffering=0) as file:
    file.write(b"12345678")
    os.fsync(file.fileno())
os.replace("new/a", "new/b")
with open("new/b", "rb") as file:
    assert len(file.read()) == 8
os.unlink("new/b")
os.rmdir("new")
"""
EXPECTED = (
    "mkdir new", "open new/a", "write new/a", "sync new/a", "close new/a", "rename new/a",
    "read-open new/b", "unlink new/b", "rmdir new",
)  # fmt: skip


@pytest.fixture
def control(tmp_path: Path) -> Control:
    try:
        injector.build_injector()
    except injector.NoCompiler as error:
        pytest.skip(str(error))
    (tmp_path / "box").mkdir()
    return Control(tmp_path / "control", tmp_path / "box")


def run(control: Control, folder: Path, fault: Fault) -> subprocess.CompletedProcess[str]:
    control.set(fault)
    control.arm(True)
    environment = {
        **os.environ, "LD_PRELOAD": str(injector.build_injector()),
        "RELIABILITY_CONTROL": str(control.path),
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "-S", "-c", PROGRAM], cwd=folder, env=environment, capture_output=True,
        text=True, check=False,
    )  # fmt: skip


def names(control: Control) -> list[str]:
    return [f"{call.kind} {call.path}" for call in control.calls() if call.kind != "read"]


def test_every_call_has_its_number(control: Control, tmp_path: Path) -> None:
    ended = run(control, tmp_path / "box", Fault(calls=frozenset(injector.CALLS)))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert names(control) == list(EXPECTED)
    assert control.hits == 0
    run(control, tmp_path / "box", Fault())
    assert names(control) == [name for name in EXPECTED if not name.startswith("read")]


def test_a_process_is_killed_before_a_call(control: Control, tmp_path: Path) -> None:
    ended = run(control, tmp_path / "box", injector.killed(4))
    assert ended.returncode == -signal.SIGKILL
    assert [path.name for path in (tmp_path / "box/new").iterdir()] == [
        "a"
    ]  # the rename is the 4th
    assert [call.hit for call in control.calls()] == [False, False, False, True]


def test_a_write_is_torn(control: Control, tmp_path: Path) -> None:
    assert run(control, tmp_path / "box", injector.torn(1)).returncode == -signal.SIGKILL
    assert (tmp_path / "box/new/a").read_bytes() == b"1234"


def test_a_write_is_short(control: Control, tmp_path: Path) -> None:
    ended = run(control, tmp_path / "box", injector.short_write(1))
    assert "AssertionError" in ended.stderr, "the program does not go on writing"


@pytest.mark.parametrize(
    ("fault", "number", "hits"),
    [
        (injector.disk_full(1), errno.ENOSPC, 1),
        (injector.disk_full(3), errno.ENOSPC, 1),
        (injector.broken(4), errno.EIO, 1),
        (injector.broken(5), errno.EIO, 1),
        (injector.broken(4, lasting=True), errno.EIO, 2),  # also when the file is closed
        (injector.read_only(3), errno.EROFS, 1),
        (injector.no_more_files(2), errno.EMFILE, 1),
        (injector.unreadable(1), errno.EIO, 1),
    ],
    ids=str,
)
def test_a_call_fails(
    control: Control, tmp_path: Path, fault: Fault, number: int, hits: int
) -> None:
    ended = run(control, tmp_path / "box", fault)
    assert f"[Errno {number}]" in ended.stderr
    assert (ended.returncode, control.hits) == (1, hits)


def test_what_is_written_elsewhere_is_told(control: Control, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    ended = run(control, tmp_path / "other", injector.killed(1))
    assert ended.returncode == 0
    assert control.count == 0
    assert control.strays() == [str(tmp_path / "other/new/a")]
