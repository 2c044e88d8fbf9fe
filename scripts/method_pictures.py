"""Draw the pictures of docs/understand/method.md from the embedded photographs.

python scripts/method_pictures.py
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import rsparse
from rsparse.core.filters import bilateral
from rsparse.core.localization import draw_outline
from rsparse.data import demo_model, demo_photos, embedded_dictionary
from rsparse.pictures.sheet import Cell, contact_sheet

PICTURES = Path(__file__).parent.parent / "docs" / "pictures" / "method"
LARGEST = 100_000
"""Bytes that a picture may take."""
PLACE = 30, 76
"""Upper left corner of the patch that is coded."""

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


def main() -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    dictionary, _ = rsparse.load_dictionary(embedded_dictionary())
    for name, sheet in (
        ("atoms", atoms(dictionary)),
        ("code", code(dictionary, photograph("cat/01"))),
        ("sparsity", sparsity(dictionary, photograph("cat/01"))),
        ("region", region(dictionary, [photograph(name) for name in ("flower/00", "rocket/00")])),
        ("attack", attack(["cat/01", "coffee/00"])),
    ):
        save(PICTURES / f"{name}.jpg", sheet)


def photograph(name: str) -> Pixels:
    with Image.open(demo_photos("test") / f"{name}.png") as opened:
        return np.asarray(opened.convert("RGB"))


def save(path: Path, pixels: Pixels) -> None:
    """Write a JPEG file as good as its size allows."""
    for quality in (90, 85, 80, 70, 60):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "jpeg", quality=quality, optimize=True)
        if len(file.getvalue()) <= LARGEST:
            break
    path.write_bytes(file.getvalue())
    print(f"{path.name}: {len(file.getvalue())} bytes")


def atoms(dictionary: rsparse.Dictionary, rows: int = 8, columns: int = 20) -> Pixels:
    """Some atoms, evenly taken from the dictionary."""
    chosen = np.linspace(0, len(dictionary.atoms) - 1, rows * columns).astype(int)
    tiles = [stretched(dictionary.atoms[atom], dictionary.patch_size, 5) for atom in chosen]
    side = len(tiles[0]) + 6
    page = np.full((rows * side + 6, columns * side + 6, 3), 255, np.uint8)
    for number, tile in enumerate(tiles):
        top, left = 6 + number // columns * side, 6 + number % columns * side
        page[top : top + len(tile), left : left + len(tile)] = tile
    return page


def stretched(atom: Floats, patch_size: int, scale: int = 16, largest: float = 0.0) -> Pixels:
    """An atom as a picture: its 0 is grey, its largest value white or black."""
    largest = largest or float(np.abs(atom).max())
    square = 127.5 + 127.5 * atom.reshape(patch_size, patch_size, 3) / largest
    return np.kron(square.clip(0, 255).astype(np.uint8), np.ones((scale, scale, 1), np.uint8))


def code(
    dictionary: rsparse.Dictionary, photo: Pixels, place: tuple[int, int] = (30, 76)
) -> Pixels:
    """One patch, its codes with K = 1 to 5, and the atoms of the last."""
    b = dictionary.patch_size
    patch = photo[place[0] : place[0] + b, place[1] : place[1] + b].astype(np.float32)
    means = patch.mean(axis=(0, 1))
    signal = (patch - means).reshape(1, -1)
    largest = float(np.abs(signal).max())
    codes, added = [Cell(stretched(signal[0], b, largest=largest), "minus its mean")], []
    for number in range(1, 6):
        weights = rsparse.omp(signal, dictionary.atoms, n_nonzero_coefs=number)[0]
        rebuilt = weights @ dictionary.atoms
        kept = 1 - ((signal[0] - rebuilt) ** 2).sum() / (signal**2).sum()
        codes.append(Cell(stretched(rebuilt, b, largest=largest), f"{kept:.0%} of its energy"))
    for atom in np.argsort(-np.abs(weights))[:number]:
        sign = np.sign(weights[atom])
        caption = f"weight {abs(weights[atom]):.0f}"
        added.append(Cell(stretched(sign * dictionary.atoms[atom], b), caption))
    rest = Cell(stretched(signal[0] - rebuilt, b, largest=largest), "what K = 5 leaves out")
    headings = ["a patch of 8×8", "K = 1", *(f"K = {number}" for number in range(2, 6))]
    rows = [codes, [rest, *added]]
    notes = ["Above: its codes. Below: the atoms of the code with K = 5, by weight."]
    return contact_sheet("One patch as a sum of K atoms", notes, headings, rows, side=144)


def sparsity(dictionary: rsparse.Dictionary, photo: Pixels) -> Pixels:
    """A whole photograph, rebuilt with different K."""
    cells = [Cell(photo)]
    for number in (1, 2, 5, 20):
        parameters = rsparse.PurifyParameters(sparsity=number, localize=False)
        rebuilt = rsparse.purify(photo, dictionary, parameters)
        cells.append(Cell(rebuilt, f"{psnr(photo, rebuilt):.1f} dB"))
    headings = ["photograph", *(f"K = {number}" for number in (1, 2, 5, 20))]
    return contact_sheet("Rebuilt from K atoms a patch", [], headings, [cells])


def psnr(image: Pixels, other: Pixels) -> float:
    difference = image.astype(float) - other
    return float(10 * np.log10(255**2 / (difference**2).mean()))


def region(dictionary: rsparse.Dictionary, photos: Sequence[Pixels]) -> Pixels:
    """The object region, and what becomes of it and of the background."""
    rows = []
    for photo in photos:
        mask, _ = rsparse.locate_object(photo)
        form = rsparse.PurifyParameters(sparsity=2)
        filtered = bilateral(
            photo, form.bilateral_diameter, form.bilateral_sigma_color, form.bilateral_sigma_space
        )
        rows.append(
            [
                Cell(photo),
                Cell(draw_outline(photo, mask), f"{mask.mean():.0%} of the image"),
                Cell(filtered),
                Cell(rsparse.purify(photo, dictionary, form, mask=mask)),
            ]
        )
    headings = ["photograph", "object region", "filtered", "region coded, rest filtered"]
    return contact_sheet("The paper's form: K = 2 on the object", [], headings, rows, side=200)


def attack(names: Sequence[str]) -> Pixels:
    """What an attack adds, what the default policy removes, and what the classifier says."""
    photos = np.stack([photograph(name) for name in names])
    classifier = rsparse.load_classifier(demo_model())
    classes = classifier.class_names
    y = classifier.logits(photos).argmax(axis=1)
    x_adv = rsparse.attack(photos, y, classifier, "bim:eps=8").x_adv
    x_purified = rsparse.defend(x_adv, "policy:default")
    rows = []
    for number in range(len(photos)):
        cells = []
        for images in (photos, x_adv, x_purified):
            found = int(classifier.logits(images[number : number + 1]).argmax())
            cells.append(Cell(images[number], classes[found], found == y[number]))
        added = Cell(tenfold(photos[number], x_adv[number]), "attacked − benign, × 10")
        removed = Cell(tenfold(x_adv[number], x_purified[number]), "purified − attacked, × 10")
        rows.append([cells[0], added, cells[1], removed, cells[2]])
    notes = ["The attacker knows the classifier, but not the policy (gray-box, bim:eps=8)."]
    headings = ["benign", "the attack", "attacked", "the cleaning", "purified"]
    return contact_sheet("An attack and the default policy", notes, headings, rows)


def tenfold(before: Pixels, after: Pixels) -> Pixels:
    """The difference, times ten, around grey."""
    return (127.5 + 10 * (after.astype(float) - before)).clip(0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
