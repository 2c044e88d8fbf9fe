"""Draw charts with matplotlib, as SVG in the page's colours and font, and as PNG.

A chart is drawn in the colours of ``INKS``. In the SVG they become CSS variables, so that the page
can be light or dark. The PNG is light.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from rsparse.core.metrics import Estimate
from rsparse.evaluation.estimates import number, percent

# Okabe & Ito's colours, which are safe for colour-blind readers; each series also has a marker.
INKS = {
    "ours": "#d55e00",
    "none": "#3b3f46",
    "b1": "#0072b2",
    "b2": "#009e73",
    "b3": "#cc79a7",
    "b4": "#e69f00",
    "b5": "#56b4e9",
    "faint": "#c3c7cd",
    "grid": "#e4e5e8",
    "axis": "#8d939d",
    "text": "#4f5560",
}
MARKERS = {"ours": "o", "none": "X", "b1": "s", "b2": "^", "b3": "D", "b4": "v", "b5": "P"}
BASELINE_STYLES = ("b1", "b2", "b3", "b4", "b5")
_WIDTH, _WIDE = 3.7, 4.4  # widths of bar charts and line charts, in inches


@dataclass(frozen=True)
class Series:
    """A line: its label, its style (a key of ``INKS``), and an estimate at each x."""

    label: str
    style: str
    x: tuple[float, ...]
    y: tuple[Estimate, ...]


@dataclass(frozen=True)
class Lines:
    """Accuracy against strength."""

    x_label: str
    series: tuple[Series, ...]


@dataclass(frozen=True)
class Bars:
    """One bar per defense: label, style, estimate."""

    rows: tuple[tuple[str, str, Estimate], ...]


@dataclass(frozen=True)
class Ratios:
    """Ratios by depth: the median and the interquartile range over images."""

    x_label: str
    series: tuple[Series, ...]


Chart = Lines | Bars | Ratios


def svg(chart: Chart, key: str, title: str, description: str) -> str:
    """Draw a chart as an ``<svg>`` element with title and description, to insert into a page.

    All its identifiers start with ``key``. Equal charts give equal text.
    """
    buffer = io.StringIO()
    with _drawn(chart) as figure:
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
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
    return head + text[text.index(">") + 1 :].strip()


def png(chart: Chart, title: str) -> bytes:
    """Draw a chart as a PNG file with title and legend; equal numbers give equal bytes."""
    buffer = io.BytesIO()
    with _drawn(chart, title) as figure:
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


@contextmanager
def _drawn(chart: Chart, title: str | None = None) -> Iterator[Any]:
    """Draw a chart as a figure, independently of the user's matplotlibrc."""
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    settings = {
        "svg.hashsalt": "rsparse",
        "svg.fonttype": "none",
        "font.size": 9,
        "axes.edgecolor": INKS["axis"],
        "axes.labelcolor": INKS["text"],
        "xtick.color": INKS["text"],
        "ytick.color": INKS["text"],
        "text.color": INKS["text"],
        "text.parse_math": False,
    }
    with style.context(["default", settings]):
        height = 0.4 * len(chart.rows) + 0.42 if isinstance(chart, Bars) else 2.7
        figure = Figure(
            figsize=(_WIDTH if isinstance(chart, Bars) else _WIDE, height), layout="constrained"
        )
        FigureCanvasAgg(figure)
        figure.patch.set_alpha(0.0 if title is None else 1.0)
        axes = figure.add_subplot()
        axes.patch.set_alpha(0.0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(length=0)
        if isinstance(chart, Bars):
            _draw_bars(axes, chart)
        elif isinstance(chart, Lines):
            _draw_lines(axes, chart)
        else:
            _draw_ratios(axes, chart)
        if title is not None:
            _add_title(figure, chart, title)
        yield figure


def _add_title(figure: Any, chart: Chart, title: str) -> None:
    figure.suptitle(title, fontsize=9, x=0.02, ha="left", wrap=True, color=INKS["none"])
    if isinstance(chart, Bars):
        return
    handles = [line for line in figure.axes[0].get_lines() if line.get_label()[0] != "_"]
    extra = 0.17 * len(handles) + 0.3
    figure.set_figheight(figure.get_figheight() + extra)
    figure.legend(handles=handles, loc="outside lower left", fontsize=7.5, frameon=False)


def _percent_axis(axis: Any, ends: Any) -> None:
    """Make an axis show the full range from 0 to 100 %."""
    ticks = [0, 25, 50, 75, 100]
    axis.set_ticks(ticks, labels=["0", "25", "50", "75", "100 %"])
    axis.grid(True, color=INKS["grid"], linewidth=0.8)
    ends(-1.5, 101.5)


def _draw_lines(axes: Any, chart: Lines) -> None:
    _percent_axis(axes.yaxis, axes.set_ylim)
    axes.spines["left"].set_visible(False)
    axes.set_axisbelow(True)
    places = sorted({x for series in chart.series for x in series.x})
    span = (places[-1] - places[0]) or 1.0
    bold = [series for series in chart.series if series.style != "faint"]
    for series in chart.series:
        if series.style == "faint":
            _line(axes, series, 0.0)
    for rank, series in reversed(list(enumerate(bold))):
        _line(axes, series, span * 0.006 * (rank - (len(bold) - 1) / 2))
    axes.set_xticks(places, labels=[number(place) for place in places])
    _drop_crowded(axes, places, span)
    axes.set_xlim(places[0] - 0.04 * span, places[-1] + 0.04 * span)
    axes.set_xlabel(chart.x_label)


def _drop_crowded(axes: Any, places: Sequence[float], span: float) -> None:
    """Hide tick labels that would touch the previous one."""
    last = -np.inf
    for place, label in zip(places, axes.get_xticklabels(), strict=True):
        if (place - last) / span < 0.085:
            label.set_visible(False)
        else:
            last = place


def _line(axes: Any, series: Series, shift: float) -> None:
    """Draw one series, shifted so that markers and intervals of different series do not overlap."""
    ink = INKS[series.style]
    x = np.array(series.x)
    y, low, high = 100 * np.array([share.numbers for share in series.y]).T
    if series.style == "faint":
        axes.plot(x, y, color=ink, linewidth=0.8, zorder=1.5, label="_" + series.label)
        return
    ours = series.style == "ours"
    if ours:
        axes.fill_between(x, low, high, color=ink, alpha=0.16, linewidth=0, zorder=1.8)
    else:
        axes.vlines(x + shift, low, high, color=ink, linewidth=0.8, alpha=0.55, zorder=2)
    axes.plot(
        x + (0 if ours else shift),
        y,
        color=ink,
        marker=MARKERS[series.style],
        markersize=4.6 if ours else 3.8,
        markeredgewidth=0,
        linewidth=2.0 if ours else 1.2,
        linestyle="--" if series.style == "none" else "-",
        label=series.label,
        zorder=4 if ours else 3,
    )


def _draw_bars(axes: Any, chart: Bars) -> None:
    _percent_axis(axes.xaxis, axes.set_xlim)
    axes.set_xlim(0, 101.5)
    axes.set_yticks([])
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.set_axisbelow(True)
    for row, (label, style, estimate) in enumerate(chart.rows):
        value, low, high = (100 * share for share in estimate.numbers)
        ink = INKS[style]
        axes.barh(row, value, height=0.3, color=ink, alpha=0.85, linewidth=0)
        axes.plot([low, high], [row, row], color=INKS["none"], linewidth=1.1)
        axes.plot(
            [low, high], [row, row], color=INKS["none"], linestyle="", marker="|", markersize=5
        )
        axes.text(0, row - 0.24, label, va="bottom", fontsize=8)
        axes.text(
            101.5,
            row - 0.24,
            f"{percent(estimate.value)} %",
            va="bottom",
            ha="right",
            fontsize=8,
            fontweight="bold",
        )
    axes.set_ylim(len(chart.rows) - 0.6, -0.85)


def _draw_ratios(axes: Any, chart: Ratios) -> None:
    axes.grid(True, axis="y", color=INKS["grid"], linewidth=0.8)
    axes.spines["left"].set_visible(False)
    axes.set_axisbelow(True)
    axes.axhline(1, color=INKS["axis"], linewidth=1)
    for series in chart.series:
        ink = INKS[series.style]
        y, low, high = np.array([share.numbers for share in series.y]).T
        axes.fill_between(series.x, low, high, color=ink, alpha=0.16, linewidth=0)
        axes.plot(
            series.x,
            y,
            color=ink,
            marker=MARKERS[series.style],
            markersize=3,
            linewidth=1.3,
            markeredgewidth=0,
            label=series.label,
        )
    axes.set_ylim(bottom=0)
    axes.set_xlabel(chart.x_label)
