"""Start and the guides: each block of shell runs as written, or says why it does not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.documents import run_shell, shell_blocks, take_sample

DOCS = REPOSITORY / "docs"
START = DOCS / "start.md"
GUIDES = re.findall(
    r"^(?:\.\./)?[a-z][\w-]*$", (DOCS / "guides" / "index.md").read_text(encoding="utf-8"), re.M
)
PAGES = [START, *((DOCS / "guides" / f"{name}.md").resolve() for name in GUIDES)]
WORDS = 8_000
REASONS = (
    "it changes your Python", "it serves pages until it is interrupted",
    "needs a GPU", "needs more machines", "needs a server",
)  # fmt: skip
RUN = [page for page in PAGES if any(not reason for reason, _ in shell_blocks(page))]


def test_start_and_guides_are_short() -> None:
    assert len(PAGES) > 8
    words = {page.name: len(page.read_text(encoding="utf-8").split()) for page in PAGES}
    assert sum(words.values()) <= WORDS, words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_block_that_is_not_run_has_a_reason(page: Path) -> None:
    assert {reason for reason, _ in shell_blocks(page)} <= {None, *REASONS}


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


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN, ids=lambda page: page.stem)
def test_the_shell_of_a_page_runs_as_written(page: Path, tmp_path: Path) -> None:
    for library in ("foolbox", "distributed"):
        pytest.importorskip(library)
    if page != START:
        take_sample(tmp_path)
    script = "\n".join(block for reason, block in shell_blocks(page) if reason is None)
    run_shell(script, tmp_path)
