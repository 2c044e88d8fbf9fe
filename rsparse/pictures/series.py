"""What a chart shows: its series or bars, their styles and their colours."""

from __future__ import annotations

from dataclasses import dataclass

from rsparse.core.metrics import Estimate

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


@dataclass(frozen=True)
class Series:
    """A line: its label, its style (a key of ``INKS``), and an estimate at each x."""

    label: str
    style: str
    x: tuple[float, ...]
    y: tuple[Estimate, ...]


@dataclass(frozen=True)
class Lines:
    """Shares against strength.

    The axis goes from 0 to 100 %, and each strength has a tick. With ``fitted``, which is for a
    continuous strength, it ends just above the largest share, and the ticks are round numbers.
    """

    x_label: str
    series: tuple[Series, ...]
    fitted: bool = False


@dataclass(frozen=True)
class Bars:
    """One bar per defense: label, style, estimate."""

    rows: tuple[tuple[str, str, Estimate], ...]


@dataclass(frozen=True)
class Ratios:
    """Ratios by depth: the median and the interquartile range over images.

    The axis starts where the numbers do, which its label says.
    """

    x_label: str
    series: tuple[Series, ...]


Chart = Lines | Bars | Ratios


@dataclass(frozen=True)
class Tip:
    """A point of a chart in the units of its axes, and what it shows in words."""

    x: float
    y: float
    text: str
