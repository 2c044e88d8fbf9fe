"""Draw the learning curve of a training: loss and accuracy by epoch."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from rsparse.pictures.axes import fit_axis

COLOURS = ("#4477aa", "#cc3311", "#228833", "#aa3377", "#ccbb44", "#66ccee", "#222222")
MARKERS = ("o", "s", "^", "D")  # one for each cycle through the colours


def draw_curve(
    history: Sequence[dict[str, Any]], best: int, title: str, right: str = "accuracy, %"
) -> bytes:
    """Draw the learning curve of a training.

    Parameters
    ----------
    history : sequence of dict
        The figures by epoch; the first entry is from before the training.
    best : int
        The epoch whose weights are kept.
    title : str
    right : str
        The label of the accuracy axis.

    Returns
    -------
    bytes
        A PNG file; equal numbers give equal bytes.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(curve_figure(history, best, title, right))
    buffer = io.BytesIO()
    canvas.print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def curve_figure(history: Sequence[dict[str, Any]], best: int, title: str, right: str) -> Any:
    """The figure of a learning curve, with the arguments of ``draw_curve``."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    lines = 1 + len(history[0]["validation"]["versions"])
    figure = Figure(figsize=(10, 4 + 0.2 * ((lines + 1) // 2)), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    panels = figure.subplots(1, 2)
    for axes, name, scale in zip(panels, ("loss", "accuracy"), (1, 100), strict=True):
        _draw_lines(axes, history, name, scale)
        axes.axvline(
            best, color="#555555", linewidth=1, linestyle=":", label=f"chosen: epoch {best}"
        )
        axes.set_xlabel("epoch (0: before training)")
        note = fit_axis(axes, _numbers(history, name, scale), top=np.inf if scale == 1 else 100)
        label = name if scale == 1 else right
        axes.set_ylabel(f"{label} ({note})" if note else label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(color="#eeeeee")
        axes.set_axisbelow(True)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=2, fontsize=8, frameon=False)
    return figure


def _numbers(history: Sequence[dict[str, Any]], name: str, scale: float) -> Iterator[float]:
    """All numbers that a panel shows."""
    for entry in history:
        shown = [entry["training"], *entry["validation"]["versions"].values()]
        yield from (scale * figures[name] for figures in shown if figures is not None)


def _draw_lines(axes: Any, history: Sequence[dict[str, Any]], name: str, scale: float) -> None:
    """Draw one line for the training and one for each validated version."""
    trained = [entry for entry in history if entry["training"] is not None]
    axes.plot(
        [entry["epoch"] for entry in trained],
        [scale * e["training"][name] for e in trained],
        "o--",
        color="#999999",
        markersize=3,
        linewidth=1,
        label="training, augmented",
    )
    versions = list(history[0]["validation"]["versions"])
    for number, version in enumerate(versions):
        values = [entry["validation"]["versions"][version][name] for entry in history]
        axes.plot(
            [entry["epoch"] for entry in history],
            [scale * value for value in values],
            **line_style(number),
            linewidth=1.2,
            label=f"validation, {version}",
        )


def line_style(number: int) -> dict[str, Any]:
    """The style of a line, unique among all lines."""
    cycle, colour = divmod(number, len(COLOURS))
    return {
        "color": COLOURS[colour],
        "marker": MARKERS[cycle % len(MARKERS)],
        "markersize": 3 if cycle == 0 else 4,
        "markerfacecolor": COLOURS[colour] if cycle == 0 else "white",
    }
