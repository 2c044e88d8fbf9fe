"""Start and the guides: each block of shell runs as written, or says why it does not."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rsparse.data import demo_model, demo_photos
from tests.conftest import REPOSITORY

DOCS = REPOSITORY / "docs"
START = DOCS / "start.md"
OWN = [START, *sorted((DOCS / "guides").glob("*.md"))]
TAKEN = [
    DOCS / f"{name}.md"
    for name in re.findall(r"^\.\./([\w-]+)$", (DOCS / "guides" / "index.md").read_text(), re.M)
]
"""Pages that are guides, but lie where they always did."""
WORDS = 8_000
REASONS = ("it changes your Python", "needs a GPU", "needs more machines", "needs a server")
CLASSES = ("brick", "cat", "rocket")

Block = tuple[str | None, str]


def blocks(page: Path) -> list[Block]:
    """Each block of shell in a page, with the reason for which it is not run."""
    return [
        (match[1], match[2])
        for match in re.finditer(
            r"(?:^<!-- not run: (.*?) -->\n)?^```sh\n(.*?)^```$",
            page.read_text(encoding="utf-8"),
            re.MULTILINE | re.DOTALL,
        )
    ]


def test_start_and_guides_are_short() -> None:
    words = {page.name: len(page.read_text(encoding="utf-8").split()) for page in [*OWN, *TAKEN]}
    assert sum(words.values()) <= WORDS, words


@pytest.mark.parametrize("page", OWN, ids=lambda page: page.stem)
def test_a_block_that_is_not_run_has_a_reason(page: Path) -> None:
    assert {reason for reason, _ in blocks(page)} <= {None, *REASONS}


def test_every_page_has_a_place_on_the_site() -> None:
    """Otherwise building the site fails, which takes minutes to find out."""
    shown = {DOCS / "index.md"}
    for page in DOCS.rglob("*.md"):
        text = page.read_text(encoding="utf-8")
        for tree in re.findall(r"^```\{toctree\}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            for line in filter(None, tree.splitlines()):
                name = re.sub(r"^.*<(.*)>$", r"\1", line)
                found = (page.parent / name).resolve()
                shown |= {found.with_name(f"{found.name}{end}") for end in (".md", ".ipynb")}
    pages = set(DOCS.rglob("*.md")) | set(DOCS.rglob("*.ipynb"))
    assert sorted(pages - shown) == [], "name them in a toctree, as docs/guides/index.md does"


def prepare(folder: Path) -> None:
    """What Start has the reader take, with fewer classes."""
    for split, name in (("train", "benign"), ("test", "photos"), ("test", "suspicious")):
        for label in CLASSES:
            shutil.copytree(demo_photos(split) / label, folder / name / label)
    shutil.copy(demo_model(), folder / "classifier.onnx")


def run(script: str, folder: Path) -> None:
    """Run a page's shell in one bash, as a reader would in one terminal."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", script],
        cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in OWN if any(not why for why, _ in blocks(page))], ids=lambda p: p.stem
)
def test_the_shell_of_a_page_runs_as_written(page: Path, tmp_path: Path) -> None:
    pytest.importorskip("foolbox")
    if page != START:
        prepare(tmp_path)
    script = "\n".join(block for reason, block in blocks(page) if reason is None)
    run(script, tmp_path)
    for name in re.findall(r"(?: -o|--output) (\S+)", script):
        assert (tmp_path / name).exists(), name
