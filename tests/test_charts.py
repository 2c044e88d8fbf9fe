"""Axes start where the numbers do and say so; every point of a chart has its numbers."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from matplotlib.figure import Figure

from rsparse.core.metrics import Estimate
from rsparse.pictures.axes import fit_axis
from rsparse.pictures.charts import svg
from rsparse.pictures.plots import drawn, tips_of
from rsparse.pictures.series import Bars, Lines, Ratios, Series


def estimate(value: float) -> Estimate:
    return Estimate(value, value - 0.05, value + 0.05)


def series(label: str, style: str, values: dict[float, float]) -> Series:
    return Series(label, style, tuple(values), tuple(map(estimate, values.values())))


@pytest.mark.parametrize(
    ("values", "note", "start"),
    [
        ((1.0, 3.0), "", 0.0),
        ((90.0, 100.0), "axis from 89", 89.0),
        ((1.0, 1.0), "axis from 0.94", 0.94),
        ((float("nan"), 0.0), "", 0.0),
        ((), "", 0.0),
    ],
)
def test_an_axis_starts_below_the_numbers_or_at_nought(values, note, start):
    axes = Figure().add_subplot()
    assert fit_axis(axes, values) == note
    low, high = axes.get_ylim()
    assert low == pytest.approx(start, abs=0.1)
    assert all(low <= value <= high for value in values if value == value)


def test_a_share_never_lets_an_axis_go_far_beyond_100_percent():
    axes = Figure().add_subplot()
    fit_axis(axes, [95.0, 100.0], top=100)
    assert 100 < axes.get_ylim()[1] < 101


def test_ratios_say_where_their_axis_starts():
    chart = Ratios("depth", (series("attacked", "none", {1.0: 1.2, 2.0: 1.1}),))
    with drawn(chart) as figure:
        assert figure.axes[0].get_ylabel() == "ratio to benign (axis from 0.98)"
        low, high = figure.axes[0].get_ylim()
    assert low == pytest.approx(0.98)
    assert 1.25 < high < 1.3


def test_shares_reach_100_percent_unless_fitted():
    lines = (series("a", "ours", {0.0: 0.2, 1.0: 0.1}),)
    for fitted, least, most in ((False, 100, 102), (True, 25, 30)):
        with drawn(Lines("radius", lines, fitted)) as figure:
            low, high = figure.axes[0].get_ylim()
        assert -2 < low <= 0
        assert least <= high <= most


def test_each_point_has_a_tip_at_its_marker():
    """The tips of one series have the coordinates at which matplotlib drew its markers."""
    chart = Lines("ε, grey levels (L∞)", (series("<ours>", "ours", {0.0: 0.9, 2.0: 0.5}),))
    text = svg(chart, "key", "title", "description")
    tips = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="6"><title>(.*?)</title>', text)
    assert [tip[2] for tip in tips] == [
        "&lt;ours&gt;, ε 0: 90.0 % (85.0–95.0 %)",
        "&lt;ours&gt;, ε 2: 50.0 % (45.0–55.0 %)",
    ]
    drawn_at = re.findall(r'<use [^>]*x="([\d.]+)" y="([\d.]+)" style="fill: var\(--ours\)"', text)
    for tip, place in zip(tips, drawn_at, strict=True):
        assert [float(v) for v in tip[:2]] == pytest.approx([float(v) for v in place], abs=0.06)


def test_bars_have_tips_and_the_judged_series_is_on_top():
    bars = Bars((("jpeg", "b1", estimate(0.5)),))
    assert [(tip.y, tip.text) for tip in tips_of(bars)] == [(0, "jpeg: 50.0 % (45.0–55.0 %)")]
    styles = ("ours", "faint", "b1")
    chart = Lines("eps", tuple(series(style, style, {1.0: 0.5}) for style in styles))
    assert [tip.text.split(",")[0] for tip in tips_of(chart)] == ["faint", "b1", "ours"]


def test_labels_of_a_continuous_axis_do_not_touch():
    radii = {0.0450043 * n: 0.5 for n in range(9)}
    with drawn(Lines("radius", (series("σ", "ours", radii),), fitted=True), "a title") as figure:
        figure.canvas.draw()
        boxes = [text.get_window_extent() for text in figure.axes[0].get_xticklabels()]
        (legend,) = figure.legends
    assert len(boxes) > 3
    assert all(one.x1 < other.x0 for one, other in pairwise(boxes))
    assert [text.get_text() for text in legend.get_texts()] == ["σ"]
