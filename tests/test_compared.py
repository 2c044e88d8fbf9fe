"""The table of docs/compared.md names the versions that are installed, and counts them right."""

from __future__ import annotations

import inspect
import re
from importlib.metadata import distribution, version
from pathlib import Path
from types import ModuleType

import pytest

from rsparse.attacks import ATTACKS
from rsparse.defenses import DEFENSES
from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "compared.md").read_text(encoding="utf-8")
ROWS = {
    cells[0].strip("* "): [cell.strip() for cell in cells[1:]]
    for cells in (line.strip("|").split("|") for line in PAGE.splitlines() if line[:1] == "|")
}
COLUMNS = {"rsparse": 0, "adversarial-robustness-toolbox": 1, "foolbox": 2, "secml-torch": 4}


def classes(module: ModuleType, base: type) -> set[type]:
    """The attacks that a module exports."""
    found = {value for value in vars(module).values() if inspect.isclass(value)}
    return {each for each in found if issubclass(each, base) and not inspect.isabstract(each)}


def test_every_row_has_a_cell_for_each_package():
    assert len(ROWS) > 25
    assert {len(cells) for cells in ROWS.values()} == {6}


@pytest.mark.parametrize("package", list(COLUMNS)[1:])
def test_the_versions_are_those_that_were_read(package):
    pytest.importorskip({"adversarial-robustness-toolbox": "art", "secml-torch": "secmlt"}.get(
        package, package))  # fmt: skip
    assert ROWS["version compared"][COLUMNS[package]] == version(package)


def test_our_own_attacks_and_defenses_are_counted():
    own = int(ROWS["evasion attacks, as classes"][0].split()[0])
    assert own == len(ATTACKS)
    cleaning = int(ROWS["cleaning of images, by name"][0].split()[0])
    assert cleaning == len(set(DEFENSES) - {"none"})


def test_foolbox_and_art_are_counted():
    foolbox = pytest.importorskip("foolbox.attacks")
    row = ROWS["evasion attacks, as classes"]
    assert int(row[2]) == len(classes(foolbox, foolbox.base.Attack))
    pytest.importorskip("art")
    import art.attacks.evasion as evasion
    from art.attacks.attack import EvasionAttack

    assert int(row[1]) == len(classes(evasion, EvasionAttack))


@pytest.mark.parametrize("package", list(COLUMNS)[1:])
def test_what_has_no_command_and_reads_no_onnx(package):
    """The cells "no" that can be read in the files of a package."""
    pytest.importorskip({"adversarial-robustness-toolbox": "art", "secml-torch": "secmlt"}.get(
        package, package))  # fmt: skip
    found = distribution(package)
    column = COLUMNS[package]
    assert ROWS["command line"][column] == "no"
    assert not [point for point in found.entry_points if point.group == "console_scripts"]
    assert ROWS["an ONNX file as it is"][column] == "no"
    sources = [Path(str(found.locate_file(file))) for file in found.files or ()]
    for source in (file for file in sources if file.suffix == ".py"):
        assert not re.search(r"^\s*import onnx", source.read_text(encoding="utf-8"), re.M)
