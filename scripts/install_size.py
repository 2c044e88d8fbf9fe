"""Measure what an installation of rsparse takes on disk, package by package.

    python scripts/install_size.py                  # this environment
    python scripts/install_size.py venv/            # another one
    python scripts/install_size.py venv/ --write    # a plain install, and the extras, into the docs

A package takes what its list of installed files takes, with the bytecode (``.pyc``) that pip
compiles. A megabyte (MB) is 10^6 bytes. What the extras add is measured in this environment, which
needs to have them all (``.[dev]``).
"""

from __future__ import annotations

import argparse
import platform
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).resolve().parent.parent
PAGE = REPOSITORY / "docs" / "install.md"
LARGE = 5_000_000
INTERNAL = {"dev", "docs"}
_BLOCK = re.compile(r"(<!-- sizes -->\n).*?(<!-- end of sizes -->)", re.DOTALL)


@dataclass(frozen=True)
class Package:
    """An installed package: its name, its bytes, and how many of them are bytecode."""

    name: str
    size: int
    bytecode: int


def main() -> None:
    """Print the packages of an environment, or write the page's tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("venv", type=Path, nargs="?", help="default: this environment")
    parser.add_argument("--write", action="store_true", help="write docs/install.md")
    options = parser.parse_args()
    packages = installed(options.venv)
    if not options.write:
        print("\n".join(f"{package.size / 1e6:8.1f} MB  {package.name}" for package in packages))
        print(f"{megabytes(packages):6d} MB    {len(packages)} packages")
        return
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    block = plain_table(packages) + "\n" + extras_table(project)
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(_BLOCK.sub(lambda found: found[1] + block + found[2], page), encoding="utf-8")


def installed(venv: Path | None = None) -> list[Package]:
    """The packages of an environment, the largest first."""
    found = [_measured(distribution) for distribution in _distributions(venv)]
    return sorted(found, key=lambda package: (-package.size, package.name))


def megabytes(packages: Sequence[Package]) -> int:
    """What packages take together."""
    return round(sum(package.size for package in packages) / 1e6)


def plain_table(plain: Sequence[Package]) -> str:
    """The page's sentence and table about a plain install."""
    large = [package for package in plain if package.size >= LARGE]
    small = [package for package in plain if package.size < LARGE]
    rows = [(package.name, str(megabytes([package]))) for package in large]
    rows.append((f"{len(small)} others", str(megabytes(small))))
    bytecode = round(sum(package.bytecode for package in plain) / 1e6)
    return (
        f"\nA plain install takes **{megabytes(plain)} MB and {len(plain)} packages** (CPython "
        f"{platform.python_version()}, {platform.system()} {platform.machine()}). {bytecode} MB of "
        "it is bytecode, which `pip install --no-compile` leaves out.\n\n"
        + _table(("package", "MB"), rows)
    )


def extras_table(project: Mapping[str, dict[str, list[str]]]) -> str:
    """The page's table about what each extra adds to a plain install."""
    known = {canonicalize_name(each.name): each for each in _distributions(None)}
    plain = required(project, "", known)
    rows = []
    for extra in project["optional-dependencies"]:
        if extra not in INTERNAL:
            added = [_measured(known[name]) for name in required(project, extra, known) - plain]
            largest = sorted(added, key=lambda package: -package.size)[:3]
            names = ", ".join(package.name for package in largest)
            rows.append((f"`{extra}`", str(megabytes(added)), str(len(added)), names))
    return _table(("extra", "MB more", "packages more", "the largest"), rows)


def required(
    project: Mapping[str, dict[str, list[str]]], extra: str, known: Mapping[str, Distribution]
) -> set[str]:
    """The names of all packages that rsparse requires with an extra, directly or not.

    ``known`` has the installed packages by name; torch's GPU libraries, for example, are not
    required by a build of torch for the CPU.
    """
    lines = [*project["dependencies"], *project["optional-dependencies"].get(extra, [])]
    todo, seen = [Requirement(line) for line in lines], set()
    while todo:
        wanted = todo.pop()
        name = canonicalize_name(wanted.name)
        for chosen in ("", *wanted.extras):
            if (name, chosen) in seen:
                continue
            seen.add((name, chosen))
            if name == "rsparse":
                todo += map(Requirement, project["optional-dependencies"][chosen] if chosen else ())
            elif name in known:
                todo += _requirements(known[name], chosen)
    return {name for name, _ in seen if name in known and name != "rsparse"}


def _requirements(distribution: Distribution, extra: str) -> Iterator[Requirement]:
    for line in distribution.requires or ():
        wanted = Requirement(line)
        if wanted.marker is None or wanted.marker.evaluate({"extra": extra}):
            yield wanted


def _distributions(venv: Path | None) -> Iterator[Distribution]:
    if venv is None:
        return iter(distributions())
    return iter(distributions(path=[str(path) for path in venv.glob("lib/python*/site-packages")]))


def _measured(distribution: Distribution) -> Package:
    files = {Path(str(distribution.locate_file(file))) for file in distribution.files or ()}
    sizes = {file: file.stat().st_size for file in files if file.is_file()}
    bytecode = sum(size for file, size in sizes.items() if file.suffix == ".pyc")
    return Package(distribution.name, sum(sizes.values()), bytecode)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    main()
