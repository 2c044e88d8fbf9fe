"""Check that a release can be trusted: build twice, compare, install in empty environments, run.

    python scripts/release_check.py --output dist                 # every Python that is at hand
    python scripts/release_check.py --output dist --tag v0.2.0    # the tag has to be the version

Each line says what was checked: ``ok``, ``FAILED``, or ``open`` for what only the owners of the
project can settle. The exit code is 1 if a check failed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import install_size

REPOSITORY = Path(__file__).resolve().parent.parent
PYTHONS = ("python3.11", "python3.12", "python3.13", "python3.14")
ADDRESSES = ("Homepage", "Documentation", "Source", "Issues", "Changelog")
MEGABYTES, PACKAGES = 700, 40
"""The most that the plain install may take."""

Line = tuple[str, str]


def main() -> int:
    """Run the checks and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=REPOSITORY / "dist", help="folder, replaced")
    parser.add_argument("--tag", default="", help="the tag of the release, such as v0.2.0")
    parser.add_argument("--python", nargs="*", default=PYTHONS, help="interpreters, if at hand")
    options = parser.parse_args()
    failed = False
    for outcome, text in checks(options.output, options.tag, options.python):
        print(f"{outcome:<6}  {text}", flush=True)
        failed |= outcome == "FAILED"
    return int(failed)


def checks(output: Path, tag: str, pythons: Iterable[str]) -> Iterator[Line]:
    """All checks, each when it is done."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    yield from addresses(project.get("urls", {}))
    if tag:
        yield from tagged(tag, version())
    first = build(output)
    with tempfile.TemporaryDirectory() as folder:
        second = build(Path(folder) / "dist")
        yield from same(first, second)
    yield _outcome(
        _runs([sys.executable, "-m", "twine", "check", "--strict", *first]), "twine check"
    )
    (wheel,) = (path for path in first if path.suffix == ".whl")
    for python in pythons:
        program = shutil.which(python)
        if program is None or not _runs([program, "--version"]):
            yield "open", f"{python} is not at hand"
        else:
            yield from installed(program, wheel)


def version() -> str:
    """The version that the package states."""
    words = (REPOSITORY / "rsparse" / "__init__.py").read_text(encoding="utf-8")
    return next(line for line in words.splitlines() if "__version__ =" in line).split('"')[1]


def addresses(urls: dict[str, str]) -> Iterator[Line]:
    """Which addresses of the project are set; none is invented before there is one."""
    for name in ADDRESSES:
        if name in urls:
            yield "ok", f"{name}: {urls[name]}"
        else:
            yield "open", f"{name} is not in [project.urls] of pyproject.toml"


def tagged(tag: str, stated: str) -> Iterator[Line]:
    """Whether the tag is the version, and CHANGELOG.md has a dated section for it."""
    yield _outcome(tag == f"v{stated}", f"the tag {tag} is the version {stated}")
    headings = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    heading = next((line for line in headings if line.startswith(f"## {stated},")), "")
    dated = bool(heading) and "unreleased" not in heading
    yield _outcome(dated, f"CHANGELOG.md has a dated section for {stated}")


def build(output: Path) -> list[Path]:
    """Build the source distribution and the wheel into a new folder; return both."""
    shutil.rmtree(output, ignore_errors=True)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", output, REPOSITORY]
    subprocess.run(command, check=True, capture_output=True, env=_environment())
    return sorted(path for path in output.iterdir() if path.suffix in (".gz", ".whl"))


def same(first: Iterable[Path], second: Iterable[Path]) -> Iterator[Line]:
    """Whether two builds have the same bytes."""
    for one, other in zip(first, second, strict=True):
        digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (one, other)}
        text = f"{one.name}: two builds have the same bytes"
        yield _outcome(len(digests) == 1, f"{text}, SHA-256 {min(digests)}")


def installed(python: str, wheel: Path) -> Iterator[Line]:
    """Install the wheel into an empty environment, plain and with attacks, and run it."""
    name = Path(python).name
    with tempfile.TemporaryDirectory() as folder:
        venv = Path(folder) / "venv"
        subprocess.run([python, "-m", "venv", "--without-pip", venv], check=True)
        if not _install(venv, str(wheel)):
            yield "FAILED", f"{name}: pip cannot install the wheel"
            return
        packages = install_size.installed(venv)
        megabytes, number = install_size.megabytes(packages), len(packages)
        fits = megabytes <= MEGABYTES and number <= PACKAGES
        text = f"{name}: the plain install takes {megabytes} MB and {number} packages"
        yield _outcome(fits, f"{text} (at most {MEGABYTES} and {PACKAGES})")
        works = _install(venv, f"{wheel}[attack]")
        demo = [venv / "bin" / "rsparse", "demo", "-o", Path(folder) / "demo"]
        yield _outcome(works and _runs(demo), f"{name}: rsparse demo, with the extra attack")


def _install(venv: Path, what: str) -> bool:
    constraints = REPOSITORY / "constraints.txt"
    pip = [sys.executable, "-m", "pip", "--python", venv / "bin" / "python", "install", "-qq"]
    return _runs([*pip, "-c", constraints, what]) and _runs([*pip[:-2], "check"])


def _runs(command: list[object]) -> bool:
    words = [str(word) for word in command]
    done = subprocess.run(words, check=False, capture_output=True, text=True, env=_environment())
    if done.returncode:
        print(done.stderr or done.stdout, file=sys.stderr)
    return done.returncode == 0


def _environment() -> dict[str, str]:
    """The environment, with the time of the last commit as that of all files."""
    command = ["git", "-C", str(REPOSITORY), "log", "-1", "--format=%ct"]
    time = subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**kept, "SOURCE_DATE_EPOCH": time or "1577836800"}


def _outcome(good: bool, text: str) -> Line:
    return ("ok" if good else "FAILED"), text


if __name__ == "__main__":
    sys.exit(main())
