"""Contact sheets show every picture, and nothing runs off the page."""

from __future__ import annotations

import numpy as np

from rsparse.pictures.sheet import Cell, contact_sheet


def test_every_picture_is_on_the_sheet():
    colors = [(250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0)]
    cells = [Cell(np.full((20, 20, 3), color, np.uint8), "caption", good) for color, good in
             zip(colors, (True, False, None, True), strict=True)]  # fmt: skip
    sheet = contact_sheet("title", ["a note"], ["one", "two\nlines"], [cells[:2], cells[2:]], 40)
    for color in colors:
        assert (sheet == color).all(axis=2).sum() >= 40 * 40


def test_pictures_keep_their_shape():
    wide = Cell(np.full((10, 40, 3), (250, 0, 0), np.uint8))
    sheet = contact_sheet("", [], ["one"], [[wide]], side=80)
    rows, columns = np.nonzero((sheet == (250, 0, 0)).all(axis=2))
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (20, 80)


def test_the_page_is_as_wide_as_its_text():
    cell = Cell(np.zeros((8, 8, 3), np.uint8), "a caption much longer than the picture is wide")
    narrow = contact_sheet("t", [], ["h"], [[cell]], side=40)
    wide = contact_sheet("t", ["a long note " * 10], ["h"], [[cell]], side=40)
    assert wide.shape[1] > narrow.shape[1] * 3
    assert (narrow[:, -20:] == 255).all()
