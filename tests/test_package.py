"""The built distributions: their contents, and that the wheel works in an empty venv."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from email.parser import HeaderParser
from pathlib import Path, PurePosixPath

import pytest
from update_docs import command_paths

from rsparse import __version__
from rsparse.data import demo_model, demo_photos
from rsparse.defenses.policy import policy_names
from rsparse.errors import installing
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.slow

Run = Callable[..., subprocess.CompletedProcess[str]]
FIXTURES = REPOSITORY / "fixtures"
TEMPLATES = ("macros.html", "page.html", "report.css")
VIEWER_TEMPLATES = (
    "grid.js", "image.html", "image.js", "view.css", "view.html", "view.js",
)  # fmt: skip
SHARED_TEMPLATES = (
    "base.css", "base.html", "compare.css", "compare.js", "outcomes.css", "outcomes.js",
    "parts.html", "records.css", "records.html", "tables.css", "tables.js", "tips.css", "tips.js",
)  # fmt: skip


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the source distribution and the wheel built from it."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, REPOSITORY],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def wheel(distributions: Path) -> Path:
    (path,) = distributions.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script folder of a venv that holds only the wheel and its dependencies."""
    venv = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    programs = venv / "bin"
    subprocess.run(
        [
            sys.executable, "-m", "pip", "--python", programs / "python", "install", "-qq",
            "--disable-pip-version-check", "-c", REPOSITORY / "constraints.txt", wheel,
        ],
        check=True,
    )  # fmt: skip
    return programs


@pytest.fixture
def run(installed: Path, tmp_path: Path) -> Run:
    """Run a program of the venv in an empty folder, without this process's search paths."""
    kept = ("HOME", "LANG", "TMPDIR")
    environment = {key: os.environ[key] for key in kept if key in os.environ}
    environment["PATH"] = f"{installed}{os.pathsep}{os.defpath}"

    def start(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = [str(installed / program), *map(str, arguments)]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    return start


def done(process: subprocess.CompletedProcess[str]) -> str:
    """Return standard output of a process that must succeed."""
    assert process.returncode == 0, process.stderr
    return process.stdout


def test_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    info = f"rsparse-{__version__}.dist-info"
    pages = info.replace(".dist-info", ".data")  # see tests/test_man_pages.py
    assert {PurePosixPath(name).parts[0] for name in names} == {"rsparse", info, pages}
    assert {
        "rsparse/py.typed",
        "rsparse/data/LICENSES.md",
        "rsparse/data/photos/crops.csv",
        *(f"rsparse/report/templates/{name}" for name in TEMPLATES),
        *(f"rsparse/pages/templates/{name}" for name in SHARED_TEMPLATES),
        *(f"rsparse/viewer/templates/{name}" for name in VIEWER_TEMPLATES),
        *(f"rsparse/defenses/policies/{name}.toml" for name in policy_names()),
    } <= names
    assert {f"{info}/licenses/LICENSE", f"{info}/licenses/rsparse/data/LICENSES.md"} <= names
    shipped = demo_photos("test").parent.rglob("*.png")
    photographs = {path.relative_to(demo_model().parent).as_posix() for path in shipped}
    assert {f"rsparse/data/{name}" for name in (*photographs, demo_model().name)} <= names
    assert not [name for name in names if name.endswith(".pyc")]
    assert wheel.stat().st_size < 9e6


def test_metadata(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(f"rsparse-{__version__}.dist-info/METADATA").decode()
    metadata = HeaderParser().parsestr(text)
    required = metadata.get_all("Requires-Dist") or []
    core = {entry.split(">")[0] for entry in required if "extra ==" not in entry}
    assert not core & {"torch", "foolbox", "torchvision"}
    extras = {
        "attack", "attention", "autoattack", "cluster", "dev", "docs", "fast", "mlflow", "models",
        "tensorboard", "train",
    }  # fmt: skip
    assert set(metadata.get_all("Provides-Extra") or []) == extras
    assert (metadata["License-Expression"], metadata["Requires-Python"]) == ("MIT", ">=3.11")


def test_source_distribution_holds_what_the_tests_need(distributions: Path) -> None:
    (path,) = distributions.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}
    assert {
        "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile", "constraints.txt",
        "docs/formats.md", "examples/Makefile", "fixtures/dict.h5", "scripts/make_fixtures.py",
        "tests/conftest.py", "rsparse/py.typed", "man/rsparse-purify.1",
    } <= names  # fmt: skip


def test_version(run: Run) -> None:
    assert done(run("rsparse", "--version")) == f"rsparse {__version__}\n"
    assert done(run("python", "-m", "rsparse", "--version")) == f"rsparse {__version__}\n"


@pytest.mark.parametrize("command", command_paths(), ids=" ".join)
def test_help_needs_no_torch(run: Run, command: tuple[str, ...]) -> None:
    process = run("rsparse", *command, "--help")
    assert done(process).startswith("Usage: rsparse")
    assert process.stderr == ""


def test_torch_is_not_there(run: Run) -> None:
    assert run("python", "-c", "import torch").returncode == 1


def test_purify_one_image(run: Run, tmp_path: Path) -> None:
    image, dictionary = FIXTURES / "images/png-rgb.png", FIXTURES / "dict.h5"
    assert done(run("rsparse", "purify", image, "--dict", dictionary, "-o", "clean")) == "clean\n"
    manifest = json.loads((tmp_path / "clean" / "manifest.json").read_text())
    assert [entry["file"] for entry in manifest["images"]] == ["png-rgb.png"]


def test_learn_and_classify_the_embedded_photographs(run: Run, tmp_path: Path) -> None:
    locate = "from rsparse.data import *; print(demo_photos('train')); print(demo_model())"
    photographs, model = done(run("python", "-c", locate)).splitlines()
    assert "site-packages" in photographs
    options = ("--n-atoms", 32, "--patches-per-image", 20)
    assert done(run("rsparse", "learn-dict", photographs, "-o", "dict.h5", *options)) == "dict.h5\n"
    result = json.loads(done(run("rsparse", "classify", photographs, "--model", model, "--json")))
    assert result["accuracy"]["value"] >= 0.95


def test_attack_says_what_to_install(run: Run, tmp_path: Path) -> None:
    process = run(
        "rsparse", "attack", demo_photos("test"), "--model", demo_model(), "--attack", "bim:eps=8",
        "-o", "adv",
    )  # fmt: skip
    assert process.stderr.splitlines() == [
        "rsparse: error: attacks need foolbox, which is not installed: " + installing("attack")
    ]
    assert process.returncode == 2
    assert list(tmp_path.iterdir()) == []
