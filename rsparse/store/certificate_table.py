"""Certificates as a table: ``certificates.csv``, beside ``certificates.h5``."""

from __future__ import annotations

from rsparse.core.smoothing import ABSTAIN
from rsparse.store.certificates import Certificates
from rsparse.store.csv_text import csv_line, name_cell, text_cell

TABLE_FILE = "certificates.csv"


def table_text(found: Certificates) -> str:
    """The table as CSV: a row for each image and σ."""
    header = ["name", "sigma", "certified", "class_name", "label", "right"]
    lines = [csv_line([*header, "p", "radius", "cap", "grey_levels"])]
    classes, p, radii = found.certified
    for number, name in enumerate(found.names):
        label = int(found.labels[number])
        for k, sigma in enumerate(found.sigmas):
            index = int(classes[k, number])
            answer = ["ABSTAIN", ""]
            if index != ABSTAIN:
                answer = [str(index), text_cell(found.class_names[index])]
            right = "" if label < 0 else ("yes" if index == label else "no")
            radius = float(radii[k, number])
            numbers = [f"{p[k, number]:.6f}", f"{radius:.6f}", f"{found.caps[k]:.6f}"]
            known = "" if label < 0 else str(label)
            cells = [name_cell(name), f"{sigma:g}", *answer, known, right, *numbers]
            lines.append(csv_line([*cells, f"{found.grey(radius):.4f}"]))
    return "".join(lines)
