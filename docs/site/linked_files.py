"""A link to a folder leads to its README, or to a page that lists its files, as on a code host."""

from __future__ import annotations

import html
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform


def setup(app: Sphinx) -> dict[str, Any]:
    """Resolve such links, then write the pages and the first page of the site."""
    app.add_post_transform(LinksToFolders)
    app.connect("html-collect-pages", _pages)
    app.connect("build-finished", _finish)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": False}


class LinksToFolders(SphinxPostTransform):
    """Resolve what MyST would report as missing."""

    default_priority = 8  # before MyST's own, 9

    def run(self, **_: Any) -> None:
        root = Path(self.env.srcdir).resolve()
        for node in list(self.document.findall(pending_xref)):
            folder = (root / self.env.docname).parent / str(node.get("reftarget", ""))
            if node.get("reftype") != "myst" or not folder.is_dir():
                continue
            inside = folder.resolve().relative_to(root).as_posix()
            page = f"{inside}/README"
            if page not in self.env.found_docs:
                page = f"{inside}/index"
                _folders(self.app).add(inside)
            link = self.app.builder.get_relative_uri(self.env.docname, page)
            node.replace_self(nodes.reference("", "", *node.children, internal=True, refuri=link))


def _folders(app: Sphinx) -> set[str]:
    if not hasattr(app, "linked_folders"):
        app.linked_folders = set()  # type: ignore[attr-defined]
    return app.linked_folders  # type: ignore[attr-defined,no-any-return]


def _files(app: Sphinx, folder: str) -> list[str]:
    root = Path(app.srcdir) / folder
    return sorted(file.relative_to(root).as_posix() for file in root.rglob("*") if file.is_file())


def _pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    for folder in sorted(_folders(app)):
        names = [html.escape(file) for file in _files(app, folder)]
        items = "".join(f'<li><a href="{name}">{name}</a></li>' for name in names)
        body = f"<h1>{html.escape(folder)}</h1>\n<ul>{items}</ul>"
        yield f"{folder}/index", {"title": folder, "body": body}, "page.html"


def _finish(app: Sphinx, exception: Exception | None) -> None:
    if exception is not None:
        return
    for folder in _folders(app):
        for file in _files(app, folder):
            copied = Path(app.outdir) / folder / file
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(Path(app.srcdir) / folder / file, copied)
    page = app.config.root_doc + ".html"
    (Path(app.outdir) / "index.html").write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{app.config.project}</title>'
        f'<meta http-equiv="refresh" content="0; url={page}"><a href="{page}">{page}</a></html>\n',
        encoding="utf-8",
    )
