"""Parameters of ``rsparse view``."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from rsparse.options.fields import Parameters, parameter
from rsparse.options.sections import RUNNING


@dataclasses.dataclass(frozen=True)
class ViewParameters(Parameters):
    """How artifacts are shown."""

    section: ClassVar[str] = RUNNING

    port: int = parameter(
        0,
        "Port of the page on this machine; 0 takes a free one.",
        minimum=0,
        maximum=65_535,
    )
    browser: bool = parameter(True, "Open the page in the browser.")
    follow_links: bool = parameter(
        False,
        "Also show images that links in the folders lead to elsewhere.",
        flag="--follow-links",
    )
