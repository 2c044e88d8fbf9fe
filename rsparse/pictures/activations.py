"""Draw the activations of an ``act.h5``."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rsparse.pictures.axes import fit_axis

if TYPE_CHECKING:
    import h5py

_CONV, _JOIN, _POOL, _BAND = "#4477aa", "#222222", "#cc3311", "#4477aa"
_STRIP_COLUMNS = 256


def draw_activations(file: h5py.File, gamma: float) -> bytes:
    """Draw an ``act.h5``: ratios by depth, and the detectors of some layers as coloured strips.

    The strips show one image, the one with the median ratio in the last layer.

    Returns
    -------
    bytes
        A PNG file; equal numbers give equal bytes.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    groups = [file["peaks"][key] for key in sorted(file["peaks"], key=int)]
    layout = ConstrainedLayoutEngine(rect=(0, 0.03, 1, 0.97))
    figure = Figure(figsize=(10, 4.6 + 1.35 * len(groups)), layout=layout)
    canvas = FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        1 + 2 * len(groups),
        2,
        height_ratios=[3.6] + [0.5] * 2 * len(groups),
        width_ratios=[1, 0.012],
    )
    _draw_ratios(figure.add_subplot(grid[0, 0]), file, gamma)
    image = _median_image(file["ratio/image"][()])
    for number, group in enumerate(groups):
        _draw_strips(figure, grid, number, group, image)
    figure.text(
        0.005,
        0.003,
        f"Strips: {file['name'].asstr()[image]}; lighter is more active; "
        "each pair of strips has one scale.",
        fontsize=8,
        color="#555555",
    )
    buffer = io.BytesIO()
    canvas.print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def _draw_ratios(axes: Any, file: h5py.File, gamma: float) -> None:
    index = file["layer/index"][()]
    kind = file["layer/kind"].asstr()[()]
    overall, by_image = file["ratio/all"][()], file["ratio/image"][()]
    n_images = len(by_image)
    convolutions = kind == "conv"
    quartiles = _quartiles(by_image[:, convolutions])
    axes.axhline(1, color="#999999", linewidth=0.8)
    if n_images > 1:
        axes.fill_between(
            index[convolutions],
            quartiles[0],
            quartiles[1],
            color=_BAND,
            alpha=0.18,
            linewidth=0,
            label="middle half of the images",
        )
    axes.plot(
        index[convolutions],
        overall[convolutions],
        "o-",
        color=_CONV,
        markersize=3,
        linewidth=0.9,
        label="convolution",
    )
    _mark_joins_and_pools(axes, index, kind, overall)
    axes.set_xlabel("depth of the layer (convolutions from the input)")
    note = fit_axis(axes, [1.0, *quartiles.ravel(), *overall])
    axes.set_ylabel(f"total activation $V_l$,\nadversarial / benign{f' ({note})' * bool(note)}")
    axes.set_title(
        f"Activation of {n_images} image{'s' * (n_images != 1)}, threshold γ = {gamma:g}",
        loc="left",
        fontsize=11,
    )
    axes.margins(x=0.015)
    axes.legend(loc="best", fontsize=8, frameon=False)


def _mark_joins_and_pools(
    axes: Any, index: NDArray[np.int64], kind: NDArray[Any], overall: NDArray[np.float64]
) -> None:
    """Mark the ratios of concatenations and of global pooling."""
    for name, color, marker, label in (
        ("join", _JOIN, "s", "concatenation"),
        ("pool", _POOL, "*", "global pooling"),
    ):
        chosen = kind == name
        if chosen.any():
            size = 5 if name == "join" else 12
            axes.plot(
                index[chosen], overall[chosen], marker, color=color, markersize=size, label=label
            )


def _quartiles(by_image: NDArray[np.float64]) -> NDArray[np.float64]:
    """The quartiles of each column; NaN for a column without numbers."""
    columns = [column[~np.isnan(column)] for column in by_image.T]
    empty = [np.nan, np.nan]
    return np.array([np.percentile(c, (25, 75)) if c.size else empty for c in columns]).T


def _median_image(by_image: NDArray[np.float64]) -> int:
    """The index of the image with the (lower) median ratio in the last layer."""
    order = np.argsort(by_image[:, -1], kind="stable")
    known = int((~np.isnan(by_image[:, -1])).sum())
    return int(order[max(known - 1, 0) // 2])


def _draw_strips(figure: Any, grid: Any, number: int, group: Any, image: int) -> None:
    versions = ("benign", "adversarial")
    strips = [np.clip(group[version][image], 0, None) for version in versions]
    top = max(float(np.quantile(np.concatenate(strips), 0.995)), 1e-12)
    for row, (version, strip) in enumerate(zip(versions, strips, strict=True)):
        axes = figure.add_subplot(grid[1 + 2 * number + row, 0])
        shown = axes.imshow(
            as_block(strip),
            cmap="inferno",
            vmin=0,
            vmax=top,
            aspect="auto",
            interpolation="nearest",
        )
        axes.set(xticks=[], yticks=[])
        axes.set_ylabel(version, rotation=0, ha="right", va="center", fontsize=9)
        if row == 0:
            n = len(strip)
            means = f"mean {strips[0].mean():.3g} → {strips[1].mean():.3g}"
            axes.set_title(
                f"{group.attrs['layer'].decode()}: {n} detectors, {means}",
                loc="left",
                fontsize=9.5,
                pad=3,
            )
    bar = figure.add_subplot(grid[1 + 2 * number : 3 + 2 * number, 1])
    figure.colorbar(shown, cax=bar).ax.tick_params(labelsize=7)


def as_block(strip: NDArray[np.float32]) -> NDArray[np.float32]:
    """Arrange detectors in rows of at most 256, so that each is visible; pad the last with NaN.

    Parameters
    ----------
    strip : ndarray of shape (n_channels,), float32

    Returns
    -------
    ndarray of shape (rows, columns), float32
    """
    rows = -(-len(strip) // _STRIP_COLUMNS)
    columns = -(-len(strip) // rows)
    block = np.full(rows * columns, np.nan, np.float32)
    block[: len(strip)] = strip
    return block.reshape(rows, columns)
