"""The plot of a training: every validated version has a distinguishable line."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from rsparse.pictures.curve import COLOURS, curve_figure, draw_curve, line_style


def history(versions: int) -> list[dict[str, object]]:
    figures = {f"version {n}": {"loss": 1 + n, "accuracy": 0.05 * n} for n in range(versions)}
    begun = {"epoch": 0, "training": None, "validation": {"versions": figures}}
    return [begun, begun | {"epoch": 1, "training": {"loss": 0.5, "accuracy": 0.9}}]


def test_lines_of_the_same_colour_have_other_markers():
    looks = [line_style(number) for number in range(4 * len(COLOURS))]
    assert len({(one["color"], one["marker"]) for one in looks}) == len(looks)


@pytest.mark.parametrize("versions", [1, 7, 12])
def test_it_is_a_picture_that_holds_its_lines_and_the_same_each_time(versions):
    png = draw_curve(history(versions), 1, "a title")
    assert png == draw_curve(history(versions), 1, "a title")
    pixels = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR_RGB)
    seen = {f"#{r:02x}{g:02x}{b:02x}" for r, g, b in np.unique(pixels.reshape(-1, 3), axis=0)}
    assert set(COLOURS[:versions]) <= seen


def test_the_chosen_epoch_is_in_the_legend_and_the_axes_fit():
    figures = {"version": {"loss": 1.0, "accuracy": 0.9}}
    begun = {"epoch": 0, "training": None, "validation": {"versions": figures}}
    entries = [begun, begun | {"epoch": 1}, begun | {"epoch": 2}]
    figure = curve_figure(entries, 1, "a title", "accuracy, %")
    (legend,) = figure.legends
    assert "chosen: epoch 1" in [text.get_text() for text in legend.get_texts()]
    loss, accuracy = figure.axes
    assert loss.get_ylabel() == "loss (axis from 0.94)"
    assert accuracy.get_ylabel() == "accuracy, % (axis from 84)"
    assert accuracy.get_ylim()[0] == 84
