"""Fixtures for all tests: generated pictures, a dictionary, the command line."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from rsparse.core.dictionary import Dictionary
from rsparse.core.engines.cpu import loops
from rsparse.store import syncing
from rsparse.store.images import encode_png

REPOSITORY = Path(__file__).parent.parent


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell ignores it in `&` jobs,
    signal.signal(signal.SIGINT, signal.default_int_handler)  # and their children inherit that


FORCE_FILE, FORCE_ALL = os.fsync, syncing._sync_file_system


@pytest.fixture(scope="session", autouse=True)
def do_not_wait_for_the_disk() -> Iterator[None]:
    """Force nothing to the disk in this process: no test cuts the power, and all would wait."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        patch.setattr(syncing, "_sync_file_system", lambda folder: True)
        yield


@pytest.fixture
def wait_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Force files to the disk in a test, as commands do."""
    monkeypatch.setattr(os, "fsync", FORCE_FILE)
    monkeypatch.setattr(syncing, "_sync_file_system", FORCE_ALL)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of photographs and classifiers; tests that use it are marked ``shared``."""
    folder = Path(os.environ.get("RSPARSE_SHARED", REPOSITORY.parent / "shared"))
    if not (folder / "models").is_dir():
        pytest.skip("no folder of photographs and classifiers (RSPARSE_SHARED)")
    return folder


def make_picture(seed: int, height: int = 48, width: int = 56) -> np.ndarray:
    """A smooth random picture with a textured square, uint8 (h, w, 3)."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width].astype(float)
    waves = [
        127
        + 60 * np.sin(rows / rng.uniform(4, 12) + seed)
        + 60 * np.cos(columns / rng.uniform(4, 9))
        for _ in range(3)
    ]
    picture = np.stack(waves, axis=-1)
    top, left = height // 4, width // 4
    picture[top : top + height // 2, left : left + width // 2] += rng.normal(
        0, 30, (height // 2, width // 2, 3)
    )
    return np.clip(picture, 0, 255).astype(np.uint8)


@pytest.fixture(params=["numba", "numpy"])
def each_engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each implementation of the inner loops on the CPU: compiled, and in NumPy."""
    chosen = {"numba": loops.NUMBA, "numpy": loops.NUMPY}[request.param]
    monkeypatch.setattr(loops, "fastest", chosen)
    return str(request.param)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of three small PNG pictures, one in a subfolder: a, b, sub/c."""
    return save_pictures(tmp_path / "imgs")


def save_pictures(folder: Path) -> Path:
    """Write three small pictures into a new folder: a, b, sub/c."""
    (folder / "sub").mkdir(parents=True)
    for seed, name in enumerate(("a", "b", "sub/c")):
        (folder / f"{name}.png").write_bytes(encode_png(make_picture(seed)))
    return folder


@pytest.fixture(scope="session")
def small_dictionary() -> Dictionary:
    """A seeded random dictionary: 4×4 colour patches, 64 atoms of norm 1."""
    atoms = np.random.default_rng(0).standard_normal((64, 48)).astype(np.float32)
    return Dictionary(atoms / np.linalg.norm(atoms, axis=1, keepdims=True), 4)


def make_dict_file(folder: Path, dictionary: Dictionary) -> Path:
    """Save a dictionary as ``dict.h5`` in a folder; equal ones have equal bytes."""
    from rsparse.store.dictionaries import save_dictionary
    from rsparse.store.records import DICTIONARY, Record

    path = folder / "dict.h5"
    save_dictionary(path, Record(DICTIONARY, "learn-dict", {}, 0), dictionary, {}, {})
    return path


@pytest.fixture
def dict_file(tmp_path: Path, small_dictionary: Dictionary) -> Path:
    """Path of a ``dict.h5`` with ``small_dictionary``."""
    return make_dict_file(tmp_path, small_dictionary)


@pytest.fixture(scope="session")
def run_cli() -> Callable[..., Result]:
    """Run the command line in this process; the result has exit_code, stdout and stderr."""
    from rsparse.cli import app

    def run(*arguments: object) -> Result:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture
def assert_error(run_cli: Callable[..., Result]) -> Callable[..., None]:
    """Check that a command ends with exit code 2 and exactly this line on stderr."""

    def check(line: str, *arguments: object) -> None:
        result = run_cli(*arguments)
        assert result.stderr.splitlines() == [f"rsparse: error: {line}"]
        assert result.exit_code == 2
        assert result.stdout == ""

    return check


def tree_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content, to compare whole folders."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def one_torch_core() -> Iterator[None]:
    """Run torch on one thread: with small networks, more threads only wait for each other."""
    from rsparse.attacks.backend import one_torch_thread

    with one_torch_thread():
        yield


@pytest.fixture(scope="session")
def timm() -> Any:
    """The timm package, even if torchvision's compiled part is missing."""
    pytest.importorskip("torch")
    from tests.torchvision_operators import import_torchvision

    import_torchvision()
    return pytest.importorskip("timm")


def inodes(folder: Path) -> dict[Path, int]:
    return {path.relative_to(folder): path.stat().st_ino for path in folder.rglob("*.png")}


@pytest.fixture(scope="session")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of thirty pictures, so large that a run takes long enough to interrupt."""
    folder = tmp_path_factory.mktemp("many") / "imgs"
    for seed in range(30):
        path = folder / f"{seed % 3}" / f"{seed}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(make_picture(seed, 240, 250)))
    return folder
