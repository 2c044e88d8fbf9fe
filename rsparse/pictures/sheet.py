"""Draw contact sheets: rows of small pictures under headings, each with a caption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[np.uint8]

_MARGIN, _GAP, _FRAME = 24, 12, 4
_TITLE, _TEXT, _CAPTION = 24, 15, 13
_INK, _FAINT = (25, 25, 30), (95, 95, 105)
_GOOD, _BAD, _PLAIN = (0, 114, 178), (213, 94, 0), (200, 200, 205)  # colour-blind safe


@dataclass(frozen=True)
class Cell:
    """A picture with a caption; its frame is blue if ``good`` is true and orange if it is false."""

    pixels: Pixels
    caption: str = ""
    good: bool | None = None


def contact_sheet(
    title: str,
    notes: Sequence[str],
    headings: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    side: int = 176,
) -> Pixels:
    """Draw a contact sheet.

    Parameters
    ----------
    title : str
    notes : sequence of str
        Lines of text under the title.
    headings : sequence of str
        One for each column; ``\\n`` breaks a line.
    rows : sequence of sequences of Cell
        Each row has as many cells as there are ``headings``.
    side : int
        Longer side of a picture on the sheet, in pixels.

    Returns
    -------
    uint8 array of shape (h, w, 3), RGB
    """
    title_font, font, small = (font_of_size(size) for size in (_TITLE, _TEXT, _CAPTION))
    pitch = side + 2 * _FRAME + _GAP
    row_height = side + 2 * _FRAME + _CAPTION + 18
    n_lines = max(heading.count("\n") + 1 for heading in headings)
    top = _MARGIN + _TITLE + 14 + len(notes) * (_TEXT + 7) + 16
    body = top + n_lines * (_TEXT + 4) + 8
    width = 2 * _MARGIN + pitch * len(headings) - _GAP
    text_width = max(font.getlength(note) for note in [*notes, ""]) + 2 * _MARGIN
    width = max(width, int(text_width), int(title_font.getlength(title)) + 2 * _MARGIN)
    page = Image.new("RGB", (width, body + row_height * len(rows) + _MARGIN), "white")
    draw = ImageDraw.Draw(page)
    draw.text((_MARGIN, _MARGIN), title, fill=_INK, font=title_font)
    for number, note in enumerate(notes):
        place = (_MARGIN, _MARGIN + _TITLE + 14 + number * (_TEXT + 7))
        draw.text(place, note, fill=_FAINT, font=font)
    for column, heading in enumerate(headings):
        draw.multiline_text((_MARGIN + column * pitch, top), heading, fill=_INK, font=font)
    for row, cells in enumerate(rows):
        for column, cell in enumerate(cells):
            corner = (_MARGIN + column * pitch, body + row * row_height)
            _draw_cell(page, draw, cell, corner, side, small)
    return np.asarray(page)


def font_of_size(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib and covers most scripts."""
    from matplotlib import get_data_path

    return ImageFont.truetype(Path(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), size)


def _draw_cell(
    page: Image.Image,
    draw: ImageDraw.ImageDraw,
    cell: Cell,
    corner: tuple[int, int],
    side: int,
    font: ImageFont.FreeTypeFont,
) -> None:
    left, top = corner
    outer = side + 2 * _FRAME
    color = _PLAIN if cell.good is None else _GOOD if cell.good else _BAD
    draw.rectangle((left, top, left + outer - 1, top + outer - 1), fill=color)
    picture = Image.fromarray(cell.pixels).convert("RGB")
    scale = side / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    resample = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC
    inset = Image.new("RGB", (side, side), "white")
    inset.paste(picture.resize(size, resample), ((side - size[0]) // 2, (side - size[1]) // 2))
    page.paste(inset, (left + _FRAME, top + _FRAME))
    caption = cell.caption
    while caption and font.getlength(caption) > outer:
        caption = caption[:-2].rstrip() + "…"
    ink = _FAINT if cell.good is None else color
    draw.text((left, top + outer + 4), caption, fill=ink, font=font)
