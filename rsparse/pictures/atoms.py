"""Draw the atoms of a dictionary on a sheet with a caption."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from rsparse.pictures.sheet import font_of_size

_SIZE, _MARGIN, _NARROWEST = 13, 10, 360
_INK = (60, 60, 68)


def draw_dictionary(atoms: NDArray[np.float32], patch_size: int) -> NDArray[np.uint8]:
    """Draw all atoms, and below them how many there are, their size and their order.

    Parameters
    ----------
    atoms : float32 array of shape (k, b·b·c)
    patch_size : int
        b.

    Returns
    -------
    uint8 array of shape (h, w, 3)
    """
    sheet = draw_atoms(atoms, patch_size)
    width, font = max(sheet.shape[1], _NARROWEST), font_of_size(_SIZE)
    lines = _wrapped(_caption(atoms, patch_size), font, width - 2 * _MARGIN)
    pitch = _SIZE + 6
    height = sheet.shape[0] + len(lines) * pitch + 2 * _MARGIN
    page = Image.new("RGB", (width, height), "white")
    page.paste(Image.fromarray(sheet), (0, 0))
    draw = ImageDraw.Draw(page)
    for number, line in enumerate(lines):
        place = (_MARGIN, sheet.shape[0] + _MARGIN + number * pitch)
        draw.text(place, line, fill=_INK, font=font)
    return np.asarray(page)


def _caption(atoms: NDArray[np.float32], patch_size: int) -> str:
    colour = atoms.shape[1] > patch_size * patch_size
    plural = "s" if len(atoms) != 1 else ""
    return (
        f"{len(atoms):,} atom{plural} of {patch_size} × {patch_size} pixels in "
        f"{'colour' if colour else 'grey'}. Row by row from the smoothest to the roughest, by the "
        "mean difference of neighbouring pixels. Each is scaled to its own largest value; mid grey "
        "is 0."
    )


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def draw_atoms(atoms: NDArray[np.float32], patch_size: int) -> NDArray[np.uint8]:
    """Draw all atoms on a sheet, each scaled to the full grey range, the roughest last.

    Parameters
    ----------
    atoms : float32 array of shape (k, b·b·c)
    patch_size : int
        b.

    Returns
    -------
    uint8 array of shape (rows, columns, 3)
    """
    patches = atoms.reshape(len(atoms), patch_size, patch_size, -1)
    roughness = np.abs(np.diff(patches, axis=1)).mean((1, 2, 3))
    roughness += np.abs(np.diff(patches, axis=2)).mean((1, 2, 3))
    order = np.argsort(roughness, kind="stable")
    zoom, gap = max(1, round(32 / patch_size)), 2
    side = patch_size * zoom + gap
    columns = int(np.ceil(np.sqrt(len(atoms))))
    rows = -(-len(atoms) // columns)
    sheet = np.full((rows * side + gap, columns * side + gap, 3), 255, dtype=np.uint8)
    for place, number in enumerate(order):
        patch = patches[number]
        largest = np.abs(patch).max()
        grey = np.rint(127.5 + 127.5 * patch / max(largest, 1e-12)).astype(np.uint8)
        tile = np.repeat(np.repeat(grey, zoom, axis=0), zoom, axis=1)
        top, left = (place // columns) * side + gap, (place % columns) * side + gap
        sheet[top : top + side - gap, left : left + side - gap] = tile
    return sheet
