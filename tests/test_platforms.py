"""Without what Python only has on Linux and macOS; native Windows itself is not tested."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
import pytest

from rsparse.store.files import is_inner
from rsparse.store.images import encode_png
from tests.conftest import REPOSITORY, make_picture

HIDE = """
import builtins, os, signal, sys
import cv2, filelock, h5py, multiprocessing.connection, numba, numpy, onnxruntime
import rich.progress, typer

MODULES = {"fcntl", "grp", "pty", "pwd", "resource", "termios", "tty"}
OF_OS = (
    "O_CLOEXEC O_DIRECTORY O_NOFOLLOW O_NONBLOCK chown fchmod fork forkpty geteuid getpgid getuid "
    "killpg mkfifo nice pread pwrite sched_getaffinity setsid statvfs uname wait4"
)
OF_SIGNAL = "SIGALRM SIGHUP SIGKILL SIGQUIT SIGUSR1 alarm pthread_kill pthread_sigmask setitimer"

real = builtins.__import__

def without_posix(name, globals=None, *rest):
    if name in MODULES and str((globals or {}).get("__name__")).startswith("rsparse"):
        raise ImportError(name)
    return real(name, globals, *rest)

builtins.__import__ = without_posix
for module, names in ((os, OF_OS), (signal, OF_SIGNAL)):
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
"""


def run(code: str, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", HIDE + code, *map(str, words)],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
    )


def test_the_commands_can_be_imported():
    code = (
        "import importlib, pkgutil\n"
        "import rsparse, rsparse.signals\n"
        "for package in ('cli', 'commands', 'store', 'work', 'defended', 'report'):\n"
        "    place = importlib.import_module(f'rsparse.{package}')\n"
        "    for found in pkgutil.walk_packages(place.__path__, place.__name__ + '.'):\n"
        "        importlib.import_module(found.name)\n"
        "print('imported')\n"
    )
    result = run(code)
    assert (result.returncode, result.stdout) == (0, "imported\n"), result.stderr


def test_a_command_writes_the_same_bytes(tmp_path: Path, run_cli):
    images = tmp_path / "imgs"
    images.mkdir()
    for number in range(3):
        (images / f"{number}.png").write_bytes(encode_png(make_picture(number)))
    words = ("purify", images, "--defense", "median", "-j", 1, "-o")
    code = "from rsparse.__main__ import main\nmain()\n"
    result = run(code, *words, tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{tmp_path / 'out'}\n"
    assert run_cli(*words, tmp_path / "usual").exit_code == 0
    for path in sorted((tmp_path / "usual").iterdir()):
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()
    again = run(code, *words, tmp_path / "out")
    assert again.returncode == 2
    assert "exists; choose another output" in again.stderr


@pytest.mark.parametrize(
    ("path", "on_windows", "elsewhere"),
    [
        ("cat/01.png", True, True),
        (r"cat\01.png", True, True),
        ("", False, False),
        ("a\0b", False, False),
        ("/etc/passwd", False, False),
        (r"\top.png", False, True),
        (r"C:\top.png", False, True),
        ("C:here.png", False, True),
        (r"\\server\share\x.png", False, True),
        ("x.png:hidden", False, True),
    ],
)
def test_paths_in_a_manifest_stay_in_its_folder(path, on_windows, elsewhere):
    """A file of Linux may be named as a disk is on Windows, where the manifest is then refused."""
    assert is_inner(path, PureWindowsPath) is on_windows
    assert is_inner(path, PurePosixPath) is elsewhere


def test_the_lock_ends_with_its_process(tmp_path: Path):
    """Another process holds it, then is killed."""
    from rsparse.store.descriptors import try_lock

    path = tmp_path / "file"
    path.touch()
    code = (
        "import sys, time\n"
        "from rsparse.store.descriptors import try_lock\n"
        "file = open(sys.argv[1], 'r+')\n"
        "print(try_lock(file.fileno()), flush=True)\n"
        "time.sleep(60)\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        with path.open("r+") as file:
            assert try_lock(file.fileno()) is False
            holder.kill()
            holder.wait()
            assert try_lock(file.fileno()) is True
    finally:
        holder.kill()
        holder.communicate()


def test_places_are_read_and_written_without_pread(tmp_path: Path, monkeypatch):
    import os

    from rsparse.store.descriptors import read_at, write_at

    content = np.arange(256, dtype=np.uint8).tobytes()
    (tmp_path / "file").write_bytes(content)
    monkeypatch.delattr(os, "pread")
    monkeypatch.delattr(os, "pwrite")
    with (tmp_path / "file").open("r+b", buffering=0) as file:
        assert read_at(file.fileno(), 5, 100) == content[100:105]
        assert write_at(file.fileno(), memoryview(b"abc"), 7) == 3
        assert read_at(file.fileno(), 5, 6) == b"\x06abc\x0a"
