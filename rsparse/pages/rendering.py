"""Rendering a page: one self-contained HTML text, whose script and style are within it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from rsparse.errors import one_line

_SOURCES = {
    "default-src": "'none'",
    "img-src": "data:",
    "style-src": "'unsafe-inline'",
    "base-uri": "'none'",
    "form-action": "'none'",
}


@dataclass(frozen=True)
class Templates:
    """The templates, styles and scripts of a package, and the shared ones.

    Attributes
    ----------
    package : str
        Its folder ``templates`` is searched first, then the shared one.
    filters : mapping of str to callable
        Filters for its templates, besides ``line``, which puts a text on one line.
    sources : mapping of str to str
        Directives of the content security policy that differ from "loads nothing".
    """

    package: str
    filters: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)

    def render(
        self, template: str, *, styles: Sequence[str], scripts: Sequence[str], **values: Any
    ) -> str:
        """Render a template that extends ``base.html``.

        Parameters
        ----------
        template : str
        styles, scripts : sequence of str
            File names; they are joined in this order within the page.
        **values
            The variables of the template; ``base.html`` needs ``generator``.
        """
        script = '"use strict";\n' + "\n".join(map(self.read, scripts))
        return str(
            self._environment()
            .get_template(template)
            .render(
                style="\n".join(map(self.read, styles)),
                script=script,
                policy=self.policy(script),
                **values,
            )
        )

    def policy(self, script: str) -> str:
        """The content security policy of a page with this script alone."""
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        sources = {**_SOURCES, "script-src": f"'sha256-{digest}'", **self.sources}
        return "; ".join(f"{name} {value}" for name, value in sources.items())

    def read(self, name: str) -> str:
        """The text of a file of the package, or of a shared one."""
        own = files(self.package) / "templates" / name
        place = own if own.is_file() else files("rsparse.pages") / "templates" / name
        return place.read_text(encoding="utf-8")

    def _environment(self) -> Any:
        from jinja2 import Environment, FunctionLoader, StrictUndefined

        environment = Environment(
            loader=FunctionLoader(self.read),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=StrictUndefined,
        )
        environment.filters["line"] = lambda text: one_line(str(text))
        environment.filters.update(self.filters)
        return environment
