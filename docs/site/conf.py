"""The site: Sphinx reads the repository itself, so links in it are those of a code host.

    make site        # into build/site, to be opened at build/site/index.html

A warning is an error. Nothing is loaded from the network, neither by the build nor by the pages.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent.parent))

from rsparse import __version__  # noqa: E402

project = "rsparse"
author = "The rsparse developers"
copyright = "The rsparse developers, MIT licence"
version = release = __version__
language = "en"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "numpydoc",
    "sphinx_copybutton",
    "linked_files",
]
root_doc = "docs/index"
include_patterns = [
    "docs/**",
    "*.md",
    "benchmarks/README.md",
    "studies/README.md",
    "rsparse/data/LICENSES.md",
]
exclude_patterns = ["docs/site", "docs/paper/*", ".*", "build", "dist", "demo", "bench-work"]
nitpicky = True
suppress_warnings = [
    "myst.header",  # a page for a code host may skip a level
    "config.cache",  # the theme's options are functions of the page
]

myst_heading_anchors = 4
highlight_language = "none"
copybutton_exclude = ".linenos, .gp, .go"

nb_execution_mode = "cache"
nb_execution_in_temp = True
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_merge_streams = True

autodoc_typehints = "none"  # the docstrings have the types in words
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

html_theme = "pydata_sphinx_theme"
html_title = f"rsparse {__version__}"
html_context = {"default_mode": "auto"}
html_copy_source = False
html_show_sourcelink = False
html_show_search_summary = False  # it would be fetched, which a browser refuses from a disk
html_theme_options = {
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_sidebars = {"docs/index": [], "docs/start": []}
