"""What an installation takes: sums of files that packages list, and what an extra adds."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import install_size
import pytest
from install_size import Package, installed, megabytes, plain_table, required

from rsparse.cli import notes
from rsparse.cli.console import Stopwatch
from tests.conftest import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PAGE = (REPOSITORY / "docs" / "install.md").read_text(encoding="utf-8")


def make_package(site: Path, name: str, files: dict[str, int], requires: tuple[str, ...] = ()):
    """Install a package of files of these sizes, as pip would."""
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    lines = ["Metadata-Version: 2.4", f"Name: {name}", "Version: 1.0"]
    lines += [f"Requires-Dist: {line}" for line in requires]
    (info / "METADATA").write_text("\n".join(lines) + "\n")
    for file, size in files.items():
        (site / file).parent.mkdir(parents=True, exist_ok=True)
        (site / file).write_bytes(b"x" * size)
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in [*files, "missing.py"]))


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    site = tmp_path / "lib" / "python3.11" / "site-packages"
    make_package(site, "small", {"small.py": 400_000})
    large = {"large/a.so": 9_000_000, "large/__pycache__/a.cpython-311.pyc": 1_000_000}
    make_package(site, "large", large)
    (site / "unlisted.py").write_bytes(b"x" * 10**6)
    (tmp_path / "lib64").symlink_to(tmp_path / "lib")
    return tmp_path


def test_packages_are_measured_by_their_files_the_largest_first(venv):
    found = installed(venv)
    assert found == [Package("large", 10_000_000, 1_000_000), Package("small", 400_000, 0)]
    assert megabytes(found) == 10


def test_small_packages_share_a_row(venv):
    table = plain_table(installed(venv))
    assert "**10 MB and 2 packages**" in table
    assert "1 MB of it is bytecode" in table
    assert "| large | 10 |\n| 1 others | 0 |" in table


def test_an_extra_brings_what_its_packages_require(tmp_path):
    make_package(tmp_path, "a", {}, ("b", "c; extra == 'more'", "d; python_version < '3'"))
    for name in "bcd":
        make_package(tmp_path, name, {})
    known = {each.name: each for each in install_size.distributions(path=[str(tmp_path)])}
    extras = {"x": ["a[more]", "absent"], "y": ["rsparse[x]"]}
    project = {"dependencies": ["b"], "optional-dependencies": extras}
    assert required(project, "", known) == {"b"}
    assert required(project, "x", known) == required(project, "y", known) == {"a", "b", "c"}


def test_the_page_fits_the_limits_and_names_every_extra():
    import release_check

    found = re.search(r"\*\*(\d+) MB and (\d+) packages\*\*", PAGE)
    assert found is not None
    assert int(found[1]) <= release_check.MEGABYTES
    assert int(found[2]) <= release_check.PACKAGES
    for extra in set(PROJECT["optional-dependencies"]) - install_size.INTERNAL:
        assert f"| `{extra}` |" in PAGE
    table = PAGE.partition("| extra | for |")[2].partition("\n\n")[0]
    named = re.findall(r"`([a-z]+)`", "".join(re.findall(r"(?m)^\|[^|]*\|", table)))
    assert sorted(named) == sorted(set(PROJECT["optional-dependencies"]) - install_size.INTERNAL)


def test_the_packages_that_were_asked_for_are_in_the_plain_install():
    names = " ".join(PROJECT["dependencies"])
    asked = ("typer", "rich", "numpy", "scikit-learn", "opencv", "pillow", "h5py", "onnxruntime")
    assert [name for name in asked if name not in names] == []
    assert distribution("foolbox").name in " ".join(PROJECT["optional-dependencies"]["attack"])


def test_the_readme_repeats_the_page():
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    (plain,) = re.findall(r"\*\*(\d+) MB", PAGE)
    (fast,) = re.findall(r"\| `fast` \| (\d+) \|", PAGE)
    assert f"({plain} MB)" in readme
    assert f"({fast} MB more)" in readme


def test_only_a_long_run_without_numba_tells_of_it(monkeypatch, capsys):
    watch = Stopwatch()
    for installed_, seconds, told in ((True, 99, False), (False, 0, False), (False, 99, True)):
        monkeypatch.setattr(notes, "find_spec", lambda _, found=installed_: found or None)
        monkeypatch.setattr(Stopwatch, "seconds", property(lambda _, value=seconds: value))
        notes.tell_of_compiled_loops(watch)
        assert ("pip install 'rsparse[fast]'" in capsys.readouterr().err) == told
