"""Charts as SVG in the page's colours and font, and as PNG.

A chart is drawn in the colours of ``INKS`` (``series.py``). In the SVG they become CSS variables,
so that the page can be light or dark. The PNG is light.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from html import escape
from typing import Any

from rsparse.pictures.plots import drawn, tips_of
from rsparse.pictures.series import INKS, MARKERS, Chart, Tip


def svg(chart: Chart, key: str, title: str, description: str) -> str:
    """Draw a chart as an ``<svg>`` element with title and description, to insert into a page.

    All its identifiers start with ``key``. Equal charts give equal text.
    """
    buffer = io.StringIO()
    with drawn(chart) as figure:
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
        tips = _tips(figure, tips_of(chart))
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{key}-', text)
    text = re.sub(r"url\(#", f"url(#{key}-", text)
    text = re.sub(r'xlink:href="#', f'href="#{key}-', text)
    text = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", text)
    for name, ink in INKS.items():
        text = text.replace(ink, f"var(--{name})")
    box = re.search(r'viewBox="([^"]+)"', text)
    assert box is not None
    head = (
        f'<svg viewBox="{box[1]}" role="img" aria-labelledby="{key}-title {key}-desc">'
        f'<title id="{key}-title">{escape(title)}</title>'
        f'<desc id="{key}-desc">{escape(description)}</desc>'
    )
    body = text[text.index(">") + 1 :].strip()
    return head + body.removesuffix("</svg>") + tips + "</svg>"


def _tips(figure: Any, tips: Sequence[Tip]) -> str:
    """Invisible circles over the points of a drawn figure, each with its tooltip.

    The coordinates are those of the SVG: 72 to the inch, downwards.
    """
    if not tips:
        return ""
    width, height = 72 * figure.get_size_inches()
    places = figure.axes[0].transData.transform([(tip.x, tip.y) for tip in tips])
    places = places / (figure.dpi / 72)
    circles = [
        f'<circle cx="{min(x, width):.1f}" cy="{height - y:.1f}" r="6">'
        f"<title>{escape(tip.text)}</title></circle>"
        for (x, y), tip in zip(places, tips, strict=True)
    ]
    return f'<g class="tips" fill="transparent">{"".join(circles)}</g>'


def png(chart: Chart, title: str) -> bytes:
    """Draw a chart as a PNG file with title and legend; equal numbers give equal bytes."""
    buffer = io.BytesIO()
    with drawn(chart, title) as figure:
        figure.savefig(buffer, format="png", dpi=200, metadata={"Software": None})
    return buffer.getvalue()


def marker_svg(style: str) -> str:
    """Draw the marker of a series on a short line, for a legend."""
    shapes = {
        "o": '<circle cx="13" cy="6" r="3.6"/>',
        "s": '<rect x="9.6" y="2.6" width="6.8" height="6.8"/>',
        "^": '<path d="M13 1.8 17.2 9.4H8.8z"/>',
        "v": '<path d="M13 10.2 17.2 2.6H8.8z"/>',
        "D": '<path d="M13 1.4 17.4 6 13 10.6 8.6 6z"/>',
        "P": '<path d="M11.4 2h3.2v2.4H17v3.2h-2.4V10h-3.2V7.6H9V4.4h2.4z"/>',
        "X": '<path d="m10.6 2 2.4 2.3L15.4 2l1.8 1.7L14.8 6l2.4 2.3L15.4 10 13 7.7 10.6 10 '
        '8.8 8.3 11.2 6 8.8 3.7z"/>',
    }
    dash = ' stroke-dasharray="3 2"' if style == "none" else ""
    shape = shapes.get(MARKERS.get(style, ""), "")
    return (
        f'<svg viewBox="0 0 26 12" width="26" height="12" aria-hidden="true" class="marker" '
        f'style="color: var(--{style})"><path d="M0 6h26" fill="none" stroke="currentColor" '
        f'stroke-width="1.6"{dash}/><g fill="currentColor">{shape}</g></svg>'
    )
