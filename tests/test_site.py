"""The site: built without a warning, every link leads somewhere, nothing comes from elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from tests.browser import chromium, look
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.slow

SECTIONS = ("start", "guides/index", "understand/index", "reference/index", "results/index")
NOTEBOOKS = sorted((REPOSITORY / "docs" / "notebooks").glob("*.ipynb"))
LOOKED_AT = (
    "docs/index", "docs/start", "docs/evaluate", "docs/reference/api", "docs/results",
    "docs/understand/method", "docs/notebooks/judge-your-model", "search",
)  # fmt: skip


class Page(HTMLParser):
    """What a page loads, where its links lead, and the ids that they can lead to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if "id" in values:
            self.ids.add(values["id"])
        if tag in ("script", "img", "source", "iframe") and values.get("src"):
            self.loads.append(values["src"])
        if tag == "link" and values.get("rel") not in ("index", "search", "next", "prev"):
            self.loads.append(values["href"])
        if tag == "a" and "href" in values:
            self.links.append(values["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site; building fails at the first warning."""
    pytest.importorskip("sphinx")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [
            sys.executable, "-m", "sphinx", "-q", "-W", "-n", "--keep-going",
            "-c", REPOSITORY / "docs" / "site", "-d", folder / "doctrees",
            REPOSITORY, folder / "html",
        ],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "html"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in site.rglob("*.html") if "_static" not in path.parts}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


def test_every_section_is_there(site: Path) -> None:
    for name in SECTIONS:
        assert (site / "docs" / f"{name}.html").exists()
    assert "docs/index.html" in (site / "index.html").read_text()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_were_executed(site: Path, path: Path) -> None:
    """An error in a cell would have stopped the build."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in code), "commit it cleared"
    page = (site / "docs" / "notebooks" / f"{path.stem}.html").read_text(encoding="utf-8")
    assert page.count('class="cell docutils') == len(code)
    drawn = sum("plt.subplots" in "".join(cell["source"]) for cell in code)
    assert drawn <= page.count('src="../../_images/'), "pictures are missing"
    assert page.count('class="output stream') >= 2


def test_every_link_leads_somewhere(pages: dict[Path, Page]) -> None:
    n_links = 0
    for path, page in pages.items():
        for link in page.links:
            address = urlsplit(link)
            if address.scheme in ("http", "https", "mailto"):
                continue
            target = (path.parent / unquote(address.path)).resolve() if address.path else path
            assert target.is_file(), f"{path}: {link}"
            if address.fragment and target in pages:
                assert unquote(address.fragment) in pages[target].ids, f"{path}: {link}"
            n_links += 1
    assert n_links > 1000


def test_nothing_is_loaded_from_elsewhere(pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        for link in page.loads:
            address = urlsplit(link)
            assert not address.scheme or address.scheme == "data", f"{path}: {link}"
            assert not address.netloc, f"{path}: {link}"
            if address.path and not address.scheme:
                assert (path.parent / unquote(address.path)).exists(), f"{path}: {link}"


def test_search_works_from_a_disk(browser: Any, site: Path) -> None:
    seen = look(browser, site / "docs" / "index.html")
    seen.page.keyboard.press("Control+k")
    seen.page.keyboard.type("bilateral")
    seen.page.keyboard.press("Enter")
    found = seen.page.locator("#search-results li a")  # the page adds them one by one
    found.get_by_text("Commands", exact=True).wait_for(timeout=10_000)
    assert {urlsplit(address).scheme for address in seen.requests} <= {"file", "data"}
    seen.page.close()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
@pytest.mark.parametrize("name", LOOKED_AT)
def test_pages_are_accessible_and_fit(
    browser: Any, site: Path, name: str, width: int, scheme: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    seen = look(browser, site / f"{name}.html", scheme=scheme, width=width)
    found = axe.Axe().run(seen.page).response["violations"]
    wide = seen.page.evaluate("document.documentElement.scrollWidth")
    seen.page.close()
    serious = [fault for fault in found if fault["impact"] in ("serious", "critical")]
    assert [(f["id"], f["nodes"][0]["html"], len(f["nodes"])) for f in serious] == []
    assert wide <= width
    assert {urlsplit(address).scheme for address in seen.requests} <= {"file", "data"}
