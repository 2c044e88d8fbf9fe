"""Draw charts with matplotlib."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from rsparse.core.metrics import Estimate
from rsparse.evaluation.estimates import interval, number, percent
from rsparse.pictures.axes import fit_axis
from rsparse.pictures.series import INKS, MARKERS, Bars, Chart, Lines, Ratios, Series, Tip

_WIDTH, _WIDE = 3.7, 4.4  # widths of bar charts and line charts, in inches


def tips_of(chart: Chart) -> list[Tip]:
    """What each point of a chart shows; the points of the most important series come last."""
    if isinstance(chart, Bars):
        return [
            Tip(100 * estimate.value, row, f"{label}: {_in_words(estimate)}")
            for row, (label, _, estimate) in enumerate(chart.rows)
        ]
    name = chart.x_label.partition(",")[0].partition(" (")[0]
    words, scale = (_in_words, 100) if isinstance(chart, Lines) else (_ratio_in_words, 1)
    rank = {"ours": 2, "faint": 0}
    ordered = sorted(chart.series, key=lambda series: rank.get(series.style, 1))
    return [
        Tip(x, scale * y.value, f"{series.label}, {name} {number(x)}: {words(y)}")
        for series in ordered
        for x, y in zip(series.x, series.y, strict=True)
        if np.isfinite(y.value)
    ]


def _in_words(share: Estimate) -> str:
    return f"{percent(share.value)} % ({interval(share)} %)"


def _ratio_in_words(ratio: Estimate) -> str:
    return f"{ratio.value:.3g} (middle half {ratio.low:.3g}–{ratio.high:.3g})"


@contextmanager
def drawn(chart: Chart, title: str | None = None) -> Iterator[Any]:
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
    lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
    handles = [lines[each.label] for each in chart.series if each.label in lines]
    extra = 0.17 * len(handles) + 0.3
    figure.set_figheight(figure.get_figheight() + extra)
    figure.legend(handles=handles, loc="outside lower left", fontsize=7.5, frameon=False)


def _percent_axis(axis: Any, ends: Any) -> None:
    """Make an axis show the full range from 0 to 100 %."""
    ticks = [0, 25, 50, 75, 100]
    axis.set_ticks(ticks, labels=["0", "25", "50", "75", "100 %"])
    axis.grid(True, color=INKS["grid"], linewidth=0.8)
    ends(-1.5, 101.5)


def _fit_percent(axes: Any, chart: Lines) -> None:
    """Let the axis end just above the largest share; the last label has the unit."""
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    highest = max((y.high for series in chart.series for y in series.y), default=1.0)
    fit_axis(axes, [0.0, 100 * highest], top=100)
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(PercentFormatter(decimals=0))


def _draw_lines(axes: Any, chart: Lines) -> None:
    _percent_axis(axes.yaxis, axes.set_ylim)
    if chart.fitted:
        _fit_percent(axes, chart)
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
    if not chart.fitted:
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
    from matplotlib.ticker import MaxNLocator

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
    numbers = [v for series in chart.series for share in series.y for v in share.numbers]
    note = fit_axis(axes, [1.0, *numbers])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel(f"ratio to benign{f' ({note})' * bool(note)}")
    axes.set_xlabel(chart.x_label)
